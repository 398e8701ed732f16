"""Layers in bands of rows: the numbers of the whole."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_model import small_model

from decoder import synthesis as bands
from decoder.attention import ATTENTIONS
from decoder.layers import Upsampling
from decoder.synthesis import to_pixels


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 999), st.integers(1, 40), st.integers(1, 20), st.integers(1, 9), st.booleans())
def test_bands_give_the_whole(seed: int, height: int, width: int, rows: int, last: bool) -> None:
    """On integers, where a convolution's algorithm cannot matter."""
    torch.manual_seed(seed)
    layout = torch.channels_last if last else torch.contiguous_format
    layer = Upsampling(3, 4, 2, kernel=3).double().requires_grad_(False)
    layer[0].weight.copy_((9 * layer[0].weight).round())
    layer[0].bias.copy_((9 * layer[0].bias).round())
    x = torch.randint(-99, 99, (1, 3, height, width)).double().contiguous(memory_format=layout)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bands, "BAND_BYTES", rows * width * 24)
        assert torch.equal(bands.in_bands(layer, x), layer(x))


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (7, 12), (23, 5)])
@pytest.mark.parametrize("band_bytes", [1, 5000, 20_000])
@pytest.mark.parametrize("attention", list(ATTENTIONS))
def test_pixels_in_bands_are_those_of_the_whole(
    size: tuple[int, int], band_bytes: int, attention: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bands, "BAND_BYTES", band_bytes)
    synthesis = small_model("3d", attention)[0].synthesis
    latent = torch.randn(1, synthesis.block.in_channels, *size, generator=torch.Generator().manual_seed(3)) / 4
    with torch.inference_mode():
        whole = (synthesis(latent)[0].clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
        banded = to_pixels(synthesis, latent)
        assert np.array_equal(to_pixels(synthesis, latent, threads=3), banded)
    assert len(np.unique(whole)) > 30
    # The library may choose another algorithm for a band of one row: a float may differ in its last bit.
    assert (banded != whole).mean() < 1e-3 and np.abs(banded.astype(int) - whole).max() <= 1
