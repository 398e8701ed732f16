"""Good streams, and the damage that may befall them: flipped bits, cut tails, exchanged files, hostile headers.

A case follows from a seed and a number alone.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from skimage import data_dir

from decoder.bitstream import MAX_PIXELS, MAX_SIDE, Header, Stream, least_words, read_header, read_stream, write_stream
from decoder.container import pack
from decoder.image import decode_latent
from decoder.model import Model
from decoder.rans import MAX_LANES, encode, plausible
from harness.images import load_rgb
from submission.codec import MODELS, LearnedCodec
from submission.encoder import analyse, encode_latent

MAX_NUMBER = (1 << 35) - 1  # that the format can say
FOREIGN = ("text.png", "rocket.jpg", "multipage.tif", "README.txt", "lfw_subset.npy")

# Photograph, row, column, height, width, part of the highest gain.
CROPS = (
    ("chelsea.png", 100, 200, 1, 1, 0.5),
    ("rocket.jpg", 300, 100, 17, 5, 1.0),
    ("astronaut.png", 0, 150, 40, 70, 0.3),
    ("coffee.png", 60, 250, 64, 64, 1.0),
    ("chelsea.png", 90, 130, 65, 63, 0.0),
    ("motorcycle_left.png", 200, 300, 33, 200, 0.7),
    ("hubble_deep_field.jpg", 100, 100, 96, 80, 1.0),
    ("astronaut.png", 100, 180, 128, 128, 0.9),
    ("grass.png", 0, 0, 128, 96, 1.0),
    ("coffee.png", 100, 100, 160, 192, 0.5),
    ("gravel.png", 0, 0, 192, 192, 0.9),
    ("rocket.jpg", 0, 0, 256, 320, 1.0),
    ("gravel.png", 0, 0, 400, 400, 1.0),
    ("astronaut.png", 0, 0, 512, 512, 0.4),
    ("astronaut.png", 0, 0, 512, 512, 1.0),
    ("coffee.png", 0, 0, 400, 600, 1.0),
    ("retina.jpg", 0, 0, 1411, 1411, 0.7),
)


@dataclass(frozen=True)
class Corpus:
    """What cases are made of: good streams, from small to large; streams of huge false sizes, whose hyper-latents
    are the likeliest there are and thus the longest for their bytes; and all that good streams mean (see `meaning`)."""

    good: tuple[bytes, ...]
    huge: tuple[bytes, ...]
    meanings: frozenset[tuple[Header, bytes]]


def meaning(data: bytes, models: Mapping[int, Model]) -> tuple[Header, bytes]:
    """All that decides a stream's pixels: header, and hash of the quantised latent. Raises BitstreamError."""
    _, stream, latent = decode_latent(data, models)
    return stream.header, hashlib.sha256(latent.tobytes()).digest()


def photographs(codec: LearnedCodec, crops: Sequence[tuple[str, int, int, int, int, float]] = CROPS) -> list[bytes]:
    """Streams of crops of real photographs."""
    top = codec.models[codec.number].gains - 1
    return [
        codec.encode(
            codec.prepare(load_rgb(Path(data_dir) / name)[y : y + h, x : x + w]), str(round(top * gain))
        ).stream
        for name, y, x, h, w, gain in crops
    ]


def with_escapes(codec: LearnedCodec) -> bytes:
    """The stream of a small image whose first, middle and very last symbols are escaped."""
    model = codec.models[codec.number]
    analysed = analyse(codec.networks, load_rgb(Path(data_dir) / "astronaut.png")[100:164, 200:280])
    latent = analysed.latent.clone()
    latent[0, ::50, 1, 2] = 900.0
    latent[0, 0, 0, 0] = latent[0, -1, -1, -1] = 3000.0
    gain = model.gains - 1
    return encode_latent(codec.networks, model, replace(analysed, latent=latent), gain, codec.number)[0]


def huge(model: Model, number: int) -> list[bytes]:
    """Streams that claim many pixels and whose hyper-latent, all likeliest symbols, hardly needs words."""
    streams = []
    for width, height in ((1 << 13, 1 << 13), (300, 1 << 16)):
        header = Header(width, height, model.gains // 2, number)
        table = np.repeat(64 + np.arange(model.architecture.hyper), -(-width // 64) * -(-height // 64))
        calls = [(table, model.tables.frequency.argmax(axis=1)[table])]
        streams.append(write_stream(Stream(header, 0, *encode(model.tables, calls, 0, least_words(header)))))
    return streams


def shipped_codecs() -> list[LearnedCodec]:
    """A codec for each weights file that is shipped, whichever these are."""
    return [LearnedCodec(context) for context in MODELS]


def corpus_of(good: Sequence[bytes], models: Mapping[int, Model]) -> Corpus:
    """The corpus of some good streams of these models."""
    by_size = sorted(good, key=lambda data: (read_header(data)[0].width * read_header(data)[0].height, data))
    hostile = [data for number, model in models.items() for data in huge(model, number)]
    return Corpus(tuple(by_size), tuple(hostile), frozenset(meaning(data, models) for data in good))


def pick(rng: np.random.Generator, corpus: Corpus) -> bytes:
    """A good stream; of two drawn the smaller one, for the sake of time."""
    return corpus.good[min(rng.integers(len(corpus.good), size=2))]


def place(rng: np.random.Generator, data: bytes) -> int:
    """A place in a stream; every third time one near the header."""
    return int(rng.integers(min(len(data), 20) if rng.random() < 1 / 3 else len(data)))


def flipped_bits(rng: np.random.Generator, corpus: Corpus) -> bytes:
    """One bit, or some, anywhere."""
    out = bytearray(pick(rng, corpus))
    for _ in range(rng.choice([1, 1, 1, 2, 4, 30])):
        out[place(rng, out)] ^= 1 << int(rng.integers(8))
    return bytes(out)


def cut_tail(rng: np.random.Generator, corpus: Corpus) -> bytes:
    """The last bytes are missing: a few, or most."""
    data = pick(rng, corpus)
    return data[: -int(rng.integers(1, 5))] if rng.random() < 1 / 3 else data[: place(rng, data)]


def overwritten_run(rng: np.random.Generator, corpus: Corpus) -> bytes:
    """A run of random bytes, of zeros or of ones, as a failing disk leaves them."""
    data = pick(rng, corpus)
    at, length = place(rng, data), int(2 ** rng.uniform(0, 9))
    run = (rng.bytes(length), bytes(length), b"\xff" * length)[rng.integers(3)]
    return (data[:at] + run + data[at + length :])[: len(data)]


def moved_run(rng: np.random.Generator, corpus: Corpus) -> bytes:
    """A run is missing, or there twice, or a random one comes between; more often of an even number of bytes."""
    data = pick(rng, corpus)
    at, length = place(rng, data), int(2 ** rng.uniform(0, 7)) * int(rng.choice([1, 2, 2]))
    kind = rng.integers(3)
    if kind == 0:
        return data[:at] + data[at + length :]
    return data[:at] + (data[at : at + length] if kind == 1 else rng.bytes(length)) + data[at:]


def swapped_files(rng: np.random.Generator, corpus: Corpus) -> bytes:
    """One stream's beginning and another's end, or the file of something else, or for another model."""
    first, second = pick(rng, corpus), pick(rng, corpus)
    kind = rng.integers(4)
    if kind == 0:  # each whole but for its header
        return first[: read_header(first)[1]] + second[read_header(second)[1] :]
    if kind == 1:
        return first[: place(rng, first)] + second[place(rng, second) :]
    if kind == 2:
        models = {read_header(data)[0].model for data in corpus.good} | {1, 255}
        other = sorted(models - {first[1]})
        return bytes([first[0], other[rng.integers(len(other))]]) + first[2:]
    foreign = (Path(data_dir) / FOREIGN[rng.integers(len(FOREIGN))]).read_bytes()[: 2 * place(rng, second) + 1]
    return first[: place(rng, first)] + foreign if rng.random() < 0.5 else foreign


def believable(rng: np.random.Generator, stream: Stream) -> bytes:
    """The stream with as many words and lanes as a decoder asks for before it believes the sides."""
    missing = max(0, min(least_words(stream.header), 1 << 16) - len(stream.words))
    more = np.frombuffer(rng.bytes(2 * missing), "<u2") if rng.random() < 0.5 else np.zeros(missing, np.uint16)
    words = np.concatenate([stream.words, more])
    lanes = stream.lanes if plausible(stream.lanes, len(words)) else plausible_lanes(len(words))[0]
    return written(replace(stream, words=words, lanes=lanes))


def written(stream: Stream) -> bytes:
    """The bytes of any stream; of one lane turned into several, whose number of symbols before the tail is made up."""
    return write_stream(replace(stream, main=min(stream.main, MAX_NUMBER)))


def plausible_lanes(words: int) -> list[int]:
    """The numbers of lanes that a decoder believes of a stream of so many words."""
    return [lanes for lanes in range(MAX_LANES + 1) if plausible(lanes, words)]


def random_sides(rng: np.random.Generator) -> tuple[int, int]:
    """Sides within the limits, any area as likely as another on a scale of doublings."""
    area = 2 ** rng.uniform(0, np.log2(MAX_PIXELS))
    width = int(2 ** rng.uniform(max(0, np.log2(area) - 16), min(16, np.log2(area))))
    return width, max(1, min(int(area / width), MAX_SIDE))


def false_sides(rng: np.random.Generator, corpus: Corpus) -> bytes:
    """Other sides in a good stream: a little other, exchanged, any within the limits, or beyond them."""
    stream = read_stream(pick(rng, corpus))
    width, height = stream.header.width, stream.header.height
    kind = rng.integers(4)
    if kind == 0:
        width, height = max(1, width + int(rng.integers(-65, 66))), max(1, height + int(rng.integers(-65, 66)))
    elif kind == 1:
        width, height = (height, width) if height != width else (2 * width, height)
    elif kind == 2:
        width, height = random_sides(rng)
    else:
        beyond = ((0, height), (width, 0), (MAX_SIDE + 1, 1), (1, MAX_NUMBER), (MAX_SIDE, MAX_SIDE), (8192, 8193))
        width, height = beyond[rng.integers(len(beyond))]
    return believable(rng, replace(stream, header=replace(stream.header, width=width, height=height)))


def false_fields(rng: np.random.Generator, corpus: Corpus) -> bytes:
    """One other field in a good stream: gain, flags, lanes, symbols before the tail, check, escapes."""
    stream = read_stream(pick(rng, corpus))
    header, escapes = stream.header, list(stream.escapes)
    kind = rng.integers(9)
    if kind == 0:
        header = replace(header, gain=int(rng.integers(256)))
    elif kind == 1:
        header = replace(header, offset=int(rng.integers(256)), filter=int(rng.integers(256)), refined=True, grey=True)
    elif kind == 2:
        stream.lanes = int(rng.choice([0, 1, 2, 31, 32, 33, 100, MAX_LANES, MAX_LANES + 1, MAX_NUMBER >> 1]))
    elif kind == 3:
        stream.main = max(0, int(rng.choice([0, stream.main + 1, stream.main - 1, 2 ** rng.uniform(0, 35)])))
    elif kind == 4:
        stream.check = int(rng.integers(1 << 16))
    elif kind == 5 or not escapes:
        escapes += [int(rng.integers(-5000, 5000))] * int(2 ** rng.uniform(0, 16))
    elif kind == 6:
        del escapes[rng.integers(len(escapes)) :]
    else:  # other values; among them one that is the same in 32 bits
        at = int(rng.choice([0, -1, rng.integers(len(escapes))]))
        escapes[at] += int(rng.choice([1, -1, 1 << 20, 1 << 31, 1 << 32, -(1 << 32)]))
    return written(replace(stream, header=header, escapes=escapes))


def forged(rng: np.random.Generator, corpus: Corpus) -> bytes:
    """All made up, with plausible coder states: whatever sides, lanes, tail, words and escapes."""
    width, height = (8192, 8192) if rng.random() < 0.1 else random_sides(rng)
    gain, model = read_stream(pick(rng, corpus)).header.gain, pick(rng, corpus)[1]
    header = Header(width, height, gain, model)
    size = max(least_words(header), int(2 ** rng.uniform(2, 14)))
    body = rng.bytes(2 * size) if rng.random() < 0.6 else (pick(rng, corpus)[20:] + bytes(2 * size))[: 2 * size]
    words = np.frombuffer(body, "<u2").copy()
    fitting = plausible_lanes(len(words))
    lanes = int(fitting[0] if rng.random() < 0.5 else rng.choice(fitting))
    words[:lanes] |= 1
    main = int(rng.choice([0, 1, 2 ** rng.uniform(0, 34), MAX_NUMBER]))
    if main < 1 << 20:  # all that a tail asks for
        words[:lanes] = 1
        words[3 * lanes :] = 0
    escapes = [0] * int(2 ** rng.uniform(0, 15)) if rng.random() < 0.5 else []
    return write_stream(Stream(header, int(rng.integers(1 << 16)), words, lanes, main, escapes))


def forged_likely(rng: np.random.Generator, corpus: Corpus) -> bytes:
    """A huge size with the hyper-latent that is longest for its bytes; only the check is wrong."""
    stream = read_stream(corpus.huge[rng.integers(len(corpus.huge))])
    return write_stream(replace(stream, check=int(rng.integers(1 << 16))))


def damaged_file(rng: np.random.Generator, corpus: Corpus) -> bytes:
    """A data file of some images with a damaged run, half of the time in its tables."""
    out = bytearray(data_file(corpus))
    at = int(rng.integers(100 if rng.random() < 0.5 else len(out)))
    length = int(rng.integers(1, 5))
    kind = rng.integers(4)
    if kind == 0:
        out[at] ^= 1 << int(rng.integers(8))
    elif kind == 1:
        del out[at:]
    elif kind == 2:
        out[at : at + length] = rng.bytes(length)
    else:
        out[at:at] = rng.bytes(length)
    return bytes(out)


def data_file(corpus: Corpus) -> bytes:
    """The data file that `damaged_file` damages."""
    return pack({f"photograph {number}": data for number, data in enumerate(corpus.good[:6])})


Damage = Callable[[np.random.Generator, Corpus], bytes]
DATA_FILES = "data files"
KINDS: dict[str, tuple[float, Damage]] = {  # with their shares
    "flipped bits": (0.18, flipped_bits),
    "cut tails": (0.12, cut_tail),
    "overwritten runs": (0.12, overwritten_run),
    "moved runs": (0.12, moved_run),
    "swapped files": (0.12, swapped_files),
    "false sides": (0.12, false_sides),
    "false fields": (0.10, false_fields),
    "forged streams": (0.06, forged),
    "likeliest symbols": (0.02, forged_likely),
    DATA_FILES: (0.04, damaged_file),
}


def case(seed: int, number: int, corpus: Corpus) -> tuple[str, bytes]:
    """Kind and bytes of one case; never what was there before the damage."""
    rng = np.random.default_rng([seed, number])
    kind = str(rng.choice(list(KINDS), p=[share for share, _ in KINDS.values()]))
    while True:
        data = KINDS[kind][1](rng, corpus)
        if data not in (*corpus.good, data_file(corpus)):
            return kind, data
