"""Two screens among photographs: mixed, a set scores higher than by any single codec in the same bytes."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from codec_checks import check_rates
from helpers import photograph, swept
from screens import desktop, document

from harness.challenge.pack import Packed, RateUnreachable, pack, set_pixels
from harness.challenge.profiles import Target, load_profile
from harness.codecs.registry import open_codec, open_submittable
from harness.rates import Rate

CODECS = ("avif,speed=8", "palette,method=4", "webp,method=4")
WIDTH, HEIGHT = 320, 224


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[pd.DataFrame, Path]:
    """Candidates by each codec of two photographs and two screens, and the run's folder."""
    folder = tmp_path_factory.mktemp("screens")
    images, out = folder / "images", folder / "run"
    images.mkdir()
    for seed in range(2):
        photograph(seed, WIDTH, HEIGHT).save(images / f"photograph{seed}.png")
    document(0, WIDTH, HEIGHT).save(images / "document.png")
    desktop(0, WIDTH, HEIGHT).save(images / "desktop.png")
    return pd.concat([swept(images, codec, out, workers=1) for codec in CODECS], ignore_index=True), out


@pytest.mark.parametrize("objective", ["competition", "paper", "psnr"])
@pytest.mark.parametrize("rate", ["0.3", "0.5"])
def test_mixed_beats_every_single_codec(run: tuple[pd.DataFrame, Path], rate: str, objective: str) -> None:
    candidates, folder = run
    target = Target(load_profile("clic2027"), Rate.parse(rate), set_pixels(candidates))

    def packed(spec: str) -> Packed:
        names = [part.strip() for part in spec.split(" + ")]
        rows = candidates[candidates["codec"].isin(names)].reset_index(drop=True)
        return pack(rows, open_submittable(spec), folder, target, objective)

    mixed = packed(" + ".join(CODECS))
    assert len(mixed.data) <= target.budget
    used = mixed.selection.codecs
    assert {used["document"], used["desktop"]} == {"palette,method=4"}
    assert "palette,method=4" not in (used["photograph0"], used["photograph1"])
    for codec in CODECS:
        try:
            alone = packed(codec)
        except RateUnreachable:
            continue  # its smallest streams of photographs are over the budget
        assert mixed.selection.score > alone.selection.score, codec


def test_a_palette_is_what_it_says() -> None:
    codec = open_codec("palette")
    screen = np.asarray(document(1, 200, 160))
    for point in ("2", "16", "0"):
        pixels = codec.decode(codec.encode(screen, point).stream)
        assert len(np.unique(pixels.reshape(-1, 3), axis=0)) <= int(point or 0) or point == "0"
    assert np.array_equal(pixels, screen)
    check_rates(codec, screen, (0.5, 0.5))
