"""Recorded streams and losses hold on every machine: symbols exactly, pixels within one, losses within 1e-5."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from record import cases, recorded, symbols

from decoder.image import decode_image
from decoder.model import Model
from harness.images import load_rgb
from submission.weights import DecoderModels

STREAMS = Path(__file__).parent / "streams"
FLOAT32 = [(name, stage) for name in cases() if "float32" in name for stage in ("soft", "hard")]


@pytest.fixture(scope="module")
def models() -> Mapping[int, Model]:
    return DecoderModels()


@pytest.mark.parametrize("row", recorded("streams"), ids=lambda row: row["stream"])
def test_recorded_streams_decode_to_the_same_symbols_and_pixels(row: dict, models: Mapping[int, Model]) -> None:
    stream = (STREAMS / f"{row['stream']}.bin").read_bytes()
    found = symbols(models[row["model"]], stream)
    assert found == {key: row[key] for key in found}
    pixels = load_rgb(STREAMS / f"{row['stream']}.png").astype(int)
    assert np.abs(decode_image(stream, models) - pixels).max() <= 1


@pytest.mark.parametrize(("name", "stage"), FLOAT32)
def test_the_first_losses_are_the_recorded_ones(name: str, stage: str) -> None:
    assert cases()[name][stage].losses() == pytest.approx(recorded("losses")[name][stage], rel=1e-5)
