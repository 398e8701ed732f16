"""Reading photographs as the server reads them, and saying what that changed."""

import math
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness.cli import main
from harness.errors import ClicError
from harness.images import left_out, list_images, load_rgb
from harness.memory import available_bytes

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


def huge_png(path: Path, side: int, whole: bool = False) -> Path:
    """A PNG of side x side black pixels; where it is not `whole`, only what is read of it before it is unpacked."""
    kinds = {b"IHDR": struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0), b"IDAT": b"cut off"}
    if whole:
        pack = zlib.compressobj(1)
        kinds[b"IDAT"] = b"".join(pack.compress(bytes(side + 1)) for _ in range(side)) + pack.flush()
    kinds[b"IEND"] = b""
    chunks = [struct.pack(">I", len(b)) + k + b + struct.pack(">I", zlib.crc32(k + b)) for k, b in kinds.items()]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    return path


def test_memory_and_nothing_else_limits_the_pixels(tmp_path: Path) -> None:
    """Pillow's own limits are 89 and 179 megapixels."""
    huge_png(tmp_path / "a.png", 14_000)
    assert [source.pixels for source in list_images(tmp_path)] == [196_000_000]
    limit = Image.MAX_IMAGE_PIXELS
    assert load_rgb(huge_png(tmp_path / "b.png", 9_600, whole=True)).shape == (9_600, 9_600, 3)
    assert limit == Image.MAX_IMAGE_PIXELS  # what others open is judged as before
    with pytest.raises(ClicError, match=r"9600 x 9600 pixels; give one of at most 92159999"):
        load_rgb(tmp_path / "b.png", most_pixels=9_600**2 - 1)
    huge_png(tmp_path / "a.png", 1_000_000)
    with pytest.raises(
        ClicError, match=r"a\.png: 1000000 x 1000000 pixels; to read it takes at least 9000\.0 GB of mem"
    ):
        list_images(tmp_path)


@pytest.mark.parametrize(
    "command", [["encode"], ["encode", "--dry-run"], ["submit"], ["submit", "--dry-run"], ["compare"]]
)
def test_what_cannot_be_coded_with_the_free_memory_is_said_before_anything_is(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that could be read, and no more."""
    photographs, out = tmp_path / "photographs", tmp_path / "out"
    photographs.mkdir()
    side = math.isqrt(available_bytes() // 20)
    huge_png(photographs / "z.png", side)
    Image.fromarray(GRADIENT).save(photographs / "a.png")
    assert main([*command, str(photographs), "--out", str(out), "--codec", "jpeg"]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert f"{photographs / 'z.png'}: {side} x {side} pixels; to code and score it takes at least " in last
    assert last.endswith(" are free; make it smaller, remove it, or use a machine with more memory")
    assert not out.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="submit needs Linux")
@pytest.mark.parametrize("kind", ["pipe", "folder", "link to a pipe"])
def test_what_is_no_file_is_named_and_never_waited_for(kind: str, tmp_path: Path) -> None:
    """As a user runs it: nobody writes to the pipe."""
    photographs, out = tmp_path / "photographs", tmp_path / "out"
    photographs.mkdir()
    Image.fromarray(GRADIENT).save(photographs / "a.png")
    if kind == "folder":
        (photographs / "z.png").mkdir()
    elif kind == "pipe":
        os.mkfifo(photographs / "z.png")
    else:
        os.mkfifo(tmp_path / "pipe")
        (photographs / "z.png").symlink_to(tmp_path / "pipe")
    for command in (["encode", "--codec", "jpeg"], ["submit", "--codec", "jpeg"]):
        done = subprocess.run(
            [sys.executable, "-m", "harness", *command, str(photographs), "--out", str(out)],
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
            cwd=tmp_path,
        )
        assert done.returncode == 2 and not out.exists(), done
        assert f"{photographs / 'z.png'}: a folder, pipe or device, not a file; remove it" in done.stderr


@pytest.mark.parametrize(
    "name", ["cr\rname", "new\nline", "back\\slash", "x" * 244, b"\xff\xfe".decode(errors="surrogateescape")]
)
def test_names_that_no_decoded_file_may_have_are_refused_in_one_line(name: str, tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / f"{name}.png")
    with pytest.raises(ClicError, match="its name has") as caught:
        list_images(tmp_path)
    assert "\n" not in str(caught.value) and "\r" not in str(caught.value)


def test_a_tiff_is_turned_as_its_exif_says_and_has_the_sides_that_it_is_coded_with(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x112] = 6
    Image.fromarray(GRADIENT).convert("RGB").save(tmp_path / "t.tif", exif=exif)
    [image] = list_images(tmp_path)
    assert image.note == "turned as its EXIF orientation says"
    assert load_rgb(image.path).shape == (image.height, image.width, 3) == (30, 20, 3)


def test_samples_beyond_8_bits_that_become_white_are_counted(tmp_path: Path) -> None:
    samples = np.zeros((20, 20), np.uint16)
    samples[:5] = 1000
    Image.fromarray(samples).save(tmp_path / "g.png")
    assert "25% of them here" in list_images(tmp_path)[0].note


def test_exif_that_cannot_be_read_does_not_stop_an_image(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "x.png", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x05garbage")
    Image.new("RGB", (8, 8)).save(tmp_path / "y.webp", exif=b"II")
    assert [image.note for image in list_images(tmp_path)] == ["", ""]


@pytest.mark.parametrize("cut", [3, 20, 40, 60])
def test_a_damaged_image_is_one_line(cut: int, tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    Image.fromarray(GRADIENT).save(path)
    content = bytearray(path.read_bytes())
    content[cut : cut + 4] = b"\x0e\xe1MD"
    path.write_bytes(content)
    with pytest.raises(ClicError, match="not a readable image"):
        list_images(tmp_path)
        load_rgb(path)


def test_what_is_not_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    for name in ("a.png", "more/b.png", "c.gif", "notes.txt"):
        Image.new("RGB", (8, 8)).save(tmp_path / name, "PNG")
    assert left_out(tmp_path) == "c.gif, notes.txt, folder more/ (1 image)"
    (tmp_path / "a.png").unlink()
    with pytest.raises(ClicError, match=r"no images; in it: folder more/ \(1 image\); give that one"):
        list_images(tmp_path)
