"""Whether a decoder decodes, or holds the pictures itself, which the challenge forbids.

Two looks, and neither is a proof: a decoder that refuses whatever was altered passes the first. The second knows the
formats that Pillow reads, and pixels; one that keeps its pictures otherwise, as behind a cipher or in streams of its
own codec, passes that (docs/reliability.md). The first runs the decoder on data that do not hold these pictures, which
must not give them, and on data of which a half is random, which must not give all of them unchanged. The second
searches the decoder's members for pictures, for bytes of the originals' files, and for the set's pixels at several
scales.
"""

import io
import random
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from harness.challenge.archive import zip_bytes
from harness.challenge.findings import Finding
from harness.challenge.members import embedded_pictures, held_pixels, templates, unpacked
from harness.challenge.pictures import pictures_in
from harness.challenge.trial import Trial
from harness.errors import ClicError
from harness.images import SourceImage, load_rgb
from harness.progress import bar
from harness.scratch import scratch

BLOCKS = 64  # that shuffled data are cut into
ALIKE = 0.5  # correlation of two thumbnails; that of different photographs stays near 0
THUMBNAIL = 64
WINDOW = 32  # bytes of an original's file that are looked for
WINDOWS = 16  # of each file
EXPECTED = "pictures that come from the data file alone"
REMOVE = "leave image data out of the decoder"


def honesty_findings(trial: Trial, digests: Mapping[str, str]) -> Iterator[Finding]:
    """Run the decoder on other data, and search its members. `digests` are those of the right data's pictures."""
    trial = replace(trial, options=replace(trial.options, keep=None))
    most_pixels = max(original.pixels for original in trial.originals)
    originals = {original.name: _thumbnail(load_rgb(original.path)) for original in trial.originals}
    with scratch("honest") as folder:
        for number, (name, content) in enumerate(_other_data(trial)):
            data = folder / str(number) / trial.data.name
            data.parent.mkdir()
            data.write_bytes(content)
            given: dict[str, np.ndarray] = {}

            def look(work: Path, given: dict[str, np.ndarray] = given) -> None:
                given.update(_thumbnails(work, most_pixels))

            _, _, again = replace(trial, data=data).run(f"decoding {name}", look=look)
            if digests and all(again.get(picture) == digest for picture, digest in digests.items()):
                yield Finding(f"gives the same pictures from {name}", "./decode", EXPECTED, REMOVE)
            elif "half" not in name:
                yield from _recognised(name, given, originals)
    yield from _member_findings(trial.decoder, trial.originals)


def _other_data(trial: Trial) -> Iterator[tuple[str, bytes]]:
    """Data files that the pictures must not come from, by what they are."""
    try:
        content = trial.data.read_bytes()
        other = trial.options.other_data.read_bytes() if trial.options.other_data else None
    except OSError as error:
        raise ClicError(
            f"{error.filename}: not readable ({error.strerror}); give a data file of other images"
        ) from error
    if other is not None:
        yield "the data of other images", other
    else:
        yield "shuffled data", _altered(content, _shuffled)
    yield "data whose first half is random", _altered(content, lambda data: _random(data, 0, len(data) // 2))
    yield "data whose second half is random", _altered(content, lambda data: _random(data, len(data) // 2, len(data)))


def _altered(content: bytes, alter: Callable[[bytes], bytes]) -> bytes:
    """A data file with its payload altered: of each member where it is a zip, whose directory stays sound."""
    if not zipfile.is_zipfile(io.BytesIO(content)):
        return alter(content)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist() if not info.is_dir()}
    return zip_bytes({name: alter(member) for name, member in members.items()}, executable=())


def _shuffled(data: bytes) -> bytes:
    size = max(1, -(-len(data) // BLOCKS))
    blocks = [data[at : at + size] for at in range(0, len(data), size)]
    random.Random(0).shuffle(blocks)
    return b"".join(blocks)


def _random(data: bytes, begin: int, end: int) -> bytes:
    return data[:begin] + random.Random(0).randbytes(end - begin) + data[end:]


def _thumbnails(folder: Path, most_pixels: int) -> Iterator[tuple[str, np.ndarray]]:
    for name, paths in pictures_in(folder).items():
        try:
            yield name, _thumbnail(load_rgb(paths[0], most_pixels=most_pixels))
        except ClicError:
            continue  # no picture, so none of the originals


def _thumbnail(pixels: np.ndarray) -> np.ndarray:
    """Small luminance without what neighbours share, of unit length; zeros for an image without any detail."""
    small = Image.fromarray(pixels).convert("L").resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
    plane = np.asarray(small, np.float64)
    coarse = plane.reshape(8, 8, 8, 8).mean(axis=(1, 3), keepdims=True)
    detail = (plane.reshape(8, 8, 8, 8) - coarse).ravel()
    return np.asarray(detail / max(float(np.linalg.norm(detail)), 1e-9))


def _recognised(name: str, given: Mapping[str, np.ndarray], originals: Mapping[str, np.ndarray]) -> Iterator[Finding]:
    for picture, thumbnail in given.items():
        for original, expected in originals.items():
            if float(thumbnail @ expected) > ALIKE:
                yield Finding(f"shows {original!r} from {name}", picture, EXPECTED, REMOVE)


def _member_findings(decoder: Path, originals: Sequence[SourceImage]) -> Iterator[Finding]:
    """Members that hold pictures, or something of the set's."""
    wanted = templates(originals, load_rgb)
    windows = {original.name: _windows(original.path.read_bytes()) for original in originals}
    members = list(unpacked(decoder))
    total = sum(len(content) for _, content in members)
    done = 0
    with bar("searching the decoder") as show:
        for where, content in members:
            place = f"{decoder.name}: {where}"
            for picture in embedded_pictures(content):
                yield Finding(f"holds {picture}", place, "no image data", REMOVE)
            for name, pieces in windows.items():
                if any(piece in content for piece in pieces):
                    yield Finding(f"holds bytes of the file of {name!r}", place, "no image data", REMOVE)
            seen = set()
            for template in held_pixels(content, wanted):
                if template.image not in seen:
                    seen.add(template.image)
                    size = "" if template.scale == 1 else f" at 1/{template.scale} of its size"
                    yield Finding(f"holds pixels of {template.image!r}{size}", place, "no image data", REMOVE)
            done += len(content)
            show(done, total)


def _windows(content: bytes) -> list[bytes]:
    """Stretches of a file that no other file has by chance."""
    step = max(WINDOW, len(content) // WINDOWS)
    pieces = [content[at : at + WINDOW] for at in range(step // 2, len(content) - WINDOW, step)]
    return [piece for piece in pieces if len(set(piece)) >= WINDOW // 2]
