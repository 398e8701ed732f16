"""Zip archives: written byte for byte alike on every machine, and unpacked without trusting them."""

import hashlib
import io
import stat
import zipfile
import zlib
from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath

from harness.challenge.profiles import Profile
from harness.errors import ClicError
from harness.files import write_atomic

DECODER = "decoder.zip"  # the name of what holds `decode` and all that it needs
PICTURES = "images"  # the folder beside it in which what it decoded is kept
MAX_MEMBERS = 10_000
MAX_RATIO = 200  # unpacked over packed bytes; weights and code stay below 20, deflate reaches 1,032
RATIO_FREE_BYTES = 10_000_000  # below this size a high ratio harms nobody
_CHUNK = 1 << 20
_DATE = (1980, 1, 1, 0, 0, 0)  # the first that the format can hold


def zip_bytes(members: Mapping[str, bytes], executable: Collection[str] = ("decode",), compress: bool = False) -> bytes:
    """A zip that depends on its members alone: sorted, of one date, with fixed modes (0755 for `executable`).

    Stored, or deflated where `compress` is set; deflated bytes are the same only for the same zlib. Costs
    76 bytes and twice the name's length a member, and 22 in all (PKWARE APPNOTE 4.3), below 4 GiB.
    Raises ClicError for a name that `extract_zip` would refuse.
    """
    problems = _name_problems(members)
    if problems:
        raise ClicError("new archive: " + "; ".join(problems))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in sorted(members):
            info = zipfile.ZipInfo(name, _DATE)
            info.create_system = 3  # Unix: only there does the mode below mean anything
            info.external_attr = (stat.S_IFREG | (0o755 if name in executable else 0o644)) << 16
            info.compress_type = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
            archive.writestr(info, members[name], compresslevel=9)
    return buffer.getvalue()


def write_zip(
    path: Path, members: Mapping[str, bytes], executable: Collection[str] = ("decode",), compress: bool = False
) -> None:
    """Write `zip_bytes(...)` to `path`, whole or not at all."""
    write_atomic(path, zip_bytes(members, executable, compress))


def data_file_bytes(payload: bytes, profile: Profile) -> bytes:
    """The data file as uploaded: the payload itself, or the profile's zip of it."""
    return zip_bytes({profile.payload: payload}, executable=()) if profile.container == "zip" else payload


def sha224(path: Path) -> str:
    """Hex SHA-224 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha224").hexdigest()


def members_sha256(path: Path) -> dict[str, str]:
    """Hex SHA-256 of each member of an archive, by name; not to be used on a stranger's. Raises ClicError."""
    with _open(path) as archive:
        try:
            return {name: hashlib.sha256(archive.read(name)).hexdigest() for name in archive.namelist()}
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError) as error:
            raise ClicError(f"{path}: damaged ({error}); pack it again") from error


def archive_problems(path: Path, max_bytes: int, max_members: int = MAX_MEMBERS) -> list[str]:
    """All reasons why `extract_zip` would refuse the archive, a sentence each; writes nothing.

    `max_bytes` is the limit of all members together, unpacked; it is counted while unpacking, because a
    header may lie. That the file is no zip at all is such a reason too.
    """
    try:
        with _open(path) as archive:
            return _problems(path, archive, max_bytes, max_members)
    except ClicError as error:
        return [str(error)]


def extract_zip(path: Path, folder: Path, max_bytes: int, max_members: int = MAX_MEMBERS) -> None:
    """Unpack an archive into `folder`, with execute bits, after all of it was found harmless.

    Raises ClicError with everything that `archive_problems` finds, before a byte is written; and for a
    member that cannot be written, as where the folder has it already.
    """
    with _open(path) as archive:
        problems = _problems(path, archive, max_bytes, max_members)
        if problems:
            raise ClicError("; ".join(problems))
        for info in archive.infolist():
            target = folder / info.filename
            try:
                _extract(archive, info, target)
            except OSError as error:
                raise ClicError(
                    f"{path}: member {info.filename!r} cannot be written in {folder} "
                    f"({error.strerror}); rename it, or make room there, as by another TMPDIR"
                ) from error


def is_executable(info: zipfile.ZipInfo) -> bool:
    """Whether the archive marks the member as executable."""
    return info.create_system == 3 and bool(info.external_attr >> 16 & 0o111)


def _open(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise ClicError(f"{path}: not a readable zip ({error}); pack it again") from error


def _extract(archive: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path) -> None:
    if info.is_dir():
        target.mkdir(parents=True, exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(info) as source, target.open("xb") as file:
        while chunk := source.read(_CHUNK):
            file.write(chunk)
    target.chmod(0o755 if is_executable(info) else 0o644)


def _problems(path: Path, archive: zipfile.ZipFile, max_bytes: int, max_members: int) -> list[str]:
    infos = archive.infolist()
    if len(infos) > max_members:
        return [f"{path}: {len(infos)} members; keep it to {max_members}"]
    found = _name_problems([info.orig_filename for info in infos])
    total = 0
    for info in infos:
        unreadable = _header_problems(info)
        found += unreadable
        if unreadable:
            continue
        try:
            # A total over the limit ends the count: what comes after is not worth unpacking.
            total += _unpacked(archive, info, max_bytes - total)
        except _TooLarge:
            found.append(
                f"unpacks to more than {max_bytes:,} bytes, reached at member {info.orig_filename!r}; pack less"
            )
            break
        except ClicError as error:
            found.append(str(error))
    return [f"{path}: {problem}" for problem in found]


def _header_problems(info: zipfile.ZipInfo) -> list[str]:
    """What the directory entry says against reading this member."""
    name = info.orig_filename
    found = []
    kind = stat.S_IFMT(info.external_attr >> 16) if info.create_system == 3 else 0
    if stat.S_ISLNK(kind):
        found.append(f"member {name!r} is a link; pack the file that it points to")
    elif kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        found.append(f"member {name!r} is neither a file nor a folder; leave it out")
    if info.flag_bits & 0x1:
        found.append(f"member {name!r} is encrypted; pack it without a password")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        found.append(f"member {name!r} is packed by method {info.compress_type}; store or deflate it")
    return found


class _TooLarge(Exception):
    """The members so far unpack to more than the limit."""


def _unpacked(archive: zipfile.ZipFile, info: zipfile.ZipInfo, allowance: int) -> int:
    """Bytes that a member really unpacks to. Raises ClicError for a broken one or a bomb, _TooLarge."""
    name, size = info.orig_filename, 0
    try:
        with archive.open(info) as source:
            while chunk := source.read(_CHUNK):
                size += len(chunk)
                if size > allowance:
                    raise _TooLarge
                if size > max(RATIO_FREE_BYTES, MAX_RATIO * info.compress_size):
                    raise ClicError(
                        f"member {name!r} unpacks to over {MAX_RATIO} times its packed size; store it, or leave it out"
                    )
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError) as error:
        raise ClicError(f"member {name!r} is damaged ({error}); pack it again") from error
    return size


def _name_problems(names: Collection[str]) -> list[str]:
    """What speaks against these names as paths below one folder, also on a disk that ignores case."""
    found: list[str] = []
    seen: dict[str, str] = {}
    folders: dict[str, str] = {}
    for name in names:
        parts = name.removesuffix("/").split("/")
        if not (name.isascii() and name.isprintable()):
            found.append(f"member {name!r} has characters outside printable ASCII; rename it")
        elif "\\" in name:
            found.append(f"member {name!r} has a backslash; separate folders by /")
        elif name.startswith("/") or name[1:2] == ":":
            found.append(f"member {name!r} is an absolute path; give it relative to the folder")
        elif ".." in parts:
            found.append(f"member {name!r} climbs out of the folder; leave out '..'")
        elif "" in parts or "." in parts:
            found.append(f"member {name!r} has an empty part or '.' in its path; write the plain path")
        key = name.removesuffix("/").lower()
        if key in seen:
            found.append(f"members {seen[key]!r} and {name!r} are duplicates, letter case aside; keep one")
        seen.setdefault(key, name)
        folders.update((str(parent), name) for parent in PurePosixPath(key).parents)
    found += [
        f"member {name!r} is a file, and the folder of {folders[key]!r}; rename one"
        for key, name in seen.items()
        if key in folders and not name.endswith("/")
    ]
    return found
