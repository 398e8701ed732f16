"""One stream to one image."""

from collections.abc import Mapping

import numpy as np

from decoder.bitstream import Stream, checksum, read_stream
from decoder.errors import BitstreamError
from decoder.latent import SCALES, walk
from decoder.model import Model
from decoder.rans import Decoder, Tables


class StreamSource:
    """Symbols out of a stream, in the order in which the walk asks for them."""

    def __init__(self, tables: Tables, stream: Stream) -> None:
        self.tables, self.stream, self.escapes = tables, stream, iter(stream.escapes)
        self.decoder = Decoder(tables, stream.words, stream.lanes, stream.main)

    def _symbols(self, table: np.ndarray) -> np.ndarray:
        positions = self.decoder.decode(table)
        values = positions + self.tables.first[table]
        for place in np.flatnonzero(positions == self.tables.escape(table)):
            value = next(self.escapes, None)
            if value is None:
                raise BitstreamError("the stream has fewer escaped values than escapes")
            values[place] = value
        return values

    def hyper(self, shape: tuple[int, int, int]) -> np.ndarray:
        table = np.repeat(SCALES + np.arange(shape[0]), shape[1] * shape[2])
        symbols = self._symbols(table).reshape(shape)
        # Damage to the sides' numbers ends here, before work that grows with them.
        if checksum(self.stream.header, [symbols]) & 0xFFFF != self.stream.check:
            raise BitstreamError("the hyper-latent does not match the stream's check")
        return symbols

    def latent(
        self, scale: np.ndarray, mean: np.ndarray, rows: np.ndarray, columns: np.ndarray, start: int
    ) -> np.ndarray:
        symbols = np.zeros(scale.shape, np.int64)
        coded = scale > 0
        symbols[coded] = self._symbols(scale[coded])
        return symbols

    def finish(self, symbols: list[np.ndarray]) -> int:
        """The stream's checksum. Raises BitstreamError where it is not that of the symbols, or something is left."""
        sealed = self.decoder.finish()
        if next(self.escapes, None) is not None:
            raise BitstreamError("the stream has more escaped values than escapes")
        if checksum(self.stream.header, symbols) != sealed:
            raise BitstreamError("the symbols do not match the stream's checksum")
        return sealed


def decode_latent(data: bytes, models: Mapping[int, Model]) -> tuple[Model, Stream, np.ndarray]:
    """Model, parsed stream and quantised latent (C, h, w) in units of 2^-8. Raises BitstreamError."""
    stream = read_stream(data)
    header = stream.header
    if header.model not in models:
        raise BitstreamError(f"the stream needs model {header.model}, which this decoder does not have")
    model = models[header.model]
    if header.gain >= model.gains:
        raise BitstreamError(f"the stream's gain {header.gain} is not below {model.gains}")
    if header.offset or header.filter:
        raise BitstreamError("the stream asks for an offset or a filter, which its model does not have")
    source = StreamSource(model.tables, stream)
    height, width = -(-header.height // 16), -(-header.width // 16)
    latent, symbols, hyper = walk(model.entropy, model.architecture.hyper, height, width, source)
    source.finish([hyper, symbols])
    return model, stream, latent


def decode_image(data: bytes, models: Mapping[int, Model]) -> np.ndarray:
    """Pixels, uint8 (H, W, 3), of one stream. Raises BitstreamError."""
    model, stream, latent = decode_latent(data, models)
    return model.reconstruct(latent, stream.header)
