"""Streams made of symbols that were chosen, not of photographs: what no photograph would give can be reached."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from decoder.bitstream import Header, Stream, checksum, least_words, write_stream
from decoder.latent import walk
from decoder.model import Model
from decoder.rans import Tables, encode
from submission.encoder import RoundingSource

Choice = Callable[[Tables, np.ndarray, np.random.Generator], np.ndarray]
"""Symbols (n,) for the tables of these numbers (n,)."""


def likeliest(tables: Tables, table: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """The cheapest symbol of each table."""
    return tables.first[table] + tables.frequency[:, :-1].argmax(axis=1)[table]


def typical(tables: Tables, table: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Symbols drawn by their probabilities, without escapes."""
    slots = generator.integers(0, 1 << 16, len(table))
    return tables.first[table] + np.minimum(tables.lookup[table, slots], tables.size[table] - 2)


def any_position(tables: Tables, table: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Each symbol of a table as often as the others: many words."""
    return tables.first[table] + generator.integers(0, tables.size[table] - 1)


def lowest(tables: Tables, table: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """The first position of each table."""
    return tables.first[table]


def highest(tables: Tables, table: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """The last position of each table that is no escape."""
    return tables.first[table] + tables.size[table] - 2


def swinging(tables: Tables, table: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Lowest and highest by turns."""
    low = np.arange(len(table)) % 2 == 0
    return np.where(low, lowest(tables, table, generator), highest(tables, table, generator))


def escaping(*values: int, every: int = 7) -> Choice:
    """Typical symbols, every seventh of them replaced by one of these values in turn."""

    def choose(tables: Tables, table: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        symbols = typical(tables, table, generator)
        symbols[::every] = np.resize(np.array(values, np.int64), len(symbols[::every]))
        return symbols

    return choose


class _Choosing(RoundingSource):
    """A source for the decoder's walk whose symbols are chosen by what their tables are."""

    def __init__(self, tables: Tables, choose: Choice, seed: int) -> None:
        super().__init__(tables, np.zeros(0), np.zeros(0))
        self.choose, self.generator = choose, np.random.default_rng(seed)

    def hyper(self, shape: tuple[int, int, int]) -> np.ndarray:
        table = np.repeat(64 + np.arange(shape[0]), shape[1] * shape[2])
        self.known_hyper = self.choose(self.tables, table, self.generator).reshape(shape)
        return super().hyper(shape)

    def latent(
        self, scale: np.ndarray, mean: np.ndarray, rows: np.ndarray, columns: np.ndarray, start: int
    ) -> np.ndarray:
        symbols, coded = np.zeros(scale.shape, np.int64), scale > 0
        symbols[coded] = self.choose(self.tables, scale[coded], self.generator)
        self._remember(scale[coded], symbols[coded])
        return symbols


def chosen_stream(model: Model, header: Header, choose: Choice, seed: int = 0, words: int = 0) -> Stream:
    """The stream of an image of that header whose symbols are chosen; of at least so many words."""
    source = _Choosing(model.tables, choose, seed)
    height, width = -(-header.height // 16), -(-header.width // 16)
    _, symbols, hyper = walk(model.entropy, model.architecture.hyper, height, width, source)
    check, seal = checksum(header, [hyper]) & 0xFFFF, checksum(header, [hyper, symbols])
    coded, lanes, main = encode(model.tables, source.calls, seal, max(words, least_words(header)))
    return Stream(header, check, coded, lanes, main, source.escapes)


def with_header(stream: Stream, **fields: object) -> bytes:
    """The bytes of the stream with other fields in its header, and nothing mended."""
    return write_stream(replace(stream, header=replace(stream.header, **fields)))  # type: ignore[arg-type]
