"""Damaged and hostile streams: every one is refused with a reason, soon and in little memory; the others decode."""

import zlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from damage import CROPS, Corpus, case, corpus_of, photographs, shipped_codecs, with_escapes
from fuzz_decoder import DAMAGED_IN_A_FILE, attempt, damaged_streams, fuzz, packed_problems
from small_model import photograph, small_model

from decoder.bitstream import read_header, read_stream, write_stream
from decoder.container import pack, unpack
from decoder.context import CONTEXTS
from decoder.errors import BitstreamError
from decoder.image import decode_latent
from decoder.model import Model
from submission.codec import LearnedCodec
from submission.encoder import analyse, encode_latent

SMALL_SIZES = [(1, 1, 0), (40, 70, 8), (64, 64, 32), (130, 90, 20)]
SMALL_CROPS = (*CROPS[:6], next(crop for crop in CROPS if crop[0] == "coffee.png" and crop[3] == 400))


def small_stream(context: str, number: int, pixels: np.ndarray, gain: int) -> bytes:
    """A stream of the small model with this context."""
    model, networks = small_model(context)
    return encode_latent(networks, model, analyse(networks, pixels), gain, number)[0]


def models_of(codecs: list[LearnedCodec]) -> dict[int, Model]:
    """Their models, by number."""
    return {number: model for codec in codecs for number, model in codec.models.items()}


@pytest.fixture(scope="module")
def small_models() -> dict[int, Model]:
    """The small models of all contexts, by number."""
    return {number: small_model(context)[0] for number, context in enumerate(CONTEXTS)}


@pytest.fixture(scope="module")
def small_corpus(small_models: Mapping[int, Model]) -> Corpus:
    streams = [
        small_stream(context, number, photograph(height, width), gain)
        for number, context in enumerate(CONTEXTS)
        for height, width, gain in SMALL_SIZES
    ]
    return corpus_of(streams, small_models)


@pytest.fixture(scope="module")
def codecs() -> list[LearnedCodec]:
    return shipped_codecs()


@pytest.fixture(scope="module")
def shipped_corpus(codecs: list[LearnedCodec]) -> Corpus:
    streams = [data for codec in codecs for data in (*photographs(codec, SMALL_CROPS), with_escapes(codec))]
    assert {1} < {read_stream(stream).lanes for stream in streams}  # one lane, and several
    return corpus_of(streams, models_of(codecs))


def problems(corpus: Corpus, models: Mapping[int, Model], seed: int, streams: int) -> list[str]:
    """What went wrong with the first streams of a seed."""
    outcomes = [attempt(*case(seed, number, corpus), corpus, models) for number in range(streams)]
    return [outcome.problem for outcome in outcomes if outcome.problem]


def test_damaged_streams_of_small_models_are_refused(small_corpus: Corpus, small_models: Mapping[int, Model]) -> None:
    assert problems(small_corpus, small_models, 1, 200) == []


def test_damaged_streams_of_shipped_models_are_refused(shipped_corpus: Corpus, codecs: list[LearnedCodec]) -> None:
    assert problems(shipped_corpus, models_of(codecs), 2, 150) == []


@pytest.mark.parametrize("context", list(CONTEXTS))
def test_an_escaped_value_that_equals_another_in_32_bits_is_refused(context: str) -> None:
    """The checksum is of 32-bit integers; the last symbol of all decides no other's probabilities."""
    model, networks = small_model(context)
    analysed = analyse(networks, photograph(48, 64))
    latent = analysed.latent.clone()
    latent[0, -1, -1, -1] = 3000.0
    stream = read_stream(encode_latent(networks, model, replace(analysed, latent=latent), 32)[0])
    last = stream.escapes[-1]
    for other in (last + (1 << 32), last - (1 << 32)):
        stream.escapes[-1] = other
        with pytest.raises(BitstreamError, match="escaped value"):
            decode_latent(write_stream(stream), {0: model})


def test_a_name_table_whose_end_is_missing_is_refused() -> None:
    """One flipped bit made names that fit the other tables; the table's own checksum lies behind its end."""
    whole = pack({f"photograph {number}": bytes(8) for number in range(6)})
    table = zlib.compress("\n".join(f"photograph {number}" for number in range(6)).encode(), 9)
    assert table in whole
    short = len(table) - 4
    with pytest.raises(BitstreamError, match="name table"):
        unpack(whole.replace(bytes([len(table)]) + table, bytes([short]) + table[:short]))


def test_packed_decoder_names_damaged_images_and_decodes_the_others(
    codecs: list[LearnedCodec], shipped_corpus: Corpus, tmp_path: Path
) -> None:
    codec = codecs[0]
    own = [data for data in shipped_corpus.good if read_header(data)[0].model == codec.number]
    good = {"good": own[2], "too": own[3]}
    damaged = damaged_streams(shipped_corpus, codec.models, 3, DAMAGED_IN_A_FILE)
    damaged["n" * 252] = good["good"]  # with its ending longer than a file's name may be
    assert packed_problems(tmp_path / "work", codec, good, damaged) == []


@pytest.mark.slow
def test_ten_thousand_damaged_streams_are_refused(codecs: list[LearnedCodec]) -> None:
    streams = [data for codec in codecs for data in (*photographs(codec), with_escapes(codec))]
    outcomes = fuzz(corpus_of(streams, models_of(codecs)), seed=4, streams=10_000)
    assert [outcome.problem for outcome in outcomes if outcome.problem] == []
    assert len(outcomes) == 10_000
    assert sum(bool(outcome.message) for outcome in outcomes) > 9900
