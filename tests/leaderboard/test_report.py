"""The report's file: whole, self-contained, escaped, the same twice; exact pictures, and only measured findings."""

import hashlib
import io
import json
import re
from base64 import b64decode
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from report_data import HEIGHT, HOSTILE, RATES, WIDTH, make_compared, smooth, worse, write_run

from harness.errors import ClicError
from leaderboard.curves import MEASURED, MEASURES, Curve, Point
from leaderboard.report.compared import report_of_comparison
from leaderboard.report.findings import bytes_against, finding
from leaderboard.report.page import write_page, write_report
from leaderboard.report.pictures import FOLDER, colour_steps
from leaderboard.report.plots import comparable_boards, rd_plots
from leaderboard.report.run import report_of_run
from leaderboard.report.sections import ranked
from leaderboard.results import read_results

Run = tuple[Path, dict[str, Path]]
TEMPLATES = Path(__file__).parents[2] / "leaderboard" / "report" / "templates"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return write_run(tmp_path)


def without_pictures(html: str) -> str:
    html = re.sub(r"base64,[^\"]+", "", html)
    return re.sub(r'(<script type="image/[^>]*>)[^<]*', r"\1", html)


def test_page_holds_everything(run: Run) -> None:
    results, originals = run
    steps: list[tuple[int, int]] = []
    page = write_report(results, originals, lambda done, of: steps.append((done, of)))
    assert page == results / "report.html"
    assert steps == [(1, 3), (2, 3), (3, 3)]
    html = " ".join(page.read_text(encoding="utf-8").split())
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
        "3 images; 0.23 megapixels",
        "bubblewrap",
        "processor count",
        "3 images: 1.5 s of entropy decoding",
        "alpha dropped",
        "Linux on a test machine",
        "other images",
        "CLIC 2025 test",
        "0.6 bpp did not pass",
        "clic submit IMAGES --out DIR --profile clic2021",
        "1337" * 16,
    ):
        assert text in html, text
    assert 'href="scores.csv"' in html and 'href="0.15/decoder.zip"' in html


def test_pictures_of_the_page_are_the_very_pixels(run: Run) -> None:
    results, originals = run
    html = write_report(results, originals).read_text(encoding="utf-8")
    viewer = json.loads(re.findall(r'<script type="application/json" id="viewer-data">(.*?)</script>', html)[0])
    blocks = dict(re.findall(r'<script type="image/webp;base64" id="([^"]+)">([^<]+)</script>', html))
    seen = 0
    for photograph in viewer["photographs"]:
        name = photograph["name"]
        files = {"original": originals[name]}
        files |= {
            f"the <b>team</b>@{rate:g}": results / f"{rate:g}" / "images" / f"{name}.png" for rate in (0.075, 0.15, 0.3)
        }
        assert files.keys() == photograph["versions"].keys()
        for version, file in files.items():
            data = b64decode(blocks[photograph["versions"][version]["place"][1:]])
            with Image.open(io.BytesIO(data)) as shown, Image.open(file) as kept:
                assert np.array_equal(np.asarray(shown), np.asarray(kept))
            seen += 1
    assert seen == len(blocks) == 12
    # noise is weak in the upper left quarter, so the crop avoids it
    left, top = map(int, re.findall(r"1:1 at (\d+), (\d+)", html)[0])
    assert left >= WIDTH // 2 - 96 and top >= 32 and left + 192 <= WIDTH and top + 192 <= HEIGHT


def test_page_refers_to_nothing_outside(run: Run) -> None:
    html = without_pictures(write_report(*run).read_text(encoding="utf-8"))
    assert not re.search(r"https?://|=\s*[\"']?//|@import|url\((?!#)|fetch\(|XMLHttpRequest|import\(", html)
    assert "default-src 'none'" in html
    assert str(run[0]) not in html
    for address in re.findall(r'href="([^"#]+)"', html):
        assert not address.startswith(("/", "..")) and ":" not in address


def test_names_are_escaped(run: Run) -> None:
    html = write_report(*run).read_text(encoding="utf-8")
    assert "<img src=x" not in html and "<b>team" not in html and "</script><b>" not in html
    assert "&lt;img src=x onerror=alert(1)&gt; &#34;quoted&#34; &amp; &#39;ünï&#39; 写真" in html
    assert html.count("<script") == html.count("</script>") == 14


def test_same_files_give_the_same_page(run: Run) -> None:
    first = write_report(*run).read_bytes()
    assert write_report(*run).read_bytes() == first
    assert not list(run[0].glob(".report*")) and not (run[0] / FOLDER).exists()


def test_one_rate_that_no_board_has(run: Run) -> None:
    results, originals = run
    for name in ("leaderboard.csv", "scores.csv"):
        table = pd.read_csv(results / name)
        table[table["rate"] == 0.3].assign(rate="0.5").to_csv(results / name, index=False)
    (results / "0.3").rename(results / "0.5")
    (results / "run.json").unlink()
    html = write_report(results, originals).read_text(encoding="utf-8")
    assert "Past boards" not in html and "not recorded" in html


def test_failures_keep_the_earlier_page(run: Run) -> None:
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


def test_pictures_lie_beside_a_page_that_would_be_too_large(run: Run) -> None:
    results, originals = run
    generator = np.random.default_rng(1)
    loud = generator.integers(0, 256, (1700, 1700, 3), dtype=np.uint8)  # noise: nothing to gain without loss
    small = Path(originals["10"]).read_bytes(), [(results / f"{r:g}/images/10.png").read_bytes() for r in RATES]
    Image.fromarray(loud).save(originals["10"])
    for rate in RATES:
        Image.fromarray(loud ^ 1).save(results / f"{rate:g}" / "images" / "10.png")
    page = write_report(results, originals)
    html = page.read_text(encoding="utf-8")
    assert page.stat().st_size < 2_000_000 and "One file would exceed 30 MB" in html
    viewer = json.loads(re.findall(r'id="viewer-data">(.*?)</script>', html)[0])
    places = [v["place"] for one in viewer["photographs"] for v in one["versions"].values()]
    places += re.findall(r'<img src="(?!data:)([^"]+)"', html)
    assert len(places) == 24 and "0.15/images/10.png" in places
    for place in places:
        assert (results / unquote(place)).is_file(), place
    with Image.open(results / viewer["photographs"][0]["versions"]["original"]["place"]) as shown:
        assert np.array_equal(np.asarray(shown), loud)
    # small again: back into the page, and nothing is left behind
    originals["10"].write_bytes(small[0])
    for rate, data in zip(RATES, small[1], strict=True):
        (results / f"{rate:g}" / "images" / "10.png").write_bytes(data)
    assert "One file would exceed" not in write_report(results, originals).read_text(encoding="utf-8")
    assert not (results / FOLDER).exists()


def test_grey_is_told_from_coloured() -> None:
    grey = Image.fromarray(np.full((4, 5, 3), 77, np.uint8))
    assert colour_steps(grey) == 0
    grey.putpixel((2, 1), (70, 91, 80))
    assert colour_steps(grey) == 21


def test_grey_photographs_say_what_their_decoded_versions_are(tmp_path: Path) -> None:
    report = report_of_comparison(make_compared(tmp_path))
    html = " ".join(write_page(report, tmp_path / "page.html").read_text(encoding="utf-8").split())
    assert html.count("The original is grey.") == 2 and html.count("So is every decoded version.") == 1
    steps = [int(found) for found in re.findall(r"pixels have up to (\d+) of 255 steps of colour", html)]
    files = report.photographs[2].decoded.values()
    assert steps == [max(colour_steps(Image.open(file).convert("RGB")) for file in files)]


def test_comparison_holds_everything(tmp_path: Path) -> None:
    compared = make_compared(tmp_path)
    report = report_of_comparison(compared)
    html = " ".join(write_page(report, tmp_path / "page.html").read_text(encoding="utf-8").split())
    assert report.entrants == ["ours", "avif,speed=4", "jpeg"]
    for row in compared.comparison["codecs"]:
        assert f"{row['bytes']:,}" in html and f"{row['msssim_competition']:.5f}" in html
    for row in compared.comparison["bd_rate"]:
        if row["percent"] is not None:
            assert f"{row['percent']:+.1f}".replace("-", "−") in html
        else:
            assert row["reason"] in html
    assert "jpeg at 0.075 bpp: its smallest file is larger" in html
    for paired in report.paired:
        assert paired.geometric_mean is not None and f"{paired.geometric_mean:.3f}" in html
    assert "clic compare IMAGES" in html and "a test machine" in html


def test_finding_is_what_the_curves_say(tmp_path: Path) -> None:
    report = report_of_comparison(make_compared(tmp_path))
    curves = {curve.codec: curve for curve in report.curves["msssim_competition"]}
    share = bytes_against(curves["ours"], curves["avif,speed=4"], 0.15)
    found = finding(report)
    assert found is not None and share is not None and share < 0
    assert found.sentence == (
        f"At 0.15 bpp ours spends {-100 * share:.0f} % fewer bytes than avif,speed=4, the best of the others there, "
        "on these 3 images."
    )


def curve(codec: str, *points: tuple[float, float]) -> Curve:
    return Curve(codec, "own", MEASURES["msssim_competition"], MEASURED, [Point(*point) for point in points])


def test_bytes_at_equal_score() -> None:
    ours = curve("ours", (0.1, 10), (0.2, 12))
    assert bytes_against(ours, curve("twice", (0.2, 10), (0.4, 12)), 0.15) == pytest.approx(-0.5)
    assert bytes_against(ours, ours, 0.15) == pytest.approx(0)
    # a score that the other never reaches, and a rate that ours does not have: no figure
    assert bytes_against(ours, curve("weak", (0.2, 5), (0.4, 9)), 0.15) is None
    assert bytes_against(ours, curve("twice", (0.2, 10), (0.4, 12)), 0.05) is None
    # a point that another beats is no reason to need more bytes
    assert bytes_against(ours, curve("bent", (0.2, 10), (0.3, 9), (0.4, 12)), 0.15) == pytest.approx(-0.5)


def test_ranks_are_by_rate_and_shared_by_equals() -> None:
    board = pd.DataFrame(
        {"entrant": list("abcd"), "rate": [0.1, 0.1, 0.1, 0.2], "msssim_competition": [0.8, 0.9, 0.9, 0.5]}
    )
    table = ranked(board)
    assert list(zip(table["entrant"], table["rank"], strict=True)) == [("b", 1), ("c", 1), ("a", 3), ("d", 1)]


def test_past_boards_are_plotted_only_for_the_same_images(run: Run) -> None:
    report = report_of_run(read_results(run[0]), run[1])
    assert not report.archived.empty and comparable_boards(report).empty
    assert "archived" not in rd_plots(report)[0].drawn["wide"]
    same = replace(report, image_set="CLIC 2025 test")
    known = comparable_boards(same)
    assert set(known["image_set"]) == {"CLIC 2025 test"} and len(known) > 10
    assert rd_plots(same)[0].drawn["wide"].count('class="archived') + rd_plots(same)[0].left_out == len(known)


def luminance(color: str) -> float:
    channels = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    bright, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_contrast_of_text_and_of_series(theme: int) -> None:
    css = (TEMPLATES / "report.css").read_text()
    blocks = re.findall(r":root \{([^}]*--paper[^}]*)\}", css)
    colors = dict(re.findall(r"--([a-z0-9]+): (#[0-9a-f]{6})", blocks[theme]))
    for text in ("ink", "muted", "accent", "warn"):
        for ground in ("paper", "raised"):
            assert contrast(colors[text], colors[ground]) >= 4.5, (text, ground)
    for number in range(10):
        assert contrast(colors[f"c{number}"], colors["paper"]) >= 3
    assert contrast(colors["faint"], colors["paper"]) >= 3


def test_scripts_ask_for_nothing_and_stay_small() -> None:
    for script in TEMPLATES.glob("*.js"):
        text = script.read_text()
        assert len(text.splitlines()) <= 350
        assert not re.search(r"fetch\(|XMLHttpRequest|WebSocket|import |innerHTML|eval\(", text), script.name


def test_hostile_name_reaches_the_viewer_whole(run: Run) -> None:
    html = write_report(*run).read_text(encoding="utf-8")
    viewer = json.loads(re.findall(r'id="viewer-data">(.*?)</script>', html)[0])
    assert HOSTILE in [one["name"] for one in viewer["photographs"]]


def test_colour_profile_of_an_original_is_not_shown(tmp_path: Path) -> None:
    """A browser would apply it, while the codec saw the samples as they are."""
    results, originals = write_run(tmp_path)
    generator = np.random.default_rng(5)
    pixels = smooth(generator)
    Image.fromarray(pixels).save(originals["9"], icc_profile=b"not looked at")
    Image.fromarray(worse(generator, pixels, 3)).save(results / "0.15" / "images" / "9.png", icc_profile=b"x")
    html = write_report(results, originals).read_text(encoding="utf-8")
    for data in re.findall(r'<script type="image/webp;base64"[^>]*>([^<]+)</script>', html):
        with Image.open(io.BytesIO(b64decode(data))) as shown:
            assert "icc_profile" not in shown.info
