"""The benchmarks of scores and selection: they compare like with like, and print what they measured."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import photograph

from harness.bench.score import bench_score, server_msssim
from harness.bench.select import synthetic
from harness.cli import main
from harness.images import load_rgb
from harness.scores.msssim import Reference
from harness.selection.exact import select

GOLDEN = Path(__file__).parents[3] / "shared" / "golden"


def test_the_servers_way_gives_the_golden_scores() -> None:
    if not GOLDEN.is_dir():
        pytest.skip("the golden scores are not beside this checkout, in ../shared/golden")
    for row in pd.read_csv(GOLDEN / "msssim.csv").itertuples():
        original, decoded = (load_rgb(GOLDEN / "images" / f"{row.pair}_{which}.png") for which in "ab")
        expected = pytest.approx(row.msssim_competition, abs=1e-11, nan_ok=True)
        assert server_msssim(original, decoded) == expected, row.pair


def test_all_ways_score_the_same_pairs() -> None:
    results = {row.method: row for row in bench_score([np.asarray(photograph(1, 331, 260))])}
    assert len(results) == 6
    assert all(row.seconds > 0 and row.times_ours > 0 for row in results.values())
    assert all(row.difference_to_server < 1e-9 for row in results.values() if row.difference_to_server is not None)
    by_torch = [row.score for row in results.values() if row.definition == "paper"]
    assert by_torch[0] == pytest.approx(by_torch[1], abs=1e-5)


def test_images_too_small_for_the_papers_definition_are_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, size in (("a", (161, 170)), ("b", (400, 160)), ("c", (8, 8))):
        photograph(1, *size).save(tmp_path / f"{name}.png")
    assert main(["bench", "score", "--images", str(tmp_path)]) == 0
    said = capsys.readouterr()
    assert "left out: 2 images too small for the papers' MS-SSIM" in said.err and "b.png, 400 x 160" in said.err
    assert "1 pair, 0.03 megapixels" in said.out
    (tmp_path / "a.png").unlink()
    assert main(["bench", "score", "--images", str(tmp_path)]) == 2
    (last,) = capsys.readouterr().err.splitlines()
    assert last.startswith(f"clic: {tmp_path}: 2 images too small") and last.endswith("no other; give larger images")


def test_without_the_papers_definition_the_other_stays() -> None:
    original = np.asarray(photograph(1, 331, 260))
    both, one = (Reference(original, paper).score(original // 2 + 60) for paper in (True, False))
    assert np.isnan(one.msssim_paper) and not np.isnan(both.msssim_paper)
    assert (one.msssim_competition, one.mse) == (both.msssim_competition, both.mse)


def test_synthetic_sets_are_the_same_each_time() -> None:
    columns, pixels = synthetic(50)
    again, same = synthetic(50)
    assert pixels == same and all((columns[name] == again[name]).all() for name in columns)
    result = select(columns, pixels * 3 // 160)
    assert len(result.points) == 50 and result.score == result.bound


def test_the_selection_is_measured_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "select", "--sizes", "5,41", "--csv", str(tmp_path / "select.csv")]) == 0
    table = pd.read_csv(tmp_path / "select.csv")
    assert table["images"].tolist() == [5, 41] and (table["gap"] >= 0).all() and (table["seconds"] >= 0).all()
    assert "gap to the bound" in capsys.readouterr().out
