"""`clic compare` as people run it: several codecs, in processes of their own, on small photographs."""

import csv
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import TOY, marked, photograph, wait_until
from PIL import Image

from harness.records import Allocation, Candidate, Chosen
from harness.store import open_store

Clic = Callable[..., subprocess.CompletedProcess[str]]
CODECS = (TOY, "webp", "mine.toml")
MINE = """
encode = ["python3", "{folder}/mine.py", "{input}", "{output}", "{point}"]
output_ending = "webp"
points = ["0", "30", "70"]
version = "1"
input = "ppm"
"""
PROGRAM = """
import sys
from PIL import Image
Image.open(sys.argv[1]).save(sys.argv[2], quality=int(sys.argv[3]))
"""
SCORES = ("msssim_competition", "msssim_paper", "psnr_competition", "psnr_paper")
SCHEMA: dict[str, dict[str, Any]] = {
    "codecs": {"codec": str, "rate": str, "bytes": int, "bpp": float, "budget_bytes": int, "decode_seconds": float}
    | dict.fromkeys(SCORES, float),
    "unreached": {"codec": str, "rate": str, "reason": str},
    "bd_rate": {"codec": str, "anchor": str, "metric": str, "percent": (float, type(None)), "overlap": float}
    | {"points": list, "reason": str},
}


def options(*codecs: object) -> list[object]:
    return [word for codec in codecs for word in ("--codec", codec)]


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder with three photographs and a codec of two files."""
    folder = tmp_path / "photographs"
    folder.mkdir()
    for seed, size in enumerate(((208, 176), (176, 192), (190, 170))):
        photograph(seed, *size).save(folder / f"{seed}.png")
    (tmp_path / "mine.toml").write_text(MINE.replace("python3", sys.executable))
    (tmp_path / "mine.py").write_text(PROGRAM)
    return tmp_path


def comparison(out: Path) -> dict[str, Any]:
    return dict(json.loads((out / "comparison.json").read_text()))


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_three_codecs_from_photographs_to_the_report(clic: Clic, here: Path) -> None:
    out = here / "out"
    codecs = (TOY, "webp,method=0", here / "mine.toml")
    done = clic("compare", here / "photographs", "--out", out, *options(*codecs), "--rates", "0.3,2")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == str(out / "report.html")
    names = ["toy", "webp,method=0", "mine"]
    assert all(f" {name} " in done.stdout for name in names)
    made = comparison(out)
    for key, fields in SCHEMA.items():
        assert made[key] or key == "unreached"
        for row in made[key]:
            assert fields.keys() <= row.keys()
            assert all(isinstance(row[name], kind) for name, kind in fields.items()), row
    assert made["set"].startswith("own set ") and made["images"] == 3
    told = {(row["codec"], row["rate"]) for row in (*made["codecs"], *made["unreached"])}
    assert told == {(name, rate) for name in names for rate in ("0.3", "2")}
    pixels = 208 * 176 + 176 * 192 + 190 * 170
    for row in made["codecs"]:
        assert row["bytes"] <= row["budget_bytes"] == -(-int(float(row["rate"]) * 1000) * pixels // 8000)
        assert row["selection_score"] <= row["selection_bound"] + 1e-12
    assert {(row["codec"], row["anchor"]) for row in made["bd_rate"]} == {
        (a, b) for a in names for b in names if a != b
    }
    # the tables beside say the same
    assert [row["codec"] for row in table(out / "comparison.csv")] == [row["codec"] for row in made["codecs"]]
    scores = table(out / "scores.csv")
    sums = {(row["codec"], row["rate"]): row["bytes"] for row in made["codecs"]}
    for key, total in sums.items():
        assert sum(int(row["bytes"]) for row in scores if (row["codec"], row["rate"]) == key) == total
    assert {row["codec"] for row in table(out / "candidates.csv")} == set(names)
    assert len(table(out / "bd-rates.csv")) == len(made["bd_rate"])
    # the pictures are those that were scored
    with open_store(out, write=False) as store:
        hashes = {row.pixels_sha256 for row in store.rows(Candidate)}
        assert len(store.rows(Allocation)) == len(made["codecs"])
        assert len(store.rows(Chosen)) == 3 * len(made["codecs"])
    from harness.images import load_rgb, pixels_sha256

    pictures = list(out.glob("decoded/*/*/*.png"))
    assert len(pictures) == len(scores) and {pixels_sha256(load_rgb(path)) for path in pictures} <= hashes
    page = (out / "report.html").read_text()
    assert "clic compare IMAGES --out DIR --codec" in page and "comparison.json: all figures of this page" in page


def test_what_the_choice_was_made_by_is_shown(clic: Clic, here: Path) -> None:
    """In the terminal, both files, the page and every table that is given out, under the objective's name."""
    out = here / "out"
    command = ("compare", here / "photographs", "--out", out, *options("webp", "jpeg"), "--rates", "1,2")
    done = clic(*command, "--objective", "ssimulacra2", COLUMNS="200")
    assert done.returncode == 0, done.stderr
    assert "chosen by ssimulacra2" in done.stdout and "at 2 bpp" in done.stdout
    scores = [row for row in table(out / "scores.csv") if (row["codec"], row["rate"]) == ("webp", "2")]
    mean = np.mean([float(row["ssimulacra2"]) for row in scores])
    assert len(scores) == 3 and 0 < mean < 100
    [written] = [row for row in table(out / "comparison.csv") if (row["codec"], row["rate"]) == ("webp", "2")]
    [made] = [row for row in comparison(out)["codecs"] if (row["codec"], row["rate"]) == ("webp", "2")]
    assert np.isclose(float(written["ssimulacra2"]), mean) and np.isclose(made["selection_score"], mean)
    assert made["objective"] == "ssimulacra2"
    page = (out / "report.html").read_text()
    assert "for the best score by ssimulacra2, which the leaderboard shows" in page and f"{mean:.4f}" in page
    for name in ("overview", "board"):
        assert f" {mean:.4f} " in clic("export", out, "--to", "markdown", "--table", name).stdout
    # what every table has is not shown twice
    done = clic(*command, "--objective", "paper", COLUMNS="200")
    assert done.returncode == 0 and "chosen by paper" in " ".join(done.stdout.split())
    assert list(table(out / "comparison.csv")[0])[-1] == "psnr_paper"
    assert "for the best score by paper." in (out / "report.html").read_text()


def test_a_union_is_a_contender(clic: Clic, here: Path) -> None:
    """It codes and decodes nothing that its members have, and scores not lower than either within the same bytes."""
    out, log = here / "out", here / "log"
    command = ("compare", here / "photographs", "--out", out, *options(TOY, "webp,method=0"), "--rates", "0.5,2")
    assert clic(*command, TOY_LOG=str(log)).returncode == 0
    calls = len(log.read_text().splitlines())
    union = f"{TOY} + webp,method=0"
    done = clic(*command, *options(union), TOY_LOG=str(log))
    assert done.returncode == 0, done.stderr
    assert len(log.read_text().splitlines()) == calls
    made, name = comparison(out), "toy + webp,method=0"
    assert made["unions"] == [name] and f" {name} " in done.stdout
    rows = {(row["codec"], row["rate"]): row for row in made["codecs"]}
    for rate in ("0.5", "2"):
        best = rows[name, rate]
        assert best["bytes"] <= best["budget_bytes"] and best["decode_seconds"] > 0
        for alone in ("toy", "webp,method=0"):
            if (alone, rate) in rows:
                assert best["selection_score"] >= rows[alone, rate]["selection_score"]
    # its points are its members', it has no curve of its own, and its pictures are those that were scored
    scores = [row for row in table(out / "scores.csv") if row["codec"] == name]
    assert len(scores) == 6 and all(row["point"].startswith(("toy ", "webp,method=0 ")) for row in scores)
    assert not [row for row in made["bd_rate"] if name in (row["codec"], row["anchor"])]
    [folder] = out.glob("decoded/toy_+_webp*")
    shown = {(row["rate"], row["image"]): row["pixels_sha256"] for row in scores}
    from harness.images import load_rgb, pixels_sha256

    for (rate, image), digest in shown.items():
        assert pixels_sha256(load_rgb(folder / rate / f"{image}.png")) == digest
    found = (out / "report.html").read_text()  # the subject is set against another codec, not against a mixture with it
    assert f"than {name}" not in found.partition("<nav")[0]
    # alone, and named first, it has a page too
    alone = clic("compare", here / "photographs", "--out", out, *options(union, "jpeg"), "--rates", "2")
    assert alone.returncode == 0, alone.stderr
    assert name in (out / "report.html").read_text()
    alone = clic("compare", here / "photographs", "--out", out, *options(union), "--rates", "2")
    assert alone.returncode == 0, alone.stderr


def test_codecs_add_further_points_for_the_rates(clic: Clic, here: Path) -> None:
    """As in a submission: the same codec with qualities between its points makes better use of the bytes."""
    out = here / "out"
    done = clic("compare", here / "photographs", "--out", out, *options(TOY, "toy_codec:Adaptive"), "--rates", "0.5")
    assert done.returncode == 0, done.stderr
    scores = {row["codec"]: row["selection_score"] for row in comparison(out)["codecs"]}
    assert scores["adaptive"] > scores["toy"]


def test_what_is_there_is_neither_coded_nor_decoded_again(clic: Clic, here: Path) -> None:
    out, log = here / "out", here / "log"
    command = ("compare", here / "photographs", "--out", out, *options(TOY, "jpeg"), "--rates", "1,2")
    assert clic(*command, TOY_LOG=str(log)).returncode == 0
    calls = len(log.read_text().splitlines())
    pictures = {path: path.stat().st_mtime_ns for path in out.glob("decoded/*/*/*.png")}
    page = (out / "report.html").read_bytes()
    damaged = min(pictures)
    damaged.write_bytes(b"no picture")
    assert clic(*command, TOY_LOG=str(log)).returncode == 0
    assert len(log.read_text().splitlines()) == calls == 12
    assert (out / "report.html").read_bytes() == page
    changed = {path for path, before in pictures.items() if path.stat().st_mtime_ns != before}
    assert changed == {damaged} and np.asarray(Image.open(damaged)).ndim == 3
    with open_store(out, write=False) as store:
        assert len(store.rows(Allocation)) == 4
    # a further rate and a further codec take what is there
    assert clic(*command[:-1], "1,2,3", *options("webp"), TOY_LOG=str(log)).returncode == 0
    assert len(log.read_text().splitlines()) == calls
    assert {row["rate"] for row in comparison(out)["codecs"]} == {"1", "2", "3"}
    done = clic("report", out, "--images", here / "photographs")
    assert done.returncode == 2 and "a comparison; 'clic compare' with it as --out writes its report" in done.stderr


def test_interrupted_it_goes_on_where_it_stopped(
    clic: Clic, start_clic: Callable[..., subprocess.Popen[str]], here: Path
) -> None:
    out, log = here / "out", here / "log"
    command = ("compare", here / "photographs", "--out", out, *options(TOY), "--rates", "2", "--workers", "1")
    running = start_clic(*command, TOY_LOG=str(log), TOY_DELAY="0.3")
    wait_until(lambda: log.exists() and len(log.read_text().splitlines()) >= 4)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 130 and "goes on where it stopped" in said
    before = len(log.read_text().splitlines())
    assert not (out / "report.html").exists()
    assert clic(*command, TOY_LOG=str(log)).returncode == 0
    assert before < 12 <= len(log.read_text().splitlines()) < before + 12
    assert (out / "report.html").exists()


def test_a_failing_codec_leaves_the_others(clic: Clic, here: Path) -> None:
    out = here / "out"
    marked((255, 0, 255)).save(here / "photographs" / "magenta.png")
    done = clic("compare", here / "photographs", "--out", out, *options(TOY, "jpeg"), "--rates", "3")
    assert done.returncode == 1 and done.stderr.splitlines()[-1].startswith("toy: could not code everything")
    made = comparison(out)
    assert [row["codec"] for row in made["codecs"]] == ["jpeg"]
    (unreached,) = made["unreached"]
    assert unreached["codec"] == "toy" and "1 image, the first is magenta: ValueError: magenta" in unreached["reason"]
    rows = table(out / "failures.csv")
    assert {(row["codec"], row["image"], row["reason"]) for row in rows} == {("toy", "magenta", "ValueError: magenta")}
    assert unreached["reason"] in (out / "report.html").read_text().replace("&#39;", "'")
    # once it is mended, nothing is left of that
    (here / "photographs" / "magenta.png").unlink()
    assert clic("compare", here / "photographs", "--out", out, *options(TOY, "jpeg"), "--rates", "3").returncode == 0
    assert not comparison(out)["unreached"] and not (out / "failures.csv").exists()


def test_a_codec_that_codes_nothing_is_named_and_the_others_stay(clic: Clic, here: Path) -> None:
    (here / "broken.toml").write_text(MINE.replace('"{folder}/mine.py"', '"-c", "raise SystemExit(3)"'))
    out = here / "out"
    done = clic("compare", here / "photographs", "--out", out, *options("jpeg", here / "broken.toml"), "--rates", "3")
    assert done.returncode == 1, done.stderr
    assert [row["codec"] for row in comparison(out)["unreached"]] == ["broken"]
    assert [row["codec"] for row in comparison(out)["codecs"]] == ["jpeg"] and (out / "report.html").exists()


def test_a_rate_out_of_reach_has_a_reason(clic: Clic, here: Path) -> None:
    out = here / "out"
    command = ("compare", here / "photographs", "--out", out, *options(TOY, "webp"))
    done = clic(*command, "--rates", "0.01,3")
    assert done.returncode == 0
    made = comparison(out)
    assert [(row["codec"], row["rate"]) for row in made["unreached"]] == [("toy", "0.01"), ("webp", "0.01")]
    budget = -(-(208 * 176 + 176 * 192 + 190 * 170) // 800)
    for row in made["unreached"]:
        assert row["reason"].startswith("its smallest streams take ")
        assert row["reason"].endswith(f"bits per pixel, and the budget is {budget}")
        assert f"{row['codec']} at 0.01 bpp: {row['reason']}" in done.stderr.splitlines()
    assert {row["rate"] for row in made["codecs"]} == {"3"}
    # at no rate at all there is no page, but the reasons
    done = clic(*command, "--rates", "0.01")
    assert done.returncode == 2 and done.stderr.splitlines()[-1].startswith("clic: no codec reached any of these rates")
    assert not comparison(out)["codecs"] and len(comparison(out)["unreached"]) == 2


@pytest.mark.parametrize(
    ("codecs", "said"),
    [
        (("jpeg", "nothing"), "clic: codec 'nothing' is not installed"),
        (("jpeg", "webp", "jpeg"), "clic: codec 'jpeg' is named twice; name each once"),
        (("webp", "webp,method=6,method=4"), "each key once"),
        (("jpeg,quality=9",), "no setting 'quality'"),
    ],
)
def test_codecs_that_do_not_do_are_told_before_anything_is_coded(
    clic: Clic, here: Path, codecs: tuple[str, ...], said: str
) -> None:
    done = clic("compare", here / "photographs", "--out", here / "out", *options(*codecs))
    assert done.returncode == 2 and said in done.stderr.splitlines()[-1]
    assert not list((here / "out").glob("streams/*/*"))


def test_two_codecs_of_one_name_are_refused(clic: Clic, here: Path) -> None:
    (here / "second").mkdir()
    (here / "second" / "mine.toml").write_text((here / "mine.toml").read_text().replace('"30"', '"40"'))
    both = options(here / "mine.toml", here / "second" / "mine.toml")
    done = clic("compare", here / "photographs", "--out", here / "out", *both)
    assert done.returncode == 2 and "two codecs are called 'mine'; give one of them another name" in done.stderr


@pytest.mark.parametrize("foreign", ["report.html", "comparison.json", "decoded", "scores.csv"])
def test_a_folder_that_is_not_its_own_is_refused(clic: Clic, here: Path, foreign: str) -> None:
    out = here / "out"
    out.mkdir()
    (out / foreign).mkdir() if foreign == "decoded" else (out / foreign).write_text("mine")
    done = clic("compare", here / "photographs", "--out", out, *options("jpeg"))
    assert done.returncode == 2 and f"clic: {out}: holds {foreign} and no results.sqlite" in done.stderr
    assert [path.name for path in out.iterdir()] == [foreign]


def test_a_submission_and_the_photographs_themselves_are_left_alone(clic: Clic, here: Path) -> None:
    out = here / "out"
    assert clic("encode", here / "photographs", "--out", out, "--codec", TOY).returncode == 0
    (out / "run.json").write_text("{}")
    done = clic("compare", here / "photographs", "--out", out, *options(TOY))
    assert done.returncode == 2 and "holds a submission (run.json)" in done.stderr
    shutil.copytree(here / "photographs", here / "other" / "decoded")
    done = clic("compare", here / "other" / "decoded", "--out", here / "other", *options(TOY))
    assert done.returncode == 2 and "lies where the comparison in" in done.stderr


def test_a_folder_of_encode_is_taken_as_it_is(clic: Clic, here: Path) -> None:
    out, log = here / "out", here / "log"
    assert clic("encode", here / "photographs", "--out", out, "--codec", TOY).returncode == 0
    command = ("compare", here / "photographs", "--out", out, *options(TOY), "--rates", "3")
    done = clic(*command, TOY_LOG=str(log))
    assert done.returncode == 0 and not log.exists()
    assert comparison(out)["bd_rate"] == [] and (out / "report.html").exists()


def test_a_decoder_that_gives_other_pixels_is_told(clic: Clic, here: Path) -> None:
    done = clic("compare", here / "photographs", "--out", here / "out", *options("toy_codec:Liar"), "--rates", "3")
    assert done.returncode == 2
    assert "decodes to other pixels than those that were scored; mend the codec" in done.stderr.splitlines()[-1]
