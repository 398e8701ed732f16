"""`clic verify --honest`: decoders that hold the pictures are found, decoders that decode are not."""

import base64
import gzip
import io
import json
import lzma
import random
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from attacks.sound import RULES, Submission
from helpers import photograph
from PIL import Image
from skimage import data_dir
from toy_codec import ToyCodec

from harness.challenge.archive import data_file_bytes, write_zip
from harness.challenge.honest import _member_findings
from harness.challenge.profiles import load_profile
from harness.cli import main
from harness.codecs.registry import open_submittable
from harness.images import SourceImage

SIZES = {"one": (160, 120), "two": (144, 128)}
Make = Callable[[Mapping[str, Image.Image]], Mapping[str, bytes]]
# The data file may be anything: the pictures come out of a member.
IGNORES = "#!/usr/bin/env python3\nimport os\nfrom pathlib import Path\nos.mkdir('images')\n"


def saved(image: Image.Image, form: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form)
    return buffer.getvalue()


def png(image: Image.Image) -> bytes:
    return saved(image, "PNG")


def webp(image: Image.Image) -> bytes:
    return saved(image, "WEBP")


def array(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, weights=pixels)
    return buffer.getvalue()


def thumbnails(image: Image.Image, factor: int = 4) -> np.ndarray:
    return np.asarray(image.reduce(factor), np.uint8)


NOISE = random.Random(1).randbytes(5_000)
HOLDERS: dict[str, tuple[Make, str]] = {
    "pictures by other names": (
        lambda images: {f"{name}.bin": png(image) for name, image in images.items()},
        "holds a PNG of",
    ),
    "pictures within weights": (
        lambda images: {"weights.bin": NOISE + b"".join(png(image) + NOISE for image in images.values())},
        "holds a PNG of",
    ),
    "compressed": (
        lambda images: {f"{name}.xz": lzma.compress(np.asarray(image).tobytes()) for name, image in images.items()},
        "holds pixels of",
    ),
    "raw pixels within weights": (
        lambda images: {"weights.bin": NOISE + b"".join(image.tobytes() + NOISE for image in images.values())},
        "holds pixels of",
    ),
    "small arrays": (
        lambda images: {f"{name}.npz": array(thumbnails(image)) for name, image in images.items()},
        "at 1/4 of its size",
    ),
    "base64 in a text": (
        lambda images: {"names.txt": b"one two\n" + b"\n".join(base64.encodebytes(png(i)) for i in images.values())},
        "(base64 at byte 8): holds a PNG of",
    ),
    "base64 of one line in JSON": (
        lambda images: {
            "table.json": json.dumps(
                {n: base64.urlsafe_b64encode(webp(i)).decode() for n, i in images.items()}
            ).encode()
        },
        "holds a WEBP of",
    ),
    "literals of a program": (
        lambda images: {
            f"{n}.py": b"\n".join(b'    b"%s"' % line for line in base64.encodebytes(webp(i)).split())
            for n, i in images.items()
        },
        "holds a WEBP of",
    ),
    "hexadecimal digits": (
        lambda images: {f"{name}.txt": webp(image).hex().encode() for name, image in images.items()},
        "(hexadecimal at byte 0): holds a WEBP of",
    ),
    "escapes": (
        lambda images: {
            f"{n}.py": b'x = b"%s"' % "".join(f"\\x{byte:02x}" for byte in webp(i)).encode() for n, i in images.items()
        },
        "(escapes at byte 6): holds a WEBP of",
    ),
    "base85": (
        lambda images: {f"{name}.txt": base64.b85encode(webp(image)) for name, image in images.items()},
        "(base85 at byte 0): holds a WEBP of",
    ),
    "ascii85": (
        lambda images: {f"{n}.txt": base64.a85encode(webp(i), adobe=True, wrapcol=70) for n, i in images.items()},
        "(ascii85 at byte 0): holds a WEBP of",
    ),
    "a compressed text": (
        lambda images: {f"{n}.gz": gzip.compress(base64.b64encode(lzma.compress(png(i)))) for n, i in images.items()},
        "holds a PNG of",
    ),
    "WebP without its first 12 bytes": (
        lambda images: {"weights.bin": NOISE + b"".join(webp(image)[12:] + NOISE for image in images.values())},
        "holds a WEBP of 160 x 120 without its beginning at byte 5000",
    ),
    "PNG without its signature": (
        lambda images: {f"{name}.bin": png(image)[8:] for name, image in images.items()},
        "holds a PNG of 160 x 120 without its beginning at byte 0",
    ),
    "JPEG without its first marker": (
        lambda images: {f"{name}.bin": saved(image, "JPEG")[2:] for name, image in images.items()},
        "holds a JPEG of 160 x 120 without its beginning at byte 0",
    ),
    "numbers of half precision": (
        lambda images: {f"{n}.npz": array(thumbnails(i, 2).astype(np.float16) / 255 - 0.5) for n, i in images.items()},
        "at 1/2 of its size",
    ),
    "raw floats": (
        lambda images: {f"{n}.bin": (np.asarray(i, np.float32) / 255).tobytes() for n, i in images.items()},
        "holds pixels of",
    ),
}


class Set(Submission):
    """Two photographs, coded by the toy codec, with its own decoder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        for path in self.originals.iterdir():
            path.unlink()
        self.images = {name: photograph(seed, *size) for seed, (name, size) in enumerate(SIZES.items())}
        for name, image in self.images.items():
            image.save(self.originals / f"{name}.png")
        self.rules.write_text(RULES)
        self.profile, self.codec = load_profile(str(self.rules)), ToyCodec()
        self.decoder = dict(self.codec.decoder_files(self.profile.data_file, self.profile.payload))
        write_zip(self.decoder_zip, self.decoder)
        self.data_file.write_bytes(self.coded(self.images))

    def coded(self, images: Mapping[str, Image.Image]) -> bytes:
        streams = {name: self.codec.encode(np.asarray(image), "60").stream for name, image in images.items()}
        return data_file_bytes(self.codec.pack(streams), self.profile)

    def verify(self, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, list[str]]:
        arguments = ["verify", str(self.folder), "--images", str(self.originals), "--rate", "20", "--once"]
        status = main([*arguments, "--profile", str(self.rules), "--honest", *more])
        return status, capsys.readouterr().out.splitlines()


@pytest.fixture
def case(tmp_path: Path) -> Set:
    return Set(tmp_path)


def test_a_decoder_that_decodes(case: Set, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert case.verify(capsys) == (0, [])
    other = tmp_path / "other.zip"
    other.write_bytes(
        case.coded({name: photograph(77 + seed, *size) for seed, (name, size) in enumerate(SIZES.items())})
    )
    assert case.verify(capsys, "--other-data", str(other)) == (0, [])


@pytest.mark.parametrize("name", HOLDERS)
def test_members_that_hold_pictures(case: Set, capsys: pytest.CaptureFixture[str], name: str) -> None:
    make, says = HOLDERS[name]
    write_zip(case.decoder_zip, {**case.decoder, **make(case.images)})
    status, said = case.verify(capsys)
    assert status == 1 and any(says in line for line in said), said
    assert all(line.startswith("- decoder.zip: ") for line in said), said


def test_data_that_is_not_needed(case: Set, capsys: pytest.CaptureFixture[str]) -> None:
    """Its pictures are hidden so well that only what it does with other data tells."""
    mask = random.Random(5)
    hidden = {f"{n}.bin": bytes(b ^ mask.randrange(256) for b in png(i)) for n, i in case.images.items()}
    lines = IGNORES + (
        "import random\nmask = random.Random(5)\n"
        "for name in ('one', 'two'):\n"
        "    held = bytes(b ^ mask.randrange(256) for b in Path(f'{name}.bin').read_bytes())\n"
        "    Path(f'images/{name}.png').write_bytes(held)\n"
    )
    write_zip(case.decoder_zip, {"decode": lines.encode(), **hidden})
    status, said = case.verify(capsys)
    assert status == 1 and len(said) == 3
    assert all("gives the same pictures from" in line for line in said), said


def test_the_same_picture_with_a_touch_of_the_data(case: Set, capsys: pytest.CaptureFixture[str]) -> None:
    lines = IGNORES + (
        "import io, lzma\nimport numpy as np\nfrom PIL import Image\n"
        "touch = sum(Path('bs.zip').read_bytes()) % 7\n"
        "for name in ('one', 'two'):\n"
        "    image = Image.open(io.BytesIO(bytes(b ^ 85 for b in Path(f'{name}.bin').read_bytes())))\n"
        "    Image.fromarray(np.asarray(image) ^ np.uint8(touch)).save(f'images/{name}.png')\n"
    )
    hidden = {f"{n}.bin": bytes(b ^ 85 for b in png(i)) for n, i in case.images.items()}
    write_zip(case.decoder_zip, {"decode": lines.encode(), **hidden})
    status, said = case.verify(capsys)
    assert status == 1 and any("one.png: shows 'one' from shuffled data" in line for line in said), said


def test_our_own_decoder_holds_nothing(tmp_path: Path) -> None:
    """Weights of millions of numbers against photographs: nothing is alike by chance."""
    write_zip(tmp_path / "decoder.zip", open_submittable("clic").decoder_files("bs.zip", "images.clic"))
    originals = []
    for name in ("chelsea.png", "coffee.png", "rocket.jpg", "astronaut.png"):
        path = Path(data_dir) / name
        with Image.open(path) as image:
            originals.append(SourceImage(path.stem, path, *image.size))
    assert list(_member_findings(tmp_path / "decoder.zip", originals)) == []


def test_missing_other_data(case: Set, capsys: pytest.CaptureFixture[str]) -> None:
    assert case.verify(capsys, "--other-data", "nowhere.zip") == (2, [])
