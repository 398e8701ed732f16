"""Entropy coding: range asymmetric numeral systems over many interleaved lanes, in numpy.

Each lane is a 48-bit state; all lanes share one sequence of 16-bit words, which they read in the order of their
numbers. Frequencies sum to 2^16. A state starts (for the encoder) at 2^32 plus 32 bits that are free to choose;
these carry the end of the message, coded by one lane alone. What a lane costs is then about one byte, the unused
part of its last state's top word, and there is one lane to a kilobyte.
(Duda, "Asymmetric numeral systems", 2013; Giesen, "Interleaved entropy coders", 2014.)
"""

from collections.abc import Sequence

import numpy as np

from decoder.errors import BitstreamError

PRECISION = 16
TOTAL = 1 << PRECISION
LOW = 1 << 32  # states lie in [2^32, 2^48)
STATE_WORDS = 3  # in the stream; FREE_WORDS of them are free to choose at the encoder's start
FREE_WORDS = 2
LANES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
WORDS_PER_LANE = 512
MAX_WORDS_PER_LANE = 5 * WORDS_PER_LANE // 2  # twice as many would have had the next number of lanes; and some slack
TAIL_SYMBOLS = 1 << 14  # one lane is slow: where so many symbols do not fill the free bits, some stay empty


class Tables:
    """Integer cumulative distributions. Row t codes symbols `first[t]` ... `first[t] + size[t] - 2`, then escape.

    `cumulative` is (tables, longest + 1), each row rising from 0 to 2^16 and then constant.
    """

    def __init__(self, cumulative: np.ndarray, first: np.ndarray, size: np.ndarray) -> None:
        self.cumulative, self.first, self.size = cumulative.astype(np.int64), first.astype(np.int64), size
        self.frequency = np.diff(self.cumulative, axis=1)
        used = np.arange(self.frequency.shape[1]) < size[:, None]
        if (self.frequency[used] <= 0).any() or (self.cumulative[np.arange(len(size)), size] != TOTAL).any():
            raise ValueError("a probability table is not a distribution over 2^16")
        self.lookup = np.empty((len(size), TOTAL), np.int16)
        for row, count, target in zip(self.frequency, size, self.lookup, strict=True):
            target[:] = np.repeat(np.arange(count, dtype=np.int16), row[:count])

    def escape(self, table: np.ndarray) -> np.ndarray:
        """Position of the escape symbol in each of the given tables."""
        return self.size[table] - 1


class Decoder:
    """Reads positions in tables from words. `lanes` states come first in the words, three words each."""

    def __init__(self, tables: Tables, words: np.ndarray, lanes: int, main: int) -> None:
        self.tables, self.main = tables, main
        self.lookup, self.frequency = tables.lookup.ravel(), tables.frequency.ravel()
        self.cumulative = tables.cumulative.ravel()
        self.in_tail = False
        self._start(words.astype(np.int64), lanes)

    def _start(self, words: np.ndarray, lanes: int) -> None:
        self.words, self.lanes, self.next = words, lanes, STATE_WORDS * lanes
        if len(words) < self.next:
            raise BitstreamError("the stream ends before its coder states")
        high, middle, low = words[: self.next].reshape(STATE_WORDS, lanes)
        self.states = high << 32 | middle << 16 | low
        if (self.states < LOW).any():
            raise BitstreamError("a coder state is out of range")

    def decode(self, table: np.ndarray) -> np.ndarray:
        """Positions (n,) in the tables of the given numbers (n,). Raises BitstreamError where words run out."""
        before = 0 if self.in_tail else min(len(table), self.main)
        positions = self._decode(table[:before])
        if before == len(table):
            self.main -= before
            return positions
        if not self.in_tail:
            self._enter_tail()
        return np.concatenate([positions, self._decode(table[before:])])

    def _decode(self, table: np.ndarray) -> np.ndarray:
        positions = np.empty(len(table), np.int64)
        slot_rows, symbol_rows = table * TOTAL, table * self.tables.frequency.shape[1]
        cumulative_rows = symbol_rows + table  # which are longer by one
        for begin in range(0, len(table), self.lanes):
            end = begin + self.lanes
            slot_row = slot_rows[begin:end]
            states = self.states[: len(slot_row)]
            slots = states & (TOTAL - 1)
            found = self.lookup.take(slot_row + slots)
            frequency = self.frequency.take(symbol_rows[begin:end] + found)
            start = self.cumulative.take(cumulative_rows[begin:end] + found)
            states = frequency * (states >> PRECISION) + slots - start
            short = (states < LOW).nonzero()[0]
            if len(short):
                read = self.words[self.next : self.next + len(short)]
                if len(read) < len(short):
                    raise BitstreamError("the stream ends too early")
                states[short] = states[short] << 16 | read
                self.next += len(short)
            self.states[: len(slot_row)] = states
            positions[begin:end] = found
        return positions

    def _enter_tail(self) -> None:
        if self.lanes == 1 or self.words[self.next :].any():
            raise BitstreamError("the stream does not end where its symbols do")
        if (self.states >= 2 * LOW).any():
            raise BitstreamError("the coder states do not end in their starting range")
        free = self.states - LOW
        self.in_tail = True
        self._start(np.concatenate([free >> 16, free & 0xFFFF]), 1)

    def finish(self) -> None:
        """Check that every word was used and the last state is the encoder's first. Raises BitstreamError."""
        if self.lanes > 1 and self.main == 0:
            self._enter_tail()
        unused = self.words[self.next :]
        if self.lanes != 1 or self.states[0] != LOW or unused.any():
            raise BitstreamError("the stream does not end where its symbols do")


def _encode_reversed(states: np.ndarray, chunks: Sequence[tuple[np.ndarray, np.ndarray]]) -> list[np.ndarray]:
    """Push chunks of (start, frequency), last chunk first; returns the emitted words in the order of reading."""
    emitted = []
    for start, frequency in reversed(chunks):
        active = states[: len(start)]
        full = active >= frequency << 32
        emitted.append(active[full] & 0xFFFF)
        active[full] >>= 16
        active[:] = (active // frequency << PRECISION) + active % frequency + start
    emitted.reverse()
    return emitted


def _state_words(states: np.ndarray) -> np.ndarray:
    return np.concatenate([states >> 32, states >> 16 & 0xFFFF, states & 0xFFFF])


def _joined(parts: list[np.ndarray], least: int) -> np.ndarray:
    words = np.concatenate(parts).astype(np.uint16)
    return np.pad(words, (0, max(0, least - len(words))))


def encode(
    tables: Tables, calls: Sequence[tuple[np.ndarray, np.ndarray]], least: int = 0
) -> tuple[np.ndarray, int, int]:
    """Code what a decoder will ask for, call by call: (table numbers, positions), each (n,).

    Returns (words as uint16, lanes, main): `main` counts the symbols before the single-lane tail. Zeros are appended
    where there are fewer than `least` words.
    """
    intervals = [(tables.cumulative[t, p], tables.frequency[t, p]) for t, p in calls]
    starts = np.concatenate([s for s, _ in intervals] or [np.zeros(0, np.int64)])
    frequencies = np.concatenate([f for _, f in intervals] or [np.zeros(0, np.int64)])
    expected = max(float((PRECISION - np.log2(np.maximum(frequencies, 1))).sum()) / 16, least)
    lanes = max(count for count in LANES if expected >= WORDS_PER_LANE * count or count == 1)
    if lanes == 1:
        state = np.array([LOW])
        body = _encode_reversed(state, [(starts[i : i + 1], frequencies[i : i + 1]) for i in range(len(starts))])
        return _joined([_state_words(state), *body], least), 1, len(starts)

    # The tail: as many of the last symbols as one lane codes into the lanes' free starting bits.
    last, main = LOW, len(starts)
    tail: list[int] = []
    while len(tail) + STATE_WORDS < FREE_WORDS * lanes and main > max(0, len(starts) - TAIL_SYMBOLS):
        start, frequency = int(starts[main - 1]), int(frequencies[main - 1])
        if last >= frequency << 32:
            tail.append(last & 0xFFFF)
            last >>= 16
        last = (last // frequency << PRECISION) + last % frequency + start
        main -= 1
    free = np.zeros(FREE_WORDS * lanes, np.int64)
    free[: len(tail) + STATE_WORDS] = [last >> 32, last >> 16 & 0xFFFF, last & 0xFFFF, *reversed(tail)]

    chunks, position = [], 0
    for start, _ in intervals:
        end = min(position + len(start), main)
        for begin in range(position, end, lanes):
            stop = min(begin + lanes, end)
            chunks.append((starts[begin:stop], frequencies[begin:stop]))
        position += len(start)
    states = LOW + (free[:lanes] << 16 | free[lanes:])
    body = _encode_reversed(states, chunks)
    return _joined([_state_words(states), *body], least), lanes, main
