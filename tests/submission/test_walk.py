"""The latent as it is coded, in floating point: the coder's own, and the only one that agrees with itself."""

from pathlib import Path

import numpy as np
import pytest
import torch
from skimage import data_dir
from small_model import small_networks

from decoder.context import CONTEXTS
from decoder.fixed import ONE
from decoder.model import GAIN_STEPS, GAINS_BELOW
from harness.images import load_rgb
from submission.codec import MODELS, LearnedCodec
from submission.encoder import analyse, encode_latents, latents_at, quantise
from submission.evidence.recorded import record
from submission.networks.walk import walk
from submission.quantization.scale import coded
from submission.quantization.settings import CODED
from submission.training.start import load_start

GAIN = 64  # that of the third level
PIXELS = load_rgb(Path(data_dir) / "coffee.png")[:192, :256]


@pytest.mark.parametrize("context", MODELS)
def test_the_codec_codes_it_but_for_ties_of_rounding(context: str) -> None:
    codec = LearnedCodec(context)
    networks, model = load_start(Path(codec.weights.name)), codec.models[codec.number]
    latents = latents_at(codec.networks, analyse(codec.networks, PIXELS), GAIN, codec.number)
    _, quantised, _ = quantise(model, latents)
    with torch.no_grad():
        features = networks.hyper_synthesis(torch.from_numpy(latents.hyper)[None].float())
    found = walk(networks, features[:, :, :12, :16], latents.latent, None, skip_uncoded=True)
    assert np.mean(np.abs(found[0].numpy() - quantised / ONE) < 0.1) > 0.97


@pytest.mark.parametrize("context", MODELS)
def test_bits_and_picture_as_coded_are_those_of_a_stream(context: str) -> None:
    codec = LearnedCodec(context)
    networks, model = load_start(Path(codec.weights.name)), codec.models[codec.number]
    stream, decoded = encode_latents(
        model, latents_at(codec.networks, analyse(codec.networks, PIXELS), GAIN, codec.number)
    )
    image = torch.from_numpy(PIXELS.copy()).permute(2, 0, 1)[None].float() / 255
    with torch.no_grad():
        output = networks(image, torch.tensor([GAIN // GAIN_STEPS - GAINS_BELOW]), CODED)
    bits = float(output.latent_bits + output.hyper_bits)
    assert record(stream, {codec.number: model}).bits == pytest.approx(bits, rel=0.005, abs=64)
    shown = output.image[0].permute(1, 2, 0).clamp(0, 1).numpy() * 255
    error, coded_error = (np.mean((picture - PIXELS) ** 2.0) for picture in (shown, decoded.astype(float)))
    assert error == pytest.approx(coded_error, rel=0.02)


@pytest.mark.parametrize("skip_uncoded", [False, True])
@pytest.mark.parametrize("context", CONTEXTS)
def test_coded_again_from_itself_it_is_itself(context: str, skip_uncoded: bool) -> None:
    networks = small_networks(context)
    generator = torch.Generator().manual_seed(3)
    latent = 3 * torch.randn(2, 12, 7, 9, generator=generator)
    features = torch.randn(2, 16, 7, 9, generator=generator).relu()
    found = walk(networks, features, latent, None, skip_uncoded)
    with torch.no_grad():
        mean, scale = networks.entropy_parameters(features, found)
    residual = (latent - mean).round()
    again = mean + (residual * coded(scale) if skip_uncoded else residual)
    assert (again - found).abs().max() < 1e-4
    assert (found - latent).abs().max() > 0.1


def test_steps_of_elements_are_the_units_of_rounding() -> None:
    networks = small_networks("none")
    generator = torch.Generator().manual_seed(4)
    latent = 3 * torch.randn(1, 12, 5, 6, generator=generator)
    features = torch.randn(1, 16, 5, 6, generator=generator).relu()
    steps = torch.rand(latent.shape, generator=generator) + 0.5
    found = walk(networks, features, latent, steps, skip_uncoded=False)
    with torch.no_grad():
        mean, _ = networks.entropy_parameters(features, found)
    symbols = (found - mean) / steps
    assert (symbols - symbols.round()).abs().max() < 1e-4
