"""Training crops: a folder of square images, decoded once into memory."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from harness.errors import ClicError

ENDINGS = {".avif", ".png", ".webp", ".jpg", ".jpeg"}


def load_crops(folder: Path, size: int = 512) -> np.ndarray:
    """All images of a folder, in the order of their names, cut to their top left `size` square.

    Returns uint8 (N, size, size, 3). Smaller images are left out. Raises ClicError where there is no such folder or
    none remain.
    """
    if not folder.is_dir():
        raise ClicError(
            f"{folder}: {'a file' if folder.exists() else 'no such folder'}; give a folder of training crops"
        )
    crops = []
    for path in sorted(p for p in folder.glob("*") if p.suffix.lower() in ENDINGS):
        with Image.open(path) as image:
            if min(image.size) >= size:
                crops.append(np.asarray(image.convert("RGB"))[:size, :size])
    if not crops:
        raise ClicError(f"{folder}: no images of at least {size} x {size} pixels; give a folder of training crops")
    return np.stack(crops)


LUMA = np.array([0.299, 0.587, 0.114])  # of red, green and blue (ITU-R BT.601)


def draw_batch(crops: np.ndarray, batch: int, size: int, rng: np.random.Generator, grey_share: float = 0.0) -> Tensor:
    """Random windows of `size` pixels as float32 (batch, 3, size, size) in 0..1.

    Flipped and transposed at random; every fourth is taken at half scale, which makes harder, busier content, and
    `grey_share` of them without colour, as photographs in black and white are.
    """
    windows = []
    for index in rng.integers(len(crops), size=batch):
        crop = crops[index]
        scale = 2 if rng.random() < 0.25 and crop.shape[0] >= 2 * size else 1
        top, left = (scale * rng.integers(side // scale - size + 1) for side in crop.shape[:2])
        window = crop[top : top + scale * size, left : left + scale * size]
        if scale == 2:
            window = _halved(window)
        if rng.random() < 0.5:
            window = window[:, ::-1]
        if rng.random() < 0.5:
            window = window.transpose(1, 0, 2)
        if grey_share and rng.random() < grey_share:
            window = np.rint(window @ LUMA).astype(np.uint8)[:, :, None].repeat(3, axis=2)
        windows.append(window)
    return torch.from_numpy(np.stack(windows)).permute(0, 3, 1, 2).float().div_(255)


def _halved(pixels: np.ndarray) -> np.ndarray:
    """Means of 2 x 2 pixels, uint8 (2H, 2W, 3) to uint8 (H, W, 3)."""
    rows = pixels[::2].astype(np.uint16) + pixels[1::2]
    return np.rint((rows[:, ::2] + rows[:, 1::2]) / 4).astype(np.uint8)
