"""Results to draw a report of: a run's folder and a comparison, with real pictures and scores from their real error."""

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from leaderboard.comparison import Reached, Unreached, compare
from leaderboard.report.compared import Compared
from leaderboard.report.model import Photograph, Reproduction

RATES = (0.075, 0.15, 0.3)
HOSTILE = "<img src=x onerror=alert(1)> \"quoted\" & 'ünï' 写真"
NAMES = ("10", "9", HOSTILE)
WIDTH, HEIGHT = 300, 260


def smooth(generator: np.random.Generator, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """A photograph-like picture: coarse noise, enlarged."""
    coarse = generator.integers(0, 256, (9, 9, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def worse(generator: np.random.Generator, pixels: np.ndarray, sigma: float) -> np.ndarray:
    """With noise, weak in the upper left quarter."""
    noise = generator.normal(0, sigma, pixels.shape)
    noise[: pixels.shape[0] // 2, : pixels.shape[1] // 2] /= 4
    return np.clip(pixels + noise, 0, 255).astype(np.uint8)


def measured(name: str, original: np.ndarray, decoded: np.ndarray, size: int) -> dict[str, object]:
    """A row of `candidates.csv`; MS-SSIM is a plain function of the squared error here."""
    mse = float(((original.astype(float) - decoded) ** 2).mean())
    return {
        "image": name,
        "width": original.shape[1],
        "height": original.shape[0],
        "bytes": size,
        "msssim_competition": 1 - mse / 3000,
        "msssim_paper": 1 - mse / 2900,
        "mse": mse,
    }


def with_score(row: dict[str, object], rate: float) -> dict[str, object]:
    """A candidate's row as one of `scores.csv`."""
    assert isinstance(row["mse"], float) and isinstance(row["bytes"], int)
    pixels = int(str(row["width"])) * int(str(row["height"]))
    return row | {"rate": rate, "bpp": 8 * row["bytes"] / pixels, "psnr": 10 * math.log10(255**2 / row["mse"])}


def write_run(folder: Path) -> tuple[Path, dict[str, Path]]:
    """A run's folder and its originals."""
    generator = np.random.default_rng(7)
    results, originals = folder / "out", {}
    candidates, scores = [], []
    for number, name in enumerate(NAMES):
        pixels = smooth(generator)
        originals[name] = folder / f"original-{number}.png"
        Image.fromarray(pixels).save(originals[name])
        for point, rate in enumerate(RATES):
            decoded = worse(generator, pixels, 12 / (point + 1))
            images = results / f"{rate:g}" / "images"
            images.mkdir(parents=True, exist_ok=True)
            Image.fromarray(decoded).save(images / f"{name}.png")
            row = measured(name, pixels, decoded, int(rate * WIDTH * HEIGHT / 8) - number)
            row |= {"codec": "test", "point": f"p{point}", "encode_seconds": 0.25}
            candidates.append(row)
            scores.append(with_score(row, rate))
    table = pd.DataFrame(scores)
    board = []
    for rate, rows in table.groupby("rate"):
        size = int(rows["bytes"].sum()) + 20
        pixels_of_set = WIDTH * HEIGHT * len(NAMES)
        mean = rows[["msssim_competition", "msssim_paper", "psnr"]].mean()
        board.append(
            {
                "team": "the <b>team</b>",
                "rate": rate,
                "budget_bytes": math.ceil(rate * pixels_of_set / 8) + 20,
                "data_bytes": size,
                "bpp": 8 * size / pixels_of_set,
                "msssim_competition": mean["msssim_competition"],
                "msssim_paper": mean["msssim_paper"],
                "psnr_competition": mean["psnr"],
                "psnr_paper": mean["psnr"],
                "decoder_bytes": 12_345_678,
                "decode_seconds": 3.25,
            }
        )
        (results / f"{rate:g}" / "decoder.zip").write_bytes(b"decoder at %f" % rate)
    pd.DataFrame(candidates).to_csv(results / "candidates.csv", index=False)
    table.to_csv(results / "scores.csv", index=False)
    pd.DataFrame(board).to_csv(results / "leaderboard.csv", index=False)
    (results / "run.json").write_text(json.dumps(_record(board)))
    return results, originals


def _record(board: Sequence[dict[str, object]]) -> dict[str, object]:
    rates = {
        f"{row['rate']}": {
            "selection": {
                "score": row["msssim_competition"],
                "bound": float(str(row["msssim_competition"])) + 2e-6,
            },
            "verification": {
                "sandbox": "bubblewrap",
                "not_enforced": ["processor count"],
                "decoder_says": "3 images: 1.5 s of entropy decoding",
            },
        }
        for row in board
    }
    return {
        "profile": {"name": "clic2021", "title": "CLIC 2021, image track", "rates": [0.075, 0.15, 0.3]},
        "codec": {"name": "test", "sha256": "c0dec" * 12},
        "team": "the <b>team</b>",
        "objective": "competition",
        "machine": "Linux on a test machine",
        "images": {"9": {"note": "alpha dropped", "sha256": "1337" * 16}},
        "versions": {"numpy": "</script><b>"},
        "rates": rates | {"0.6": {"verification": {"ok": False}}},
    }


CODECS = {"ours": 30.0, "avif,speed=4": 39.6, "jpeg": 52.2}
"""Codecs of the comparison, with the noise of their lowest point: each needs a point more than the one before it."""
POINTS = (0.0375, 0.053, 0.075, 0.106, 0.15, 0.212, 0.3, 0.424)
"""Bits per pixel of their operating points."""


def make_compared(folder: Path, names: Sequence[str] = ("alps", "grey", "tinted"), size: int = 220) -> Compared:
    """Codecs at three rates; `grey` is grey and stays so, `tinted` is grey and gets some colour. jpeg lacks a rate."""
    generator = np.random.default_rng(3)
    rows, scores, photographs = [], [], []
    for name in names:
        pixels = smooth(generator, size + 40, size)
        if name in ("grey", "tinted"):
            pixels = np.repeat(pixels[:, :, :1], 3, axis=2)
        path = folder / "originals" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
        decoded_files = {}
        for codec, sigma in CODECS.items():
            for bpp in POINTS:
                decoded = worse(generator, pixels, sigma * (POINTS[0] / bpp) ** 0.8)
                if name == "grey":
                    decoded = np.repeat(decoded[:, :, :1], 3, axis=2)
                row = measured(name, pixels, decoded, int(bpp * pixels.shape[0] * pixels.shape[1] / 8))
                row |= {"codec": codec, "point": f"{bpp:g}", "encode_seconds": sigma / 1000}
                rows.append(row)
                if bpp in RATES and not (codec == "jpeg" and bpp == RATES[0]):
                    file = folder / "decoded" / codec / f"{bpp:g}" / f"{name}.png"
                    file.parent.mkdir(parents=True, exist_ok=True)
                    Image.fromarray(decoded).save(file)
                    decoded_files[codec, bpp] = file
                    scores.append(with_score(row, bpp))
        photographs.append(Photograph(name, path, decoded_files, "greyscale" if name == "grey" else ""))
    candidates = pd.DataFrame(rows)
    outcomes: list[Reached | Unreached] = []
    for codec in CODECS:
        for rate in RATES:
            if codec == "jpeg" and rate == RATES[0]:
                outcomes.append(Unreached(codec, f"{rate:g}", "its smallest file is larger"))
                continue
            chosen = candidates[(candidates["codec"] == codec) & (candidates["point"] == f"{rate:g}")]
            points = dict(zip(chosen["image"], chosen["point"], strict=True))
            outcomes.append(Reached(codec, f"{rate:g}", points, int(chosen["bytes"].sum())))
    comparison = compare("own set", candidates, outcomes)
    return Compared(
        comparison,
        candidates,
        pd.DataFrame(scores),
        photographs,
        Reproduction("clic compare IMAGES --out DIR", "a test machine", {"numpy": "1"}, {"alps.png": "ab" * 32}),
    )
