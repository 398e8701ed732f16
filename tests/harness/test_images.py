"""Reading photographs as the server reads them, and saying what that changed."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness.errors import ClicError
from harness.images import list_images, load_rgb

GRADIENT = np.linspace(0, 255, 20 * 30).reshape(20, 30).astype(np.uint8)


@pytest.mark.parametrize(
    ("mode", "note"),
    [
        ("RGB", ""),
        ("L", "greyscale"),
        ("1", "greyscale"),
        ("LA", "alpha dropped"),
        ("RGBA", "alpha dropped"),
        ("P", "palette expanded"),
        ("I;16", "more than 8 bits"),
    ],
)
def test_every_kind_of_png_becomes_rgb_with_a_note(mode: str, note: str, tmp_path: Path) -> None:
    if mode == "I;16":
        Image.fromarray(GRADIENT.astype(np.uint16) * 257).save(tmp_path / "a.png")
    else:
        Image.fromarray(GRADIENT).convert(mode).save(tmp_path / "a.png")
    [source] = list_images(tmp_path)
    pixels = load_rgb(source.path)
    assert (source.name, source.width, source.height) == ("a", 30, 20)
    assert pixels.shape == (20, 30, 3) and pixels.dtype == np.uint8
    assert source.note.startswith(note) if note else source.note == ""
    with Image.open(source.path) as image:
        assert np.array_equal(pixels, np.asarray(image.convert("RGB")))


def test_names_are_sorted_and_other_files_ignored(tmp_path: Path) -> None:
    for name in ("b.png", "A.JPG", "c.webp"):
        Image.fromarray(GRADIENT).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("not a picture")
    (tmp_path / ".hidden.png").write_bytes(b"")
    assert [source.name for source in list_images(tmp_path)] == ["A", "b", "c"]


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ClicError, match="no such folder"):
        list_images(tmp_path / "missing")
    with pytest.raises(ClicError, match="no images"):
        list_images(tmp_path)
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(ClicError, match=r"broken\.png: not a readable image"):
        list_images(tmp_path)


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    for name in ("a.png", "a.jpg"):
        Image.fromarray(GRADIENT).save(tmp_path / name)
    with pytest.raises(ClicError, match="same name"):
        list_images(tmp_path)


def test_a_truncated_image_is_an_error_not_grey(tmp_path: Path) -> None:
    path = tmp_path / "cut.png"
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (64, 64, 3), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ClicError, match=r"cut\.png"):
        load_rgb(path)


def test_a_file_in_a_folders_place_is_called_one(tmp_path: Path) -> None:
    photograph = tmp_path / "a.png"
    Image.new("RGB", (8, 8)).save(photograph)
    with pytest.raises(ClicError, match="a file, not a folder"):
        list_images(photograph)
