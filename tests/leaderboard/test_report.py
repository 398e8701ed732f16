"""The report: whole, self-contained, escaped, the same twice, and working in a browser without a network."""

import hashlib
import json
import math
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from harness.errors import ClicError
from leaderboard.report.page import write_report

RATES = (0.075, 0.15, 0.3)
HOSTILE = "<img src=x onerror=alert(1)> \"quoted\" & 'ünï' 写真"
NAMES = ("10", "9", HOSTILE)
WIDTH, HEIGHT = 300, 260
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def smooth(generator: np.random.Generator) -> np.ndarray:
    """A photograph-like picture: coarse noise, enlarged."""
    coarse = generator.integers(0, 256, (9, 9, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC))


@pytest.fixture
def run(tmp_path: Path) -> tuple[Path, dict[str, Path]]:
    """A run's folder and its originals; scores are a plain function of the real squared error."""
    generator = np.random.default_rng(7)
    results, originals = tmp_path / "out", {}
    candidates, scores = [], []
    for number, name in enumerate(NAMES):
        pixels = smooth(generator)
        originals[name] = tmp_path / f"original-{number}.png"
        Image.fromarray(pixels).save(originals[name])
        for point, rate in enumerate(RATES):
            noise = generator.normal(0, 12 / (point + 1), pixels.shape)
            noise[: HEIGHT // 2, : WIDTH // 2] /= 4
            decoded = np.clip(pixels + noise, 0, 255).astype(np.uint8)
            folder = results / f"{rate:g}" / "images"
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(decoded).save(folder / f"{name}.png")
            mse = float(((pixels.astype(float) - decoded) ** 2).mean())
            row = {
                "image": name,
                "width": WIDTH,
                "height": HEIGHT,
                "codec": "test",
                "point": f"p{point}",
                "bytes": int(rate * WIDTH * HEIGHT / 8) - number,
                "msssim_competition": 1 - mse / 3000,
                "msssim_paper": 1 - mse / 2900,
                "mse": mse,
            }
            candidates.append(row)
            scores.append(
                row
                | {
                    "rate": rate,
                    "bpp": 8 * row["bytes"] / (WIDTH * HEIGHT),
                    "psnr": 10 * math.log10(255**2 / mse),
                }
            )
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
    (results / "run.json").write_text(
        json.dumps(
            {
                "profile": {"name": "clic2021", "title": "CLIC 2021, image track"},
                "objective": "competition",
                "images": {"9": {"note": "alpha dropped"}},
                "versions": {"numpy": "</script><b>"},
                "rates": {
                    f"{row['rate']}": {
                        "selection": {
                            "score": row["msssim_competition"],
                            "bound": row["msssim_competition"] + 2e-6,
                        },
                        "verification": {
                            "sandbox": "bubblewrap",
                            "not_enforced": ["processor count"],
                            "decoder_says": "3 images: 1.5 s of entropy decoding",
                        },
                    }
                    for row in board
                }
                | {"0.6": {"verification": {"ok": False}}},
            }
        )
    )
    return results, originals


def test_page_holds_everything(run: tuple[Path, dict[str, Path]]) -> None:
    results, originals = run
    steps: list[tuple[int, int]] = []
    page = write_report(results, originals, lambda done, of: steps.append((done, of)))
    assert page == results / "report.html"
    assert steps == [(1, 3), (2, 3), (3, 3)]
    html = page.read_text(encoding="utf-8")
    for row in pd.read_csv(results / "leaderboard.csv").itertuples():
        assert f"{row.data_bytes:,}" in html and f"{row.bpp:.5f}" in html and f"{row.psnr_paper:.3f}" in html
        assert f"{row.msssim_competition:.5f}" in html and f"{row.msssim_paper:.5f}" in html
        assert f"{row.msssim_competition + 2e-6:.7f}" in html
        decoder = (results / f"{row.rate:g}" / "decoder.zip").read_bytes()
        assert hashlib.sha224(decoder).hexdigest() in html
    for row in pd.read_csv(results / "scores.csv").itertuples():
        assert f"{row.bytes:,} bytes, {row.bpp:.4f} bpp" in html and f"PSNR {row.psnr:.2f} dB" in html
    for text in (
        "12.3 MB",
        "CLIC 2021, image track",
        "3 images, 0.23 megapixels",
        "bubblewrap",
        "processor count",
        "3 images: 1.5 s of entropy decoding",
        "alpha dropped",
        "not comparable in the last digits",
        "IMCL_IMG_MSSSIM",
        "CLIC 2025 test",
        "0.6 bpp did not pass",
    ):
        assert text in " ".join(html.split())
    # original and three rates, whole and cropped, for three images
    pictures = re.findall(
        r'<img src="data:image/(jpeg|webp);base64,[^"]+" width="(\d+)" height="(\d+)" alt="[^"]+" '
        r'loading="lazy"',
        html,
    )
    assert sorted(pictures) == sorted([("jpeg", "300", "260"), ("webp", "224", "224")] * 12)
    # noise is weak in the upper left quarter, so the crop avoids it
    left, top = map(int, re.findall(r"1:1 at (\d+), (\d+)", html)[0])
    assert left == 72 and top == 32


def test_page_refers_to_nothing_outside(run: tuple[Path, dict[str, Path]]) -> None:
    html = write_report(*run).read_text(encoding="utf-8")
    text = re.sub(r"base64,[^\"]+", "", html)
    assert not re.search(r"https?://|=\s*[\"']?//|@import|url\((?!#)", text)
    assert not re.search(r'(?:src|href)="(?!data:|#)', html)
    assert "default-src 'none'" in html
    assert str(run[0]) not in html


def test_names_are_escaped(run: tuple[Path, dict[str, Path]]) -> None:
    html = write_report(*run).read_text(encoding="utf-8")
    assert "<img src=x" not in html and "<b>team" not in html and "</script><b>" not in html
    assert "&lt;img src=x onerror=alert(1)&gt; &#34;quoted&#34; &amp; &#39;ünï&#39; 写真" in html
    assert html.count("<script") == html.count("</script>") == 1


def test_same_files_give_the_same_page(run: tuple[Path, dict[str, Path]]) -> None:
    first = write_report(*run).read_bytes()
    assert write_report(*run).read_bytes() == first
    assert not list(run[0].glob(".report*"))


def test_one_rate_that_no_board_has(run: tuple[Path, dict[str, Path]]) -> None:
    results, originals = run
    for name in ("leaderboard.csv", "scores.csv"):
        table = pd.read_csv(results / name)
        table[table["rate"] == 0.3].assign(rate="0.5").to_csv(results / name, index=False)
    (results / "0.3").rename(results / "0.5")
    (results / "run.json").unlink()
    html = write_report(results, originals).read_text(encoding="utf-8")
    assert "no archived boards at these rates" in html and "not recorded" in html


def test_failures_keep_the_earlier_page(run: tuple[Path, dict[str, Path]]) -> None:
    results, originals = run
    before = write_report(results, originals).read_bytes()
    with pytest.raises(ClicError, match=r"scores\.csv: no original for 9"):
        write_report(results, {name: path for name, path in originals.items() if name != "9"})
    Image.new("RGB", (WIDTH, HEIGHT + 1)).save(results / "0.15" / "images" / "9.png")
    with pytest.raises(ClicError, match=r"9\.png: 300 x 261 pixels, but its original"):
        write_report(results, originals)
    (results / "0.15" / "images" / "9.png").unlink()
    with pytest.raises(ClicError, match=r"9\.png: no such image"):
        write_report(results, originals)
    assert (results / "report.html").read_bytes() == before


def browse(page: Path, profile: Path, *options: str) -> str:
    """What a headless Chromium that can reach nothing prints."""
    assert CHROMIUM is not None
    command = [
        CHROMIUM,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--hide-scrollbars",
        "--proxy-server=127.0.0.1:9",
        f"--user-data-dir={profile}",
        *options,
        page.as_uri(),
    ]
    return subprocess.run(command, check=True, capture_output=True, timeout=60).stdout.decode()


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_browser_sorts_and_shows(run: tuple[Path, dict[str, Path]], tmp_path: Path) -> None:
    page = write_report(*run)
    html = page.read_text(encoding="utf-8")
    # a click on "bytes" twice, then the page says what went wrong while loading
    probe = """<script>
      const button = document.querySelectorAll("table.sortable button")[3];
      button.click(); button.click();
      const broken = [...document.images].filter((image) => image.loading !== "lazy").length;
      const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
      document.title = `broken ${broken}, overflow ${wide}`;
    </script></body>"""
    probed = tmp_path / "probed.html"
    probed.write_text(html.replace("</body>", probe), encoding="utf-8")
    dom = browse(probed, tmp_path / "profile", "--dump-dom", "--window-size=500,900")
    assert "<title>broken 0, overflow 0</title>" in dom
    assert 'aria-sort="descending"' in dom
    table = dom[dom.index('class="sortable"') : dom.index('id="images"')]
    shown = [int(text.replace(",", "")) for text in re.findall(r'<td class="n"[^>]*>([\d,]+)</td>', table)]
    assert shown == sorted(pd.read_csv(run[0] / "scores.csv")["bytes"], reverse=True)

    shot = tmp_path / "shot.png"
    browse(page, tmp_path / "profile", f"--screenshot={shot}", "--window-size=1200,900")
    with Image.open(shot) as image:
        colours = image.convert("RGB").getcolors(1 << 20)
    assert image.size == (1200, 900) and colours is not None and len(colours) > 50
