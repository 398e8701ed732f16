"""What can be said of a submission's two files without running anything."""

import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from harness.challenge.archive import archive_problems, is_executable
from harness.challenge.findings import Finding
from harness.challenge.profiles import Profile
from harness.challenge.sandbox import UNPACKED_RATIO

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
_DATA_UNPACKED = 1 << 30  # no set's data comes near


def blocking(decoder: Path, data: Path, profile: Profile) -> Iterator[Finding]:
    """What keeps the decoder from being run, to see more."""
    yield from _decoder_archive(decoder, profile)
    yield from _data_archive(data, profile)


def size_of(path: Path) -> int | None:
    """Bytes of a file, None where there is none."""
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


def sizes(decoder: Path, data: Path, profile: Profile, budget: int, rate: str) -> Iterator[Finding]:
    size = size_of(decoder)
    if size is not None and size > profile.decoder_bytes:
        yield Finding(
            f"{size:,} bytes, {size - profile.decoder_bytes:,} over the limit",
            decoder.name,
            f"at most {profile.decoder_bytes:,} bytes",
            "send fewer or smaller weights",
        )
    size = size_of(data)
    if size is not None and size > budget:
        yield Finding(
            f"{size:,} bytes, {size - budget:,} over the budget",
            data.name,
            f"at most {budget:,} bytes for {rate} bits per pixel",
            "choose lower operating points",
        )


def forbidden(decoder: Path) -> Iterator[Finding]:
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
