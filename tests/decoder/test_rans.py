"""The entropy coder against its own definition: what goes in comes out, at the price that the tables say."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decoder.errors import BitstreamError
from decoder.rans import TOTAL, Decoder, Tables, encode, plausible

SEAL = 0xFEDCBA98


def random_tables(rng: np.random.Generator, count: int, longest: int) -> Tables:
    cumulative = np.zeros((count, longest + 1), np.int64)
    size = rng.integers(2, longest + 1, size=count)
    for row, n in zip(cumulative, size, strict=True):
        cuts = np.sort(rng.choice(TOTAL - 1, size=n - 1, replace=False)) + 1
        row[1:n] = cuts
        row[n:] = TOTAL
    return Tables(cumulative, np.zeros(count, np.int64), size)


def random_calls(rng: np.random.Generator, tables: Tables, lengths: list[int]):
    calls = []
    for n in lengths:
        table = rng.integers(len(tables.size), size=n)
        draw = rng.integers(TOTAL, size=n)
        calls.append((table, tables.lookup[table, draw].astype(np.int64)))
    return calls


def assert_decodes(tables: Tables, coded: tuple[np.ndarray, int, int], calls) -> None:
    """The decoder gives every call's positions and then the seal."""
    decoder = Decoder(tables, *coded)
    for table, positions in calls:
        assert np.array_equal(decoder.decode(table), positions)
    assert decoder.finish() == SEAL


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 900), max_size=12))
def test_round_trip_and_price(seed: int, lengths: list[int]) -> None:
    rng = np.random.default_rng(seed)
    tables = random_tables(rng, 5, 40)
    calls = random_calls(rng, tables, lengths)
    words, lanes, main = encode(tables, calls, SEAL)
    assert_decodes(tables, (words, lanes, main), calls)
    bits = sum(float((16 - np.log2(tables.frequency[t, p])).sum()) for t, p in calls)
    assert 16 * len(words) <= bits * 1.001 + 8 * 8


@pytest.mark.parametrize("length", [60, 100, 400, 2000])
def test_long_messages_use_many_lanes_at_little_cost(length: int) -> None:
    """A lane costs about a byte, and has 800."""
    rng = np.random.default_rng(length)
    tables = random_tables(rng, 64, 200)
    calls = random_calls(rng, tables, [500] * length)
    words, lanes, main = encode(tables, calls, SEAL)
    assert_decodes(tables, (words, lanes, main), calls)
    bits = sum(float((16 - np.log2(tables.frequency[t, p])).sum()) for t, p in calls)
    assert lanes == 1 if bits < 32 * 400 * 16 else lanes == min(bits // (400 * 16), 256)
    assert 2 * len(words) <= bits / 8 * 1.0015 + 10


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_damage_is_an_error_or_another_seal_never_a_crash(seed: int) -> None:
    rng = np.random.default_rng(seed)
    tables = random_tables(rng, 3, 10)
    calls = random_calls(rng, tables, [300] * 5)
    words, lanes, main = encode(tables, calls, SEAL)
    damaged = words[: rng.integers(len(words))].copy()
    if len(damaged):
        damaged[rng.integers(len(damaged))] ^= 1 << int(rng.integers(16))
    with pytest.raises(BitstreamError):
        decoder = Decoder(tables, damaged, lanes, main)
        for table, _ in calls:
            decoder.decode(table)
        decoder.finish()


@pytest.mark.parametrize("least", [10, 4000, 40_000])
def test_zeros_fill_up_to_the_least_words(least: int) -> None:
    rng = np.random.default_rng(2)
    tables = random_tables(rng, 3, 10)
    calls = random_calls(rng, tables, [300] * 5)
    words, lanes, main = encode(tables, calls, SEAL, least)
    assert len(words) >= least and plausible(lanes, len(words))
    assert_decodes(tables, (words, lanes, main), calls)
    words[-1] |= least > 1000
    if least > 1000:
        decoder = Decoder(tables, words, lanes, main)
        with pytest.raises(BitstreamError):
            for table, _ in calls:
                decoder.decode(table)
            decoder.finish()


def test_tables_must_be_distributions() -> None:
    with pytest.raises(ValueError, match="not a distribution"):
        Tables(np.array([[0, 5, 5, TOTAL]]), np.zeros(1), np.array([3]))
