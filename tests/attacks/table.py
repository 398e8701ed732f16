"""Hostile and broken submissions: what each one does to a sound one, and the finding that it must give."""

import io
import math
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
from attacks.sound import PICTURES, PIXELS, PYTHON, SIZES, UNPACK, Submission, chunk, entry, png
from PIL import Image

from harness.challenge.archive import write_zip


class Attack(NamedTuple):
    """A name, what it does, and words of each finding that it must give, in any order; nothing else may be found."""

    name: str
    spoil: Callable[[Submission], object]
    findings: tuple[str, ...]


def flag(submission: Submission, at: int, value: int) -> None:
    """Set a 16-bit field of the decoder's first member, in its local header and (two bytes on) in the directory."""
    raw = bytearray(submission.decoder_zip.read_bytes())
    for signature, offset in ((b"PK\x03\x04", at), (b"PK\x01\x02", at + 2)):
        place = raw.index(signature) + offset
        raw[place : place + 2] = value.to_bytes(2, "little")
    submission.decoder_zip.write_bytes(raw)


def lie_about_size(submission: Submission) -> None:
    """A bomb whose headers say that it is small."""
    submission.members([("zeros", bytes(30_000_000))], zipfile.ZIP_DEFLATED)
    raw = bytearray(submission.decoder_zip.read_bytes())
    for found in (raw.rindex(b"PK\x03\x04") + 22, raw.rindex(b"PK\x01\x02") + 24):
        raw[found : found + 4] = (1000).to_bytes(4, "little")
    submission.decoder_zip.write_bytes(raw)


def cut(submission: Submission, data_file: bool = False) -> None:
    """Lose the end of an archive."""
    path = submission.data_file if data_file else submission.decoder_zip
    path.write_bytes(path.read_bytes()[:-30])


def flip(submission: Submission) -> None:
    """Damage one byte of `decode`."""
    raw = bytearray(submission.decoder_zip.read_bytes())
    raw[60] ^= 1
    submission.decoder_zip.write_bytes(raw)


def duplicate(submission: Submission) -> None:
    """Two members of one name."""
    with pytest.warns(UserWarning, match="Duplicate name"):
        submission.members([(entry("decode", 0o100755), b"#!/bin/sh\n")])


def over_budget(submission: Submission) -> None:
    """Ask for a rate whose budget is one byte less than the data file."""
    exact = 8 * (submission.data_file.stat().st_size - 1) / PIXELS
    submission.rate = f"{math.floor(exact * 1e6) / 1e6:.6f}"  # the budget is rounded up


def decoder_too_large(submission: Submission) -> None:
    """Shrink the rules' limit to one byte less than the decoder."""
    size = submission.decoder_zip.stat().st_size
    submission.rules.write_text(submission.rules.read_text().replace("1_000_000", str(size - 1)))


def picture(content: bytes) -> Callable[[Submission], None]:
    """Give this for the first picture."""
    return lambda submission: submission.data({**PICTURES, "one.png": content})


def deep() -> bytes:
    """An RGB PNG of 16 bits."""
    rows = zlib.compress((b"\0" + bytes(6 * 96)) * 64)
    head = struct.pack(">IIBBBBB", 96, 64, 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def jpeg() -> bytes:
    """A JPEG under a PNG's name."""
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((64, 96, 3), np.uint8)).save(buffer, "JPEG")
    return buffer.getvalue()


def second_size(width: int, height: int) -> bytes:
    """A PNG with a second header after its first."""
    again = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return PICTURES["one.png"][:33] + again + PICTURES["one.png"][33:-400]


def damaged_profile() -> bytes:
    """A PNG whose size is huge only once it is inflated."""
    head = struct.pack(">IIBBBBB", 96, 64, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\7" * 20)) + chunk(b"IEND", b"")


MISSING = tuple(f"{name}.png: missing" for name in SIZES)
AGAIN = tuple(f"{name}.png: other pixels when decoded again" for name in SIZES)
PAINT = "from PIL import Image\nimport numpy as np\nfor name, (w, h) in {'one': (96, 64), 'two': (80, 72)}.items():\n"
SAVE = "    Image.fromarray(np.full((h, w, 3), value % 256, np.uint8)).save(f'images/{name}.png')\n"

FILL = "(for i in $(seq 60); do fallocate -l 100M {0}$i; done; head -c 200M /dev/zero > {0}) 2> /dev/null || sleep 9"

ARCHIVES = [
    Attack("no zip", lambda s: s.decoder_zip.write_bytes(b"nothing"), ("not a readable zip",)),
    Attack("empty decoder", lambda s: s.decoder_zip.write_bytes(b""), ("not a readable zip",)),
    Attack("cut off", cut, ("not a readable zip",)),
    Attack("cut off data", lambda s: cut(s, data_file=True), ("bs.zip: not a readable zip",)),
    Attack("no decoder", lambda s: s.decoder_zip.unlink(), ("decoder.zip: missing",)),
    Attack("no data", lambda s: s.data_file.unlink(), ("bs.zip: missing",)),
    Attack("damaged", flip, ("member 'decode' is damaged",)),
    Attack("climbs", lambda s: s.members([("../out", b"")]), ("'../out' climbs out",)),
    Attack("climbs inside", lambda s: s.members([("a/../../out", b"")]), ("'a/../../out' climbs out",)),
    Attack("absolute", lambda s: s.members([("/tmp/out", b"")]), ("'/tmp/out' is an absolute path",)),
    Attack("drive", lambda s: s.members([("c:out", b"")]), ("'c:out' is an absolute path",)),
    Attack("backslash", lambda s: s.members([("a\\..\\out", b"")]), ("has a backslash",)),
    Attack("not ASCII", lambda s: s.members([("wÿrds", b"")]), ("outside printable ASCII",)),
    Attack("control characters", lambda s: s.members([("a\nb", b"")]), ("outside printable ASCII",)),
    Attack("link", lambda s: s.members([(entry("l", 0o120777), b"/etc/passwd")]), ("'l' is a link",)),
    Attack(
        "link to a folder",
        lambda s: s.members([(entry("l", 0o120777), b"/"), ("l/tmp/x", b"")]),
        ("is a link", "is a file, and the folder of"),
    ),
    Attack("pipe", lambda s: s.members([(entry("p", 0o10644), b"")]), ("neither a file nor a folder",)),
    Attack("device", lambda s: s.members([(entry("d", 0o60644), b"")]), ("neither a file nor a folder",)),
    Attack("duplicate", duplicate, ("'decode' and 'decode' are duplicates",)),
    Attack("case", lambda s: s.members([("a", b""), ("A", b"")]), ("'a' and 'A' are duplicates",)),
    Attack("file and folder", lambda s: s.members([("a", b""), ("a/b", b"")]), ("is a file, and the folder of",)),
    Attack("encrypted", lambda s: flag(s, 6, 1), ("'decode' is encrypted",)),
    Attack("other method", lambda s: flag(s, 8, 12), ("packed by method 12",)),
    Attack(
        "bomb",
        lambda s: s.members([("zeros", bytes(30_000_000))], zipfile.ZIP_DEFLATED),
        ("unpacks to more than 4,000,000 bytes",),
    ),
    Attack("lying bomb", lie_about_size, ("decoder.zip: ",)),
    Attack(
        "too many members",
        lambda s: s.members([(f"m/{number}", b"") for number in range(10_001)]),
        ("10002 members",),
    ),
    Attack("no decode", lambda s: write_zip(s.decoder_zip, {"bin/decode": b""}), ("(but 'bin/decode')",)),
    Attack("not executable", lambda s: write_zip(s.decoder_zip, {"decode": b"#!/bin/sh\n"}, ()), ("not executable",)),
    Attack("not a program", lambda s: s.decode("echo\n"), ("neither a script nor a Linux program",)),
    Attack("no full path", lambda s: s.decode("#!python3\n"), ("is not a full path",)),
    Attack("Windows", lambda s: s.decode(UNPACK.replace("\n", "\r\n")), ("lines end as on Windows",)),
    Attack("picture inside", lambda s: s.decode(UNPACK, {"a.PNG": b""}), ("'a.PNG' is a picture or a video",)),
    Attack("video inside", lambda s: s.decode(UNPACK, {"a.hevc": b""}), ("'a.hevc' is a picture or a video",)),
    Attack("data inside", lambda s: s.decode(UNPACK, {"bs.zip": b""}), ("'bs.zip' would lie where",)),
    Attack("over budget by one", over_budget, (", 1 over the budget",)),
    Attack("decoder over its limit", decoder_too_large, (", 1 over the limit",)),
]

RUNS = [
    Attack("fails", lambda s: s.then("exit 3"), ("ended with code 3",)),
    Attack("crashes", lambda s: s.then("kill -SEGV $$"), ("ended with code 139",)),
    Attack("no interpreter", lambda s: s.decode("#!/no/such\n"), ("ended with code 126", *MISSING)),
    Attack(
        "escape sequences",
        lambda s: s.then("printf '\\033[31mEVIL\\033]0;title\\007\\302\\233\\342\\200\\256\\377'; exit 3"),
        (r"last: \x1b[31mEVIL\x1b]0;title\x07\x9b\u202e" + "\ufffd; expected code 0",),
    ),
    Attack(
        "a very long line",
        lambda s: s.then("head -c 15000 /dev/zero | tr '\\0' x; echo the cause; exit 3"),
        ("xxx ... xxx",),
    ),
    Attack(
        "escape sequences in a name",
        lambda s: s.then(r"touch $'images/\x1b]0;title\x07.png' $'images/\xff.png'"),
        (r"2 extra pictures: images/\x1b]0;title\x07.png, images/\udcff.png; ",),
    ),
    Attack("writes nothing", lambda s: s.decode("#!/bin/sh\n"), MISSING),
    Attack("hangs", lambda s: s.then("trap '' TERM INT HUP; while :; do sleep 1; done"), ("still running after 3 s",)),
    Attack(
        "sleeps in the background", lambda s: s.then("setsid sleep LONG & sleep LONG"), ("still running after 3 s",)
    ),
    Attack(
        "takes all memory",
        lambda s: s.python("held = []\nwhile True: held.append(b'x' * 10_000_000)"),
        ("bytes of memory",),
    ),
    Attack("fills shared memory", lambda s: s.then("head -c 3G /dev/zero > /dev/shm/full"), ("ended with code 1",)),
    Attack("fork bomb", lambda s: s.then("f() { f | f & }; f; sleep 60"), ("started too many processes",)),
    Attack("fills the disk", lambda s: s.then(FILL.format("f")), ("filled the disk",)),
    Attack("fills /tmp", lambda s: s.then(FILL.format("/tmp/f")), ("filled the disk",)),
    Attack(
        "network",
        lambda s: s.python("try: socket.create_connection(('192.0.2.1', 80), 1)\nexcept OSError: pass"),
        ("tried to reach the network",),
    ),
    Attack(
        "datagrams",
        lambda s: s.python(
            "try: socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 53))\nexcept OSError: pass"
        ),
        ("tried to reach the network",),
    ),
    Attack(
        "asks for a name",
        lambda s: s.python("try: socket.getaddrinfo('example.org', 80)\nexcept OSError: pass"),
        ("tried to reach the network",),
    ),
    Attack("writes to its parent", lambda s: s.then("echo x > ../TOKEN"), ("wrote outside its folder: /home/",)),
    Attack("writes to the root", lambda s: s.then("echo x > /TOKEN"), ("wrote outside its folder: /",)),
    Attack("writes to the system", lambda s: s.then("echo x > /usr/lib/TOKEN"), ("Read-only file system",)),
    Attack("needs pandas", lambda s: s.python("import pandas"), ("ended with code 1", "needs the package 'pandas'")),
    Attack("needs skimage", lambda s: s.python("import skimage"), ("ended with code 1", "needs the package 'skimage'")),
    Attack("random output", lambda s: s.python(PAINT + "    value = os.urandom(1)[0]\n" + SAVE), ("AGAIN",)),
    Attack(
        "depends on the clock",
        lambda s: s.python(PAINT + "    value = time.time_ns() // 1000 * 37\n" + SAVE),
        ("AGAIN",),
    ),
    Attack(
        "depends on threads",
        lambda s: s.python(PAINT + "    value = int(os.environ.get('OMP_NUM_THREADS', 0))\n" + SAVE),
        AGAIN,
    ),
    Attack(
        "works once in two",
        lambda s: s.python("if 'OMP_NUM_THREADS' in os.environ: os.remove('images/one.png')"),
        ("one.png: not given when decoded again",),
    ),
    Attack("kills all it can", lambda s: s.then("kill -9 -1; exit 5"), ("ended with code",)),
    Attack("kills its parent", lambda s: s.then("kill -9 $PPID; exit 5"), ("ended with code",)),
    Attack("kills the first process", lambda s: s.then("kill -9 1; exit 5"), ("kill: (1) - ",)),
    Attack("leaves a daemon", lambda s: s.then("(setsid nohup sleep LONG > /dev/null 2>&1 &)"), ()),
    Attack("prints without end", lambda s: s.then("yes"), ("still running after 3 s",)),
    Attack("link for a picture", lambda s: s.then("ln -sf /etc/passwd images/one.png"), MISSING[:1]),
    Attack(
        "link to the originals",
        lambda s: s.then(f"ln -sf {s.originals}/one.png images/one.png"),
        MISSING[:1],
    ),
    Attack("pipe for a picture", lambda s: s.then("rm images/one.png; mkfifo images/one.png"), MISSING[:1]),
    Attack("folder for a picture", lambda s: s.then("rm images/one.png; mkdir images/one.png"), MISSING[:1]),
    Attack("picture without rights", lambda s: s.then("chmod 0 images/one.png"), ()),
    Attack("picture twice", lambda s: s.then("cp images/one.png ."), ("one.png: written 2 times",)),
    Attack(
        "other files",
        lambda s: s.then("cp images/one.png images/zz.png; echo x > junk.txt; cp images/one.png zz.png"),
        ("images/: 1 extra picture: images/zz.png; expected no pictures there but those of the originals",),
    ),
    Attack(
        "a name in capitals",
        lambda s: s.then("mv images/one.png images/ONE.PNG"),
        ("one.png: missing", "1 extra picture: images/ONE.PNG"),
    ),
    Attack(
        "pictures without end",
        lambda s: s.then("mkdir images/more; for i in $(seq 100 299); do : > images/more/$i.png; done"),
        ("images/: 200 extra pictures: images/more/100.png, ",),
    ),
    Attack(
        "links for pictures",
        lambda s: s.then("ln -s /etc/passwd images/zz.png"),
        (),
    ),
    Attack(
        "sparse files",
        lambda s: s.then("for i in 1 2 3 4; do truncate -s 7G images/$i.png; done"),
        ("images/: 4 extra pictures: images/1.png, images/2.png, images/3.png, images/4.png; ",),
    ),
    Attack(
        "sparse files for pictures",
        lambda s: s.then("truncate -s 7G images/one.png; truncate -s 100M images/two.png"),
        (
            "one.png: 7,516,192,768 bytes; expected a PNG of 96 x 64, at most 1,146,880 bytes; ",
            "two.png: 104,857,600 bytes; expected a PNG of 80 x 72",
        ),
    ),
    Attack(
        "folders without end",
        lambda s: s.python("for _ in range(1500):\n    os.mkdir('d')\n    os.chdir('d')"),
        (),
    ),
    Attack("wrong size", picture(png(64, 96)), ("one.png: 64 x 96; expected 96 x 64",)),
    Attack("greyscale", picture(png(96, 64, "L")), ("8 bits and colour type 0",)),
    Attack("alpha", picture(png(96, 64, "RGBA")), ("8 bits and colour type 6",)),
    Attack("palette", picture(png(96, 64, "P")), ("8 bits and colour type 3",)),
    Attack("16 bits", picture(deep()), ("16 bits and colour type 2",)),
    Attack("empty picture", picture(b""), ("one.png: not a PNG file",)),
    Attack("JPEG by another name", picture(jpeg()), ("one.png: not a PNG file",)),
    Attack("half a picture", picture(PICTURES["one.png"][:-400]), ("one.png: damaged",)),
    Attack("a second size", picture(second_size(96, 64)), ("one.png: damaged",)),
    Attack("a second size that is huge", picture(second_size(15_000, 15_000)), ("says 15000 x 15000 as well",)),
    Attack("too few rows", picture(damaged_profile()), ("one.png: damaged",)),
]

__all__ = ["AGAIN", "ARCHIVES", "PYTHON", "RUNS", "Attack"]
