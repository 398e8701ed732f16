"""Entropy coding: range asymmetric numeral systems over many interleaved lanes, in numpy, or over one, in integers.

Each lane is a 48-bit state; all lanes share one sequence of 16-bit words, which they read in the order of their
numbers. Frequencies sum to 2^16. A state starts (for the encoder) at 2^32 plus 32 bits that are free to choose;
these carry the end of the message, coded by one lane alone, whose own are the checksum. What a lane costs is then about
one byte, the unused part of its last state's top word. A numpy call costs as much as 30 symbols in plain integers:
where there would be fewer lanes, there is one.
(Duda, "Asymmetric numeral systems", 2013; Giesen, "Interleaved entropy coders", 2014.)
"""

from collections.abc import Iterable, Sequence

import numpy as np

from decoder.errors import BitstreamError

PRECISION = 16
TOTAL = 1 << PRECISION
LOW = 1 << 32  # states lie in [2^32, 2^48)
STATE_WORDS = 3  # in the stream; FREE_WORDS of them are free to choose at the encoder's start
FREE_WORDS = 2
MIN_LANES, MAX_LANES = 32, 256  # where there are more than one
WORDS_PER_LANE = 400


def lanes_for(words: float) -> int:
    """Number of lanes for a stream of so many words."""
    lanes = min(int(words) // WORDS_PER_LANE, MAX_LANES)
    return lanes if lanes >= MIN_LANES else 1


def plausible(lanes: int, words: int) -> bool:
    """Whether an encoder would choose so many lanes for a stream of about so many words."""
    if lanes == MAX_LANES:
        return True
    possible = lanes == 1 or MIN_LANES <= lanes < MAX_LANES
    return possible and words <= 1.25 * WORDS_PER_LANE * max(lanes + 1, MIN_LANES)


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
        if self.lanes == 1:
            return self._decode_one_lane(table)
        before = min(len(table), self.main)
        positions = self._decode_lanes(table[:before])
        self.main -= before
        if before == len(table):
            return positions
        self._enter_tail()
        return np.concatenate([positions, self._decode_one_lane(table[before:])])

    def _decode_lanes(self, table: np.ndarray) -> np.ndarray:
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

    def _decode_one_lane(self, table: np.ndarray) -> np.ndarray:
        lookup, frequency, cumulative = self.lookup.data, self.frequency.data, self.cumulative.data
        words, place, width = self.words.data, self.next, self.tables.frequency.shape[1]
        state = int(self.states[0])
        positions = []
        for number in table.tolist():
            slot = state & (TOTAL - 1)
            found = lookup[number * TOTAL + slot]
            symbol = number * width + found
            state = frequency[symbol] * (state >> PRECISION) + slot - cumulative[symbol + number]
            if state < LOW:
                if place == len(words):
                    raise BitstreamError("the stream ends too early")
                state = state << 16 | words[place]
                place += 1
            positions.append(found)
        self.next = place
        self.states[0] = state
        return np.array(positions, np.int64)

    def _enter_tail(self) -> None:
        if self.words[self.next :].any():
            raise BitstreamError("the stream does not end where its symbols do")
        if (self.states >= 2 * LOW).any():
            raise BitstreamError("the coder states do not end in their starting range")
        free = self.states - LOW
        self._start(np.concatenate([free >> 16, free & 0xFFFF]), 1)

    def finish(self) -> int:
        """The 32 bits that the encoder began with. Raises BitstreamError where words are left."""
        if self.lanes > 1 and self.main == 0:
            self._enter_tail()
        if self.lanes > 1 or self.states[0] >= 2 * LOW or self.words[self.next :].any():
            raise BitstreamError("the stream does not end where its symbols do")
        return int(self.states[0]) - LOW


def _encode_lanes(states: np.ndarray, chunks: Sequence[tuple[np.ndarray, np.ndarray]]) -> list[np.ndarray]:
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


def _encode_one_lane(intervals: Iterable[tuple[int, int]], state: int, room: float) -> tuple[list[int], int]:
    """Push (start, frequency) in the order given until there are `room` words with the state's own.

    Returns the words, the state's first and then in the order of reading, and how many intervals were pushed.
    """
    count = 0
    emitted: list[int] = []
    for start, frequency in intervals:
        if len(emitted) + STATE_WORDS >= room:
            break
        if state >= frequency << 32:
            emitted.append(state & 0xFFFF)
            state >>= 16
        state = (state // frequency << PRECISION) + state % frequency + start
        count += 1
    return [state >> 32, state >> 16 & 0xFFFF, state & 0xFFFF, *reversed(emitted)], count


def encode(
    tables: Tables, calls: Sequence[tuple[np.ndarray, np.ndarray]], seal: int, least: int = 0
) -> tuple[np.ndarray, int, int]:
    """Code what a decoder will ask for, call by call: (table numbers, positions), each (n,); then 32 bits of `seal`.

    Returns (words as uint16, lanes, main): `main` counts the symbols before the single-lane tail. Zeros are appended
    where there are fewer than `least` words.
    """
    intervals = [(tables.cumulative[t, p], tables.frequency[t, p]) for t, p in calls]
    starts = np.concatenate([s for s, _ in intervals] or [np.zeros(0, np.int64)])
    frequencies = np.concatenate([f for _, f in intervals] or [np.ones(0, np.int64)])
    information = float((PRECISION - np.log2(frequencies)).sum()) / 16
    lanes = lanes_for(max(information, least))
    backwards = zip(starts[::-1].tolist(), frequencies[::-1].tolist(), strict=True)
    # All, or as many of the last symbols as one lane codes into the lanes' free starting bits.
    words, count = _encode_one_lane(backwards, LOW + seal, FREE_WORDS * lanes if lanes > 1 else np.inf)
    main = len(starts) - count
    if lanes > 1:
        free = np.zeros(FREE_WORDS * lanes, np.int64)
        free[: len(words)] = words
        chunks, position = [], 0
        for start, _ in intervals:
            end = min(position + len(start), main)
            for begin in range(position, end, lanes):
                stop = min(begin + lanes, end)
                chunks.append((starts[begin:stop], frequencies[begin:stop]))
            position += len(start)
        states = LOW + (free[:lanes] << 16 | free[lanes:])
        body = _encode_lanes(states, chunks)
        words = np.concatenate([states >> 32, states >> 16 & 0xFFFF, states & 0xFFFF, *body]).tolist()
    return np.array(words + [0] * (least - len(words)), np.uint16), lanes, main
