"""What the suite holds: for each shipped model a stream for each element and bound, and streams that are refused."""

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from decoder.bitstream import MAX_SIDE, Header, Stream, put_varint, read_header, write_stream
from decoder.container import MAGIC, pack
from decoder.model import Model
from submission.conformance import drawn
from submission.conformance.drawn import Choice, chosen_stream, with_header
from submission.encoder import EncoderNetworks, analyse, encode_latent

SIZES = (  # around the latent's and the hyper-latent's blocks, and where a side takes one more byte
    *((1, 1), (1, 2), (2, 1), (15, 15), (16, 16), (17, 16), (16, 17), (63, 5), (64, 64), (65, 64), (64, 65), (80, 48)),
    *((127, 1), (128, 1), (1, 127), (1, 128), (129, 33), (33, 129), (256, 16), (16, 256)),
)
LONG = ((16383, 1), (16384, 1), (1, 16384))
CHOICES: dict[str, Choice] = {
    "likeliest": drawn.likeliest,
    "typical": drawn.typical,
    "any-position": drawn.any_position,
    "lowest": drawn.lowest,
    "highest": drawn.highest,
    "swinging": drawn.swinging,
}
ESCAPES = {
    "one-value": (5000,),
    "just-outside": (300, -300),
    "zigzag-bounds": (0x7FFFFFFF, -0x80000000),
    "one-and-two-bytes": (63, 64, -64, -65, 8191, 8192, -8192, -8193),
    "in-range": (0, 1, -1),
}


@dataclass(frozen=True)
class Vector:
    """A stream or, where `is_set`, a data file; `error` is part of the message with which it is refused, if it is."""

    name: str
    content: bytes
    error: str = ""
    is_set: bool = False

    @property
    def file(self) -> str:
        """Its name in the suite."""
        return f"{self.name}.{'set' if self.is_set else 'clic'}"


def vectors(number: int, model: Model, networks: EncoderNetworks | None) -> Iterator[Vector]:
    """All of one model, by names that begin with its number; streams of pixels where it can still encode."""
    for kind in (_sizes, _gains, _symbols, _escapes, _lanes, _stress):
        for name, stream in kind(number, model):
            yield Vector(f"{number}-{name}", write_stream(stream))
    if networks is not None:
        for name, pixels in _sources().items():
            analysed = analyse(networks, pixels)
            for gain in (model.gains // 4, model.gains - 1):
                content, _ = encode_latent(networks, model, analysed, gain, number)
                yield Vector(f"{number}-source-{name}-{gain}", content)
    yield from _refused(number, model)


def containers() -> Iterator[Vector]:
    """Data files that are refused."""
    whole = pack({"a": b"one", "b": b"two"})
    table = whole[len(MAGIC) + 2 :]
    length = whole[len(MAGIC) + 1]
    twice = zlib.compress(b"a\na", 9)
    ends = "tables do not fit each other"
    for name, content, error in (
        ("empty", b"", "does not begin"),
        ("version", b"CLIC\x02" + whole[5:], "does not begin"),
        ("magic", b"clic\x01" + whole[5:], "does not begin"),
        ("ends-after-magic", MAGIC, "ends inside a number"),
        ("more-images", MAGIC + bytes([3, length]) + table, ends),
        ("no-images", MAGIC + bytes([0, length]) + table, "bytes where its tables say"),
        ("cut", whole[:-1], "bytes where its tables say"),
        ("longer", whole + b"x", "bytes where its tables say"),
        ("damaged-names", whole[:9] + bytes([whole[9] ^ 255]) + whole[10:], "name table is damaged"),
        ("cut-names", whole[:12], "name table is damaged"),
        ("without-lengths", whole[: 7 + length], ends),
        ("name-twice", MAGIC + bytes([2, len(twice)]) + twice + bytes(8), ends),
        ("climbing-name", pack({"../a": b"one"}), "is no file name"),
        ("absolute-name", pack({"/a": b"one"}), "is no file name"),
        ("backslash", pack({"a\\b": b"one"}), "is no file name"),
        ("null", pack({"a\0b": b"one"}), "is no file name"),
        ("dots", pack({"..": b"one"}), "is no file name"),
        ("empty-name", pack({"": b"one"}), "is no file name"),
    ):
        yield Vector(f"set-{name}", content, error, is_set=True)


def _header(number: int, model: Model, width: int, height: int, gain: int | None = None) -> Header:
    return Header(width, height, model.gains // 2 if gain is None else gain, number)


def _sizes(number: int, model: Model) -> Iterator[tuple[str, Stream]]:
    for width, height in SIZES:
        header = _header(number, model, width, height)
        yield f"size-{width}x{height}", chosen_stream(model, header, drawn.typical, width + 7 * height)


def _gains(number: int, model: Model) -> Iterator[tuple[str, Stream]]:
    top = model.gains - 1
    for gain in sorted({0, 1, 15, 16, 17, 31, 32, 33, top // 2, top - 16, top - 1, top}):
        yield f"gain-{gain}", chosen_stream(model, _header(number, model, 40, 24, gain), drawn.typical, gain)
    header = _header(number, model, 24, 24)
    yield "refined", chosen_stream(model, replace(header, refined=True), drawn.typical)
    yield "grey", chosen_stream(model, replace(header, grey=True), drawn.typical)


def _symbols(number: int, model: Model) -> Iterator[tuple[str, Stream]]:
    for name, choose in CHOICES.items():
        yield f"symbols-{name}", chosen_stream(model, _header(number, model, 48, 48), choose, 3)


def _escapes(number: int, model: Model) -> Iterator[tuple[str, Stream]]:
    for name, values in ESCAPES.items():
        choose = drawn.escaping(*values)
        yield f"escapes-{name}", chosen_stream(model, _header(number, model, 32, 32), choose, 4)
    every = drawn.escaping(777, every=1)
    yield "escapes-everywhere", chosen_stream(model, _header(number, model, 16, 16), every, 5)


def _lanes(number: int, model: Model) -> Iterator[tuple[str, Stream]]:
    """One lane at its longest, and the fewest lanes that there are, with zeros where the symbols need no more."""
    header = _header(number, model, 48, 48)
    for name, words in (("one-longest", 12_799), ("32", 12_800), ("33", 13_200), ("256", 102_400)):
        yield f"lanes-{name}", chosen_stream(model, header, drawn.typical, 6, words)
    yield "lanes-32-full", chosen_stream(model, _header(number, model, 160, 160), drawn.any_position, 7)


def _stress(number: int, model: Model) -> Iterator[tuple[str, Stream]]:
    for width, height in LONG:
        yield f"long-{width}x{height}", chosen_stream(model, _header(number, model, width, height), drawn.typical, 8)
    if model.entropy.context.alternates or not model.entropy.context.taps:  # few steps whatever the size
        for width, height in ((MAX_SIDE, 1), (1, MAX_SIDE)):
            header = _header(number, model, width, height)
            yield f"longest-{width}x{height}", chosen_stream(model, header, drawn.likeliest, 9)


def _sources(height: int = 40, width: int = 56) -> Mapping[str, np.ndarray]:
    """Pictures that are hard on a codec, uint8 (H, W, 3)."""
    rows, columns = np.mgrid[0:height, 0:width]
    board = (rows + columns) % 2
    rng = np.random.default_rng(18)
    planes = {
        "black": np.zeros_like(rows),
        "white": np.full_like(rows, 255),
        "grey": np.full_like(rows, 128),
        "dither": 127 + board * 2,
        "checkerboard": 255 * board,
        "stripes": 255 * (columns % 2),
        "impulses": 255 * ((rows % 16 == 7) & (columns % 16 == 7)),
        "edge": 255 * (columns >= width // 2 + 1),
        "ramp": columns * 255 // (width - 1),
    }
    pictures = {name: np.repeat(plane[..., None], 3, axis=2).astype(np.uint8) for name, plane in planes.items()}
    pictures["noise"] = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    pictures["colors"] = np.stack([255 * board, 255 - 255 * board, columns * 4], axis=2).astype(np.uint8)
    return pictures


def _refused(number: int, model: Model) -> Iterator[Vector]:
    """Streams that no encoder writes, each with words of the error that is due."""
    stream = chosen_stream(model, _header(number, model, 40, 24), drawn.typical, 10)
    escaped = chosen_stream(model, _header(number, model, 32, 32), drawn.escaping(900), 11)
    many = chosen_stream(model, _header(number, model, 96, 96), drawn.any_position, 12, 12_800)
    good = write_stream(stream)
    start = read_header(good)[1]
    rest = good[start:]
    words = stream.words.copy()
    words[-1] ^= 1
    less = replace(escaped, escapes=escaped.escapes[:-1])
    more = replace(escaped, escapes=[*escaped.escapes, 1])
    other = replace(escaped, escapes=[*escaped.escapes[:-1], escaped.escapes[-1] + 1])
    low = np.concatenate([[0], stream.words[1:]]).astype(np.uint16)
    short = "shorter than a header"
    claim = "the stream claims"
    cases: list[tuple[str, bytes, str]] = [
        ("empty", b"", short),
        ("one-byte", good[:1], short),
        ("two-bytes", good[:2], short),
        *((f"version-{v}", bytes([v << 4]) + good[1:], f"of version {v}") for v in (0, 1, 3, 15)),
        ("offset-missing", bytes([good[0] | 1]) + good[1:3], short),
        ("filter-missing", bytes([good[0] | 2]) + good[1:3], short),
        ("offset", with_header(stream, offset=3), "offset or a filter"),
        ("filter", with_header(stream, filter=3), "offset or a filter"),
        ("model-255", with_header(stream, model=255), "needs model 255"),
        ("gain-too-high", with_header(stream, gain=model.gains), "is not below"),
        ("gain-255", with_header(stream, gain=255), "is not below"),
        ("no-sides", good[:3], "ends inside a number"),
        ("one-side", good[:4], "ends inside a number"),
        ("side-without-end", good[:3] + b"\x80" * 4, "ends inside a number"),
        ("side-too-long", good[:3] + b"\xff" * 6, "too long"),
        ("width-0", with_header(stream, width=0), claim),
        ("height-0", with_header(stream, height=0), claim),
        ("width-too-large", with_header(stream, width=MAX_SIDE + 1), claim),
        ("height-too-large", with_header(stream, height=MAX_SIDE + 1), claim),
        ("too-many-pixels", with_header(stream, width=8193, height=8192), claim),
        ("pixels-for-bytes", with_header(stream, width=4096, height=4096), "pixels in"),
        ("other-width", with_header(stream, width=41), "check"),
        ("other-height", with_header(stream, height=25), "check"),
        ("other-gain", with_header(stream, gain=stream.header.gain - 1), "check"),
        ("refined", with_header(stream, refined=True), "check"),
        ("grey", with_header(stream, grey=True), "check"),
        ("ends-after-header", good[: start + 1], "ends inside its header"),
        ("ends-after-check", good[: start + 2], "ends inside its header"),
        ("check", good[:start] + bytes([rest[0] ^ 1]) + rest[1:], "check"),
        *((f"lanes-{n}", write_stream(replace(stream, lanes=n, main=9)), f"for {n} lanes") for n in (0, 2, 31, 257)),
        ("lanes-too-few", write_stream(replace(stream, words=np.resize(stream.words, 16_001))), "words for 1 lanes"),
        ("states-missing", write_stream(replace(stream, lanes=32, main=9)), "before its coder states"),
        ("half-a-word", good[:-1], "inside a word"),
        ("a-word-less", good[:-2], "ends too early"),
        ("a-word-more", good + b"\x01\x00", "does not end where"),
        ("state-too-low", write_stream(replace(stream, words=low)), "state is out of range"),
        ("last-word", write_stream(replace(stream, words=words)), ""),
        ("escapes-for-bytes", _claiming(good, start), "more escaped values than it has bytes"),
        ("escape-too-large", _escape_too_large(escaped), "out of range"),
        ("escapes-missing", write_stream(less), "fewer escaped values"),
        ("escapes-left", write_stream(more), "more escaped values than escapes"),
        ("escape-other", write_stream(other), ""),
        ("main-less", write_stream(replace(many, main=many.main - 1)), ""),
        ("main-more", write_stream(replace(many, main=many.main + 1)), ""),
    ]
    for name, content, error in cases:
        yield Vector(f"{number}-refused-{name}", content, error or "the ")  # which one depends on the model
    for place in range(3, len(good) - 1, 5):
        yield Vector(f"{number}-refused-cut-{place}", good[:place], "the ")


def _claiming(good: bytes, start: int) -> bytes:
    """A stream that says it had escapes without end."""
    return good[: start + 2] + put_varint(3) + put_varint((1 << 35) - 1) + good[start + 3 :]


def _escape_too_large(stream: Stream) -> bytes:
    """A stream with an escaped value of 33 bits."""
    return write_stream(replace(stream, escapes=[1 << 31, *stream.escapes[1:]]))
