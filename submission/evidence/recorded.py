"""Streams of data files, and a walk that remembers what it was shown."""

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from decoder.bitstream import Header, Stream, read_stream
from decoder.container import unpack
from decoder.image import StreamSource
from decoder.latent import walk
from decoder.model import Model
from decoder.rans import PRECISION, Tables


def read_data_file(path: Path) -> dict[str, bytes]:
    """Streams by image name of a data file, or of a zip that holds nothing but one."""
    if not zipfile.is_zipfile(path):
        return unpack(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        (member,) = archive.namelist()
        return unpack(archive.read(member))


class RecordingSource(StreamSource):
    """Symbols out of a stream, with all entropy parameters and the information in bits under the integer tables."""

    def __init__(self, tables: Tables, stream: Stream, shape: tuple[int, int, int]) -> None:
        super().__init__(tables, stream)
        self.bits = 0.0
        self.mean, self.scale = np.zeros(shape), np.zeros(shape, np.int64)

    def _symbols(self, table: np.ndarray) -> np.ndarray:
        values = super()._symbols(table)
        position = values - self.tables.first[table]
        escape = self.tables.escape(table)
        coded = np.where((position < 0) | (position >= escape), escape, position)
        self.bits += float((PRECISION - np.log2(self.tables.frequency[table, coded])).sum())
        return values

    def latent(
        self, scale: np.ndarray, mean: np.ndarray, rows: np.ndarray, columns: np.ndarray, start: int
    ) -> np.ndarray:
        channels = slice(start, start + scale.shape[1])
        self.mean[channels, rows, columns], self.scale[channels, rows, columns] = mean.T, scale.T
        return super().latent(scale, mean, rows, columns, start)


@dataclass
class Recorded:
    """One decoded stream. `latent` and `mean` (C, h, w) in units of 2^-8, `scale` the tables' numbers, `bits` the
    information in the symbols, `crc` the encoder's checksum of them."""

    model: Model
    header: Header
    latent: np.ndarray
    symbols: np.ndarray
    hyper: np.ndarray
    mean: np.ndarray = field(repr=False)
    scale: np.ndarray = field(repr=False)
    bits: float
    crc: int


def record(data: bytes, models: Mapping[int, Model]) -> Recorded:
    """Decode a stream's symbols and keep everything. Raises BitstreamError."""
    stream = read_stream(data)
    model = models[stream.header.model]
    height, width = -(-stream.header.height // 16), -(-stream.header.width // 16)
    source = RecordingSource(model.tables, stream, (model.architecture.latent, height, width))
    latent, symbols, hyper = walk(model.entropy, model.architecture.hyper, height, width, source)
    crc = source.finish([hyper, symbols])
    return Recorded(model, stream.header, latent, symbols, hyper, source.mean, source.scale, source.bits, crc)


def all_streams(paths: Sequence[Path]) -> dict[str, bytes]:
    """Streams of several data files by `FILE: NAME`."""
    return {f"{path}: {name}": data for path in paths for name, data in read_data_file(path).items()}
