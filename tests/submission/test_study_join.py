"""A study whose rows ran in several folders, printed as one."""

import subprocess
import sys
from pathlib import Path

import pytest
from study_runs import simulated, write_gradients

from submission.study.made import read_made, write_made
from submission.study.runs import RunRow, in_order, read_runs, write_runs

COMMAND = "clic ablate full --data crops --images kodak --out {} --jobs 2"


def ablate(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "harness", "ablate", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True)


def written(folder: Path, rows: list[RunRow]) -> Path:
    folder.mkdir()
    write_runs(folder / "runs.csv", rows)
    write_made(folder, COMMAND.format(folder.name), ["ab"[folder.name == "two"] * 40])
    return folder


@pytest.fixture(scope="module")
def whole() -> list[RunRow]:
    return simulated()


def test_parts_give_what_the_whole_gives(whole: list[RunRow], tmp_path: Path) -> None:
    one = written(tmp_path / "one", [row for row in whole if row.row in ("T1", "S") and row.seed < 3])
    two = written(tmp_path / "two", [row for row in whole if row.row not in ("T1", "S") or row.seed == 3])
    write_gradients(two / "gradients.csv")
    done = ablate("tables", tmp_path / "joined", "--from", one, "--from", two)
    assert done.returncode == 0, done.stderr
    assert read_runs(tmp_path / "joined/runs.csv") == in_order(whole)
    gradients = [(folder / "gradients.csv").read_text().split() for folder in (tmp_path / "joined", two)]
    assert sorted(gradients[0]) == sorted(gradients[1])
    made = read_made(tmp_path / "joined")
    assert made is not None
    assert made.commands == (COMMAND.format("one"), COMMAND.format("two"))
    assert made.commits == ("a" * 40, "b" * 40)
    assert ablate("tables", tmp_path / "joined", "--check").returncode == 0


def test_a_run_is_taken_whole_from_the_last_folder_that_has_it(whole: list[RunRow], tmp_path: Path) -> None:
    some = [row for row in whole if (row.row, row.seed) == ("T1", 1)]
    one = written(tmp_path / "one", some)
    newer = [row for row in some if row.cell == "T1 a" and row.skip_uncoded == "off"][:-3]
    two = written(tmp_path / "two", newer)
    assert ablate("tables", one, "--from", two).returncode == 0
    found = read_runs(one / "runs.csv")
    assert [row for row in found if row.cell == "T1 a" and row.skip_uncoded == "off"] == newer
    assert len(found) == len(some) - 3
    assert ablate("tables", one, "--from", two).returncode == 0
    assert read_runs(one / "runs.csv") == found


def test_what_cannot_be_joined_is_one_line_and_leaves_all_as_it_was(whole: list[RunRow], tmp_path: Path) -> None:
    some = [row for row in whole if (row.row, row.seed) == ("T1", 1)]
    one = written(tmp_path / "one", some)
    (tmp_path / "two").mkdir()
    before = {path.name: path.read_bytes() for path in one.iterdir()}
    said = {
        "runs.csv: cannot be read": ("tables", one, "--from", tmp_path / "two"),
        "--check writes nothing": ("tables", one, "--check", "--from", one),
        "takes no DIR": ("quick", "--data", one, "--images", one, "--out", tmp_path / "new", "--from", one),
    }
    other = [{**vars(row), "study": "mine"} for row in some]
    (tmp_path / "three").mkdir()
    write_runs(tmp_path / "three/runs.csv", [RunRow(**row) for row in other])
    said["of study 'full' and"] = ("tables", one, "--from", tmp_path / "three")
    for line, words in said.items():
        done = ablate(*words)
        assert done.returncode == 2 and line in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert {path.name: path.read_bytes() for path in one.iterdir()} == before
