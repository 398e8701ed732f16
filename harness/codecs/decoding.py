"""A stream decoded, with the seconds that it took: the one way in which a candidate's decoding is timed."""

import time
from dataclasses import dataclass

import numpy as np

from harness.codecs.protocol import Codec

SECONDS = "decode_seconds"  # their name, of a candidate's further measure and of a table's column


@dataclass(frozen=True)
class Decoding:
    """The pixels of a stream, uint8 (H, W, 3), and the seconds on the clock that its codec took, on one thread."""

    pixels: np.ndarray
    seconds: float


class Decoder:
    """Decodes the streams of one codec.

    A codec may load libraries and weights at the first stream of a process. That one is decoded twice, and its second
    time counts, so that no stream is charged with what all of them share.
    """

    def __init__(self, codec: Codec) -> None:
        self.codec = codec
        self._is_warm = False

    def decode(self, stream: bytes) -> Decoding:
        """The stream's pixels and seconds. Raises whatever the codec raises."""
        if not self._is_warm:
            self.codec.decode(stream)
            self._is_warm = True
        start = time.perf_counter()
        pixels = self.codec.decode(stream)
        return Decoding(pixels, round(time.perf_counter() - start, 6))
