"""Everything for which the challenge's server would reject a submission, all at once and beforehand."""

import os
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image

from harness.challenge.archive import archive_problems, is_executable, sha224
from harness.challenge.profiles import Profile
from harness.challenge.sandbox import UNPACKED_RATIO, DecodeRun, RunOptions, run_decoder
from harness.errors import ClicError
from harness.files import write_atomic
from harness.images import SourceImage, list_images
from harness.progress import bar

DECODER = "decoder.zip"
PICTURE_ENDINGS = (
    ".apng",
    ".avif",
    ".bmp",
    ".bpg",
    ".gif",
    ".heic",
    ".heif",
    ".j2k",
    ".jp2",
    ".jpeg",
    ".jpg",
    ".jxl",
    ".pgm",
    ".png",
    ".pnm",
    ".ppm",
    ".qoi",
    ".tif",
    ".tiff",
    ".webp",
    ".264",
    ".265",
    ".avi",
    ".h264",
    ".h265",
    ".hevc",
    ".ivf",
    ".mkv",
    ".mov",
    ".mp4",
    ".obu",
    ".webm",
    ".y4m",
    ".yuv",
)
_SCRIPT_BYTES = 1 << 20  # of `decode`, enough to judge a script
_SAYS_AT_MOST = 300  # characters of the decoder's last line
_DATA_UNPACKED = 1 << 30  # no set's data comes near
_PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"  # W3C PNG, 5.2 and 11.2.1: width, height, depth, colour type follow


@dataclass(frozen=True)
class Finding:
    """One reason for a rejection: what, where, what is expected there, how to mend it."""

    what: str
    where: str
    expected: str
    mend: str

    def __str__(self) -> str:
        """The finding in one line."""
        return f"{self.where}: {self.what}; expected {self.expected}; {self.mend}"


@dataclass(frozen=True)
class Verification:
    """What was found and measured. Sizes are in bytes of the files as uploaded, None where there is no file.

    `images` counts the pictures that decoded as they should. Seconds, memory and `sandbox` are None where the
    decoder was not run; `not_enforced` names what the sandbox could not keep it from. `decoder_says` is the last line
    that the decoder printed; ours says there how its seconds split into entropy decoding, synthesis and PNG.
    """

    findings: tuple[Finding, ...]
    rate: str
    pixels: int
    budget_bytes: int
    data_bytes: int | None
    decoder_bytes: int | None
    decoder_sha224: str | None
    images: int = 0
    decode_seconds: float | None = None
    decoder_says: str | None = None
    peak_memory_bytes: int | None = None
    sandbox: str | None = None
    not_enforced: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def to_json(self) -> dict[str, Any]:
        """All of it as plain values for a JSON file."""
        return {"ok": self.ok, **asdict(self)}


def verify(
    directory: Path,
    images: Path,
    profile: Profile,
    rate: str,
    time_limit: float | None = None,
    keep: Path | None = None,
) -> Verification:
    """Check the submission in `directory`, decoder.zip and the profile's data file, against the originals.

    The decoder runs in a temporary folder unless a finding rules that out; `time_limit` is in seconds, by
    default the profile's. Pictures that decoded as they should are put into `keep` as NAME.png. Raises
    ClicError where nothing can be checked: no such folders, an unreadable original, a rate that is none.
    """
    if not directory.is_dir():
        raise ClicError(f"{directory}: no such folder; give the one with {DECODER} and {profile.data_file}")
    originals = list_images(images)
    pixels = sum(image.pixels for image in originals)
    budget = profile.budget(pixels, rate)
    decoder, data = directory / DECODER, directory / profile.data_file

    blocking = [*_decoder_archive(decoder, profile), *_data_archive(data, profile)]
    other = [*_sizes(decoder, data, profile, budget, rate), *_forbidden(decoder)]
    run, decoded = None, 0
    if not blocking:
        with tempfile.TemporaryDirectory(prefix="clic-verify-", ignore_cleanup_errors=True) as folder:
            workdir = Path(folder).resolve() / "work"
            with bar(f"{rate}: decoding") as progress:

                def count(seen: Path) -> None:
                    progress(len(_pictures(seen)), len(originals))

                run = run_decoder(decoder, data, workdir, profile, RunOptions(time_limit, tick=count))
            other += _run_findings(run, profile, time_limit)
            pictures = _pictures(workdir)
            for original in originals:
                found = list(_picture_findings(original, pictures.get(f"{original.name}.png", []), workdir))
                other += found
                if not found:
                    decoded += 1
                    if keep is not None:
                        path = pictures[f"{original.name}.png"][0]
                        write_atomic(keep / path.name, path.read_bytes())
    return Verification(
        findings=(*blocking, *other),
        rate=rate,
        pixels=pixels,
        budget_bytes=budget,
        data_bytes=_size(data),
        decoder_bytes=_size(decoder),
        decoder_sha224=sha224(decoder) if decoder.is_file() else None,
        images=decoded,
        decode_seconds=run.seconds if run else None,
        decoder_says=_last_line(run.output) if run else None,
        peak_memory_bytes=run.peak_memory_bytes if run else None,
        sandbox=run.level if run else None,
        not_enforced=run.not_enforced if run else (),
    )


def _last_line(output: str) -> str:
    lines = output.strip().splitlines()
    return lines[-1].strip()[:_SAYS_AT_MOST] if lines else ""


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None


def _archive(path: Path, max_bytes: int) -> Iterator[Finding]:
    """Findings of a file that has to be a sound zip."""
    for problem in archive_problems(path, max_bytes):
        what, _, mend = problem.removeprefix(f"{path}: ").rpartition("; ")
        yield Finding(what, path.name, "an archive that unpacks safely everywhere", mend)


def _data_archive(path: Path, profile: Profile) -> Iterator[Finding]:
    if not path.is_file():
        yield Finding("missing", path.name, f"the data file of {profile.title}", "pack the streams into it")
    elif profile.container == "zip":
        yield from _archive(path, _DATA_UNPACKED)


def _decoder_archive(path: Path, profile: Profile) -> Iterator[Finding]:
    """What keeps the decoder from being unpacked and started."""
    if not path.is_file():
        yield Finding("missing", path.name, "a zip with an executable 'decode'", "pack the decoder into it")
        return
    problems = list(_archive(path, UNPACKED_RATIO * profile.decoder_bytes))
    yield from problems
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            members = {info.filename: info for info in archive.infolist()}
            if profile.data_file in members:
                yield Finding(
                    f"member {profile.data_file!r} would lie where the data file does",
                    path.name,
                    "a decoder without data",
                    "leave it out",
                )
            if "decode" not in members:
                near = [name for name in members if PurePosixPath(name.lower()).stem == "decode"]
                yield Finding(
                    "no 'decode' at the top level" + (f" (but {near[0]!r})" if near else ""),
                    path.name,
                    "an executable file 'decode'",
                    "name it so and move it there",
                )
                return
            if not is_executable(members["decode"]):
                yield Finding(
                    "not executable",
                    f"{path.name}: decode",
                    "mode 0755 in the zip",
                    "chmod +x decode and pack again with a tool that keeps modes",
                )
            if not problems:
                with archive.open("decode") as file:
                    yield from _program(file.read(_SCRIPT_BYTES), f"{path.name}: decode")
    except (OSError, ValueError, zipfile.BadZipFile):
        return  # damaged: among the problems above already


def _program(head: bytes, where: str) -> Iterator[Finding]:
    """What keeps Linux from starting a file with these first bytes."""
    if head.startswith(b"\x7fELF"):
        return
    if not head.startswith(b"#!"):
        yield Finding(
            "neither a script nor a Linux program",
            where,
            "a first line with #!, or an ELF file",
            "add a first line such as #!/bin/bash",
        )
        return
    interpreter = head[2:].split(b"\n")[0].strip()
    if not interpreter.startswith(b"/"):
        yield Finding(
            f"interpreter {interpreter.decode(errors='replace')!r} is not a full path",
            where,
            "a path such as /bin/bash",
            "write the full path after #!",
        )
    if b"\r\n" in head:
        yield Finding(
            "lines end as on Windows (CRLF)",
            where,
            "lines that end in LF alone",
            "convert it, as by sed -i 's/\\r$//' decode",
        )


def _sizes(decoder: Path, data: Path, profile: Profile, budget: int, rate: str) -> Iterator[Finding]:
    size = _size(decoder)
    if size is not None and size > profile.decoder_bytes:
        yield Finding(
            f"{size:,} bytes, {size - profile.decoder_bytes:,} over the limit",
            decoder.name,
            f"at most {profile.decoder_bytes:,} bytes",
            "send fewer or smaller weights",
        )
    size = _size(data)
    if size is not None and size > budget:
        yield Finding(
            f"{size:,} bytes, {size - budget:,} over the budget",
            data.name,
            f"at most {budget:,} bytes for {rate} bits per pixel",
            "choose lower operating points",
        )


def _forbidden(decoder: Path) -> Iterator[Finding]:
    """Pictures or videos in the decoder, which the FAQ of 2024 and 2025 forbids."""
    try:
        with zipfile.ZipFile(decoder) as archive:
            names = archive.namelist()
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile):
        return  # a finding elsewhere
    for name in names:
        if PurePosixPath(name).suffix.lower() in PICTURE_ENDINGS:
            yield Finding(
                f"member {name!r} is a picture or a video",
                decoder.name,
                "no image or video data in the decoder",
                "leave it out",
            )


def _run_findings(run: DecodeRun, profile: Profile, time_limit: float | None) -> Iterator[Finding]:
    """What the run itself shows; a decoder that was stopped is not blamed for its exit code as well."""
    where = "./decode"
    limit = profile.seconds if time_limit is None else time_limit
    if run.stopped == "time":
        yield Finding(f"still running after {limit:g} s", where, f"an end within {limit:g} s", "use a faster model")
    elif run.stopped == "memory":
        yield Finding(
            f"took {run.peak_memory_bytes or 0:,} bytes of memory",
            where,
            f"at most {profile.memory_bytes:,}",
            "decode one picture, or one tile, after the other",
        )
    elif run.stopped:
        yield Finding(f"started too many {run.stopped}", where, "a handful", "start one a processor")
    elif run.returncode != 0:
        last = " / ".join(line.strip() for line in run.output.splitlines()[-3:] if line.strip())
        yield Finding(
            f"ended with code {run.returncode}, and printed last: {last or 'nothing'}",
            where,
            "code 0",
            "mend the error that it prints",
        )


def _pictures(folder: Path) -> dict[str, list[Path]]:
    """The PNG files in a folder and all below, by name; links are left out, they may point anywhere."""
    found: dict[str, list[Path]] = {}
    for place, _, names in os.walk(folder):
        for name in sorted(names):
            path = Path(place) / name
            if name.endswith(".png") and path.is_file() and not path.is_symlink():
                found.setdefault(name, []).append(path)
    return found


def _picture_findings(original: SourceImage, found: list[Path], workdir: Path) -> Iterator[Finding]:
    """What is wrong with the decoded picture of one original."""
    name, size = f"{original.name}.png", f"{original.width} x {original.height}"
    if not found:
        yield Finding("missing", name, f"a PNG of {size}", f"let decode write images/{name}")
        return
    if len(found) > 1:
        places = ", ".join(str(path.relative_to(workdir)) for path in sorted(found))
        yield Finding(f"written {len(found)} times: {places}", name, "one file of that name", "keep one")
        return
    try:
        with found[0].open("rb") as file:
            head = file.read(len(_PNG) + 10)
    except OSError as error:
        yield Finding(f"not readable ({error.strerror})", name, f"a PNG of {size}", "leave it readable")
        return
    if not head.startswith(_PNG) or len(head) < len(_PNG) + 10:
        yield Finding("not a PNG file", name, f"a PNG of {size}", "save it as PNG")
        return
    width, height = (int.from_bytes(head[at : at + 4], "big") for at in (16, 20))
    if (width, height) != (original.width, original.height):
        yield Finding(f"{width} x {height}", name, size, "write the size of the original")
        return
    if (head[24], head[25]) != (8, 2):
        yield Finding(
            f"PNG of {head[24]} bits and colour type {head[25]}",
            name,
            "RGB of 8 bits (type 2)",
            "convert it to RGB before saving",
        )
        return
    try:
        with Image.open(found[0]) as image:
            image.load()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        yield Finding(f"damaged ({error})", name, f"a whole PNG of {size}", "write it to its end")
