"""PNG files of ours, read by Pillow."""

import io

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from decoder.png import png_bytes

SIDES = st.integers(1, 40)


@given(st.tuples(SIDES, SIDES, st.just(3)).flatmap(lambda shape: arrays(np.uint8, shape)))
def test_pillow_reads_the_same_pixels(pixels: np.ndarray) -> None:
    with Image.open(io.BytesIO(png_bytes(pixels))) as image:
        assert (image.mode, image.size) == ("RGB", (pixels.shape[1], pixels.shape[0]))
        assert np.array_equal(np.asarray(image), pixels)


def test_of_a_part_of_an_image() -> None:
    whole = np.random.default_rng(1).integers(0, 256, (300, 400, 3), np.uint8)
    part = whole[10:280, 5:350]
    with Image.open(io.BytesIO(png_bytes(part))) as image:
        image.load()  # which checks the sums
        assert np.array_equal(np.asarray(image), part)
