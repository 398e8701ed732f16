"""Known image sets: named, and every missing, altered, renamed or additional image found."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers import photograph
from PIL import Image

from harness.errors import ClicError
from harness.images import list_images, load_rgb, pixels_sha256
from harness.imagesets import ImageSet, KnownImage, canonical, identify, known_sets

SHARED = Path(__file__).parents[3] / "shared"
needs_shared = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the image sets are not beside this checkout, in ../shared"
)
COUNTS = {
    "Kodak": (24, 9_437_184),
    "CLIC 2021 validation": (41, 91_451_931),
    "CLIC 2022 test": (30, 87_857_152),
    "CLIC 2025 test": (30, 86_245_376),
    "CLIC 2025 validation": (32, 71_075_840),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    folder.mkdir()
    for seed, name in enumerate(("a", "b", "c", "d")):
        photograph(seed, 40 + seed, 30).save(folder / f"{name}.png")
    return folder


@pytest.fixture
def small_set(folder: Path) -> ImageSet:
    """The folder's images as a known set; of `d` only the number of pixels is known."""
    known = {
        image.name: KnownImage(image.name, image.width, image.height, pixels_sha256=pixels_sha256(load_rgb(image.path)))
        for image in list_images(folder)
    }
    known["d"] = KnownImage("d", pixels=43 * 30)
    return ImageSet("Small", ("Little",), "", "", known)


def alter_one_pixel(path: Path) -> None:
    pixels = np.array(Image.open(path).convert("RGB"))
    pixels[5, 7, 1] ^= 1
    Image.fromarray(pixels).save(path)


def copy_of_kodak(folder: Path) -> Path:
    copy = folder / "kodak"
    copy.mkdir()
    for path in (SHARED / "data" / "kodak").glob("*.png"):
        shutil.copyfile(path, copy / path.name)
    return copy


def test_manifests_are_whole() -> None:
    assert {known.title for known in known_sets()} == set(COUNTS)
    for known in known_sets():
        count, pixels = COUNTS[known.title]
        assert len(known.images) == count and known.source
        assert sum(image.pixels or image.width * image.height for image in known.images.values()) == pixels
        for image in known.images.values():
            assert len(image.pixels_sha256) == len(image.file_sha256) and len(image.pixels_sha256) in (0, 64)
    names = [title for known in known_sets() for title in (known.title, *known.aliases)]
    assert len(names) == len(set(names))


def test_one_set_may_have_several_names() -> None:
    assert canonical("CLIC 2024 test") == canonical("CLIC 2025 validation") == "CLIC 2025 validation"
    assert canonical("CLIC 2027 validation") == "CLIC 2025 test"
    assert canonical("my own") == "my own"


def test_whole_set(folder: Path, small_set: ImageSet) -> None:
    seen: list[tuple[int, int]] = []
    found = identify(list_images(folder), [small_set], lambda done, of: seen.append((done, of)))
    assert found.is_whole and found.label == "Small" and found.known is small_set
    assert set(found.same) == {"a", "b", "c"} and set(found.unproven) == {"d"}
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_the_file_may_be_packed_and_called_otherwise(folder: Path, small_set: ImageSet) -> None:
    Image.open(folder / "a.png").save(folder / "holiday.webp", lossless=True)
    (folder / "a.png").unlink()
    found = identify(list_images(folder), [small_set])
    assert found.is_whole and found.renamed == {"holiday": "a"}


def test_one_altered_pixel_one_missing_and_one_additional_file(folder: Path, small_set: ImageSet) -> None:
    alter_one_pixel(folder / "b.png")
    (folder / "c.png").unlink()
    Image.open(folder / "a.png").save(folder / "copy.png")
    photograph(9, 50, 50).save(folder / "other.png")
    photograph(9, 43, 31).save(folder / "d.png")
    found = identify(list_images(folder), [small_set])
    assert not found.is_whole and found.missing == ("c",)
    assert found.altered == {"b": "other pixels", "d": "43 x 31, but 1,290 pixels in Small"}
    assert found.additional == {"copy": "the same picture as a", "other": "not in Small"}
    assert found.label == "Small, 1 of 4, 2 altered, and 2 others"


def test_names_that_were_exchanged(folder: Path, small_set: ImageSet) -> None:
    (folder / "a.png").rename(folder / "x.png")
    (folder / "b.png").rename(folder / "a.png")
    (folder / "x.png").rename(folder / "b.png")
    found = identify(list_images(folder), [small_set])
    assert found.is_whole and found.renamed == {"a": "b", "b": "a"}


def test_a_stranger_under_a_known_name(folder: Path, small_set: ImageSet) -> None:
    (folder / "a.png").rename(folder / "mine.png")
    photograph(9, 40, 30).save(folder / "a.png")
    found = identify(list_images(folder), [small_set])
    assert found.same["a"] == "mine" and not found.altered and not found.missing
    assert found.additional == {"a": "other pixels; the picture itself is called mine"}


def test_images_of_no_known_set(folder: Path) -> None:
    found = identify(list_images(folder))
    assert found.known is None and found.label == f"own set {found.digest[:8]}, 4 images"
    digest = found.digest
    (folder / "a.png").rename(folder / "z.png")
    assert identify(list_images(folder)).digest == digest
    alter_one_pixel(folder / "b.png")
    assert identify(list_images(folder)).digest != digest


def test_unreadable_image_is_named(folder: Path, small_set: ImageSet) -> None:
    images = list_images(folder)
    (folder / "b.png").write_bytes((folder / "b.png").read_bytes()[:200])
    with pytest.raises(ClicError, match=r"b\.png: not a readable image"):
        identify(images, [small_set])


@needs_shared
def test_sets_that_lie_here_are_named() -> None:
    assert identify(list_images(SHARED / "data" / "kodak")).label == "Kodak"
    validation = identify(list_images(SHARED / "data" / "clic2025-valid"))
    assert validation.label == "CLIC 2025 validation, 26 of 32"
    assert len(validation.same) == 26 and len(validation.missing) == 6
    assert not validation.altered and not validation.additional


def test_command_says_what_a_folder_is(folder: Path, clic: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = clic("images", "check", folder)
    assert done.returncode == 1 and done.stdout.startswith("own set ") and "Kodak" in done.stdout
    seen = json.loads(clic("images", "check", folder, "--json").stdout)
    assert seen["set"] is None and set(seen["additional"]) == {"a", "b", "c", "d"}
    failed = clic("images", "check", folder / "nowhere")
    assert failed.returncode == 2 and len(failed.stderr.splitlines()) == 1 and "no such folder" in failed.stderr


@needs_shared
def test_command_finds_one_altered_pixel_and_one_missing_file(
    tmp_path: Path, clic: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    whole = clic("images", "check", SHARED / "data" / "kodak")
    assert whole.returncode == 0 and whole.stdout.startswith("Kodak (")
    copy = copy_of_kodak(tmp_path)
    (copy / "kodim07.png").unlink()
    alter_one_pixel(copy / "kodim23.png")
    found = clic("images", "check", copy)
    assert found.returncode == 1
    assert found.stdout.splitlines()[1:] == ["missing: kodim07", "altered: kodim23: other pixels"]
