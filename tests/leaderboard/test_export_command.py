"""`clic export`: what is compared goes out as tables, and as batches that Codec-Compare reads."""

import csv
import io
import json
import math
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers import TESTS, TOY, photograph

Clic = Callable[..., subprocess.CompletedProcess[str]]
# src/entry.ts of webmproject/codec-compare: what the names of its fields mean to it
KNOWN = {
    "original name",
    "width",
    "height",
    "quality",
    "encoded size",
    "encoding time",
    "decoding time",
    "psnr",
    "msssim",
}


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A comparison of two codecs on two photographs, one rate out of reach of both."""
    folder = tmp_path_factory.mktemp("exported")
    (folder / "photographs").mkdir()
    for seed in range(2):
        photograph(seed, 200, 170).save(folder / "photographs" / f"{seed}, a.png")
    command = [
        "compare",
        folder / "photographs",
        "--out",
        folder / "out",
        "--codec",
        TOY,
        "--codec",
        "webp",
        "--rates",
        "0.01,1,2",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "harness", *command],
        cwd=TESTS.parent,
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return folder


def loaded(path: Path) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """A batch as Codec-Compare's loader takes it: constants by name, and rows by field."""
    batch = json.loads(path.read_text())
    names = {}
    for kind in ("constant", "field"):
        assert all(len(one) == 1 and isinstance(next(iter(one.values())), str) for one in batch[f"{kind}_descriptions"])
        names[kind] = [name for one in batch[f"{kind}_descriptions"] for name in one]
    assert len(batch["constant_values"]) == len(names["constant"]) and names["field"]
    rows = batch["field_values"]
    assert all(len(row) == len(names["field"]) and not any(value is None for value in row) for row in rows)
    constants = dict(zip(names["constant"], batch["constant_values"], strict=True))
    return constants, [dict(zip(names["field"], row, strict=True)) for row in rows]


def test_batches_of_codec_compare(clic: Clic, here: Path) -> None:
    done = clic("export", here / "out", "--to", "codec-compare", "--images", here / "photographs")
    assert done.returncode == 0, done.stderr
    list_path = Path(done.stdout.strip())
    assert list_path == here / "out" / "codec-compare" / "batches.json"
    listed = json.loads(list_path.read_text())
    assert listed and all(isinstance(one, list) and len(one) == 1 for one in listed)
    batches = [loaded(list_path.parent / name) for (name,) in listed]
    with (here / "out" / "candidates.csv").open(newline="") as file:
        candidates = list(csv.DictReader(file))
    for codec, (constants, rows) in zip(("toy", "webp"), batches, strict=True):
        assert (
            constants["name"] == codec
            and constants["version"]
            and re.fullmatch(r"[\d-]{10}T[\d:]{8}", constants["time"])
        )
        assert {name.replace("_", " ") for name in rows[0]} >= KNOWN - {"decoding time"}
        own = [row for row in candidates if row["codec"] == codec]
        assert len(rows) == len(own)
        for row, candidate in zip(rows, own, strict=True):
            assert (row["encoded_size"], str(row["quality"])) == (int(candidate["bytes"]), candidate["point"])
            assert row["msssim"] == float(candidate["msssim_paper"])
            assert math.isclose(row["psnr"], 10 * math.log10(255**2 / float(candidate["mse"])))
            original = constants["original_path"].replace("${original_name}", row["original_name"])
            assert (list_path.parent / original).is_file()
            if codec == "webp":
                encoded = constants["encoded_path"].replace("${encoded_name}", row["encoded_name"])
                assert (list_path.parent / encoded).stat().st_size == row["encoded_size"]
    without = clic("export", here / "out", "--to", "codec-compare", "--out", here / "batches")
    constants, _ = loaded(here / "batches" / json.loads(Path(without.stdout.strip()).read_text())[0][0])
    assert "original_path" not in constants


def test_decoding_times_that_are_missing_are_told_and_can_be_had(clic: Clic, here: Path, tmp_path: Path) -> None:
    """A comparison times what it chose; Codec-Compare takes a field only with a value in each row."""
    shutil.copytree(here / "out", tmp_path / "out")
    command = ("export", tmp_path / "out", "--to", "codec-compare")
    done = clic(*command)
    said = [line for line in done.stderr.splitlines() if line.startswith("webp: no decoding_time, as ")]
    assert done.returncode == 0 and len(said) == 1 and "of 44 streams have none" in said[0]
    assert "clic measure RUN IMAGES --metric decode_seconds" in said[0]
    measured = clic("measure", tmp_path / "out", here / "photographs", "--metric", "decode_seconds")
    assert measured.returncode == 0, measured.stderr
    done = clic(*command)
    assert "decoding_time" not in done.stderr
    for (name,) in json.loads(Path(done.stdout.strip()).read_text()):
        _, rows = loaded(tmp_path / "out" / "codec-compare" / name)
        assert all(row["decoding_time"] >= 0 for row in rows)


def test_tables_in_every_face(clic: Clic, here: Path) -> None:
    comparison = json.loads((here / "out" / "comparison.json").read_text())

    def told(*options: object) -> str:
        done = clic("export", here / "out", "--to", *options)
        assert done.returncode == 0, done.stderr
        return done.stdout

    markdown = told("markdown")
    assert markdown.splitlines()[2].startswith("| codec") and "0.01 bpp (dB)" in markdown and "–" in markdown
    first = next(row for row in comparison["codecs"] if (row["codec"], row["rate"]) == ("toy", "2"))
    assert f" {-10 * math.log10(1 - first['msssim_competition']):.2f} " in markdown
    board = json.loads(told("json", "--table", "board"))
    assert [(row["codec"], row["bytes"]) for row in board] == [
        (row["codec"], row["bytes"]) for row in comparison["codecs"]
    ]
    rates = list(csv.DictReader(io.StringIO(told("csv", "--table", "bd-rates"))))
    assert len(rates) == len(comparison["bd_rate"]) and {row["codec"] for row in rates} == {"toy", "webp"}
    images = json.loads(told("json", "--table", "images"))
    assert len(images) == 2 * len(comparison["codecs"]) and isinstance(images[0]["bytes"], int)
    assert len(list(csv.reader(io.StringIO(told("csv", "--table", "candidates"))))) == 1 + 2 * (4 + 22)
    latex = told("latex", "--table", "overview")
    assert latex.count(r"\\") == 2 + 2 and r"\toprule" in latex
    assert told("csv", "--out", here / "t.csv") == f"{here / 't.csv'}\n" and (here / "t.csv").read_text().startswith(
        "codec,"
    )


def test_the_first_codec_is_the_anchor_whatever_its_name(clic: Clic, here: Path, tmp_path: Path) -> None:
    """Also in files of before the order was recorded, where the subject lacks a row at the lowest rate."""

    def against(made: dict[str, Any]) -> str:
        (tmp_path / "comparison.json").write_text(json.dumps(made, sort_keys=True))
        done = clic("export", tmp_path, "--to", "markdown")
        assert done.returncode == 0, done.stderr
        return done.stdout

    command = ("compare", here / "photographs", "--out", here / "reversed", "--codec", "webp", "--codec", TOY)
    done = clic(*command, "--rates", "0.5,2")
    assert done.returncode == 0 and "than webp" in done.stdout
    exported = clic("export", here / "reversed", "--to", "markdown").stdout
    assert "bytes (than webp)" in exported and "toy" in exported
    made = json.loads((here / "reversed" / "comparison.json").read_text())
    del made["run"]["order"]
    assert "bytes (than webp)" in against(made)
    made["codecs"] = [row for row in made["codecs"] if (row["codec"], row["rate"]) != ("webp", "0.5")]
    made["unreached"].append({"codec": "webp", "rate": "0.5", "reason": "too large"})
    assert "bytes (than webp)" in against(made)
    # a union has no curve to be set against
    made["unions"], made["run"]["order"] = ["webp"], ["webp", "toy"]
    assert "bytes (than toy)" in against(made)


def test_numbers_are_numbers_in_json(clic: Clic, here: Path) -> None:
    """Also in columns that only some files have; names stay texts, though they be digits."""

    def objects(name: str) -> list[dict[str, Any]]:
        done = clic("export", here / "out", "--to", "json", "--table", name)
        assert done.returncode == 0, done.stderr
        return list(json.loads(done.stdout))

    said = {"image_set", "scores"}
    texts = {
        "board": {"codec", *said, "selected_by"},
        "bd-rates": {"codec", "anchor", "metric", "method", "reason", *said},
        "images": {*said, "selected_by", "codec", "image", "point", "pixels_sha256"},
        "candidates": {
            *said,
            "codec",
            "image",
            "point",
            *(f"{k}_sha256" for k in ("image", "stream", "pixels", "codec")),
        },
    }
    for name, expected in texts.items():
        for row in objects(name):
            assert {key for key, value in row.items() if isinstance(value, str)} == expected, name
    comparison = json.loads((here / "out" / "comparison.json").read_text())
    assert [row["rate"] for row in objects("board")] == [float(row["rate"]) for row in comparison["codecs"]]
    counts = [[row["points"], row["anchor_points"]] for row in objects("bd-rates")]
    assert counts == [row["points"] for row in comparison["bd_rate"]]


def test_published_curves_are_anchors(clic: Clic, here: Path, tmp_path: Path) -> None:
    """Each codec against each curve of the same set, with where it is from; none of another set."""
    from leaderboard.published import published_curves

    command = ("export", here / "out", "--to", "csv", "--table", "published")
    done = clic(*command)
    assert done.returncode == 2 and "no published curves of own set" in done.stderr.splitlines()[-1]
    made = json.loads((here / "out" / "comparison.json").read_text()) | {"set": "Kodak"}
    (tmp_path / "comparison.json").write_text(json.dumps(made))
    shutil.copy(here / "out" / "candidates.csv", tmp_path)
    done = clic("export", tmp_path, "--to", "csv", "--table", "published")
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    known = published_curves("Kodak")
    assert len(rows) == 2 * len(known) and {row["codec"] for row in rows} == {"toy", "webp"}
    assert [row["anchor"] for row in rows[::2]] == [curve.title for curve in known]
    assert all(row["percent"] or row["reason"] for row in rows)


def test_every_table_says_what_it_is(clic: Clic, here: Path) -> None:
    """Image set, definition and averaging; of a submission the photographs that its record lists."""
    image_set = json.loads((here / "out" / "comparison.json").read_text())["set"]
    for name in ("overview", "board", "bd-rates", "images", "candidates"):
        markdown = clic("export", here / "out", "--to", "markdown", "--table", name).stdout.splitlines()
        assert markdown[0].startswith(f"{image_set}; ") and markdown[1] == "" and markdown[2].startswith("| ")
        latex = clic("export", here / "out", "--to", "latex", "--table", name).stdout
        assert latex.index(r"\caption{" + image_set) < latex.index(r"\begin{tabular}") < latex.index(r"\end{table}")
        rows = list(csv.DictReader(io.StringIO(clic("export", here / "out", "--to", "csv", "--table", name).stdout)))
        assert {row["image_set"] for row in rows} == {image_set}
        assert ("pixel-weighted" in markdown[0]) == (name not in ("images", "candidates"))
        assert {row["scores"] in markdown[0] for row in rows} == {True}
    assert "selected by competition" in clic("export", here / "out", "--to", "markdown").stdout
    sent = here / "sent"
    sent.mkdir()
    scores = "msssim_competition,msssim_paper,psnr_competition,psnr_paper"
    head = f"team,rate,budget_bytes,data_bytes,bpp,{scores},decoder_bytes,decode_seconds"
    (sent / "leaderboard.csv").write_text(f"{head}\nus,0.3,99,98,0.29,0.9,0.9,30,30,5,1\n")
    (sent / "run.json").write_text('{"images": {"b": {}, "a": {}}}')
    told = clic("export", sent, "--to", "markdown").stdout
    assert told.startswith("2 images, a to b; msssim_competition: ms-ssim (competition, pixel-weighted), ")


def test_rows_of_images_are_for_people_where_people_read_them(clic: Clic, here: Path) -> None:
    """Rounded alike in a column and aligned, without hashes; the data keep all of it."""
    for name in ("images", "candidates"):
        for face in ("markdown", "latex"):
            assert "sha256" not in clic("export", here / "out", "--to", face, "--table", name).stdout
        lines = clic("export", here / "out", "--to", "markdown", "--table", name).stdout.splitlines()[2:]
        assert len({len(line) for line in lines}) == 1
        titles = [cell.strip() for cell in lines[0].split("|")]
        rows = [dict(zip(titles, map(str.strip, line.split("|")), strict=True)) for line in lines[2:]]
        for title, digits in (("mse", 2), ("msssim competition", 5), ("bytes", 0), ("width", 0)):
            assert {len(row[title].partition(".")[2]) for row in rows} == {digits}
        data = list(csv.DictReader(io.StringIO(clic("export", here / "out", "--to", "csv", "--table", name).stdout)))
        assert len(data) == len(rows) and "pixels_sha256" in data[0] and len(data[0]["mse"]) > 8
    table = clic("export", here / "out", "--to", "markdown", "--table", "images").stdout
    assert "|    1 |" in table and "|    2 |" in table


def test_data_of_the_overview_name_rates_and_anchor(clic: Clic, here: Path) -> None:
    names = ["codec", *(f"msssim_competition_db at {rate}" for rate in ("0.01", "1", "2")), "bd_rate_percent"]
    names += ["image_set", "scores", "selected_by", "anchor"]
    done = clic("export", here / "out", "--to", "csv")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert list(rows[0]) == names and {row["anchor"] for row in rows} == {"toy"}
    assert rows[0]["bd_rate_percent"] == "" and float(rows[1]["bd_rate_percent"])
    objects = json.loads(clic("export", here / "out", "--to", "json").stdout)
    assert set(objects[0]) == set(names) and objects[1]["msssim_competition_db at 2"] > 10
    assert objects[0]["msssim_competition_db at 0.01"] is None
    assert "anchor" not in clic("export", here / "out", "--to", "markdown").stdout


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("nowhere", "--to", "csv"), "no such folder"),
        (("x.safetensors", "0-clic"), "x.safetensors is a checkpoint; 'clic weights export' makes it a shipped model"),
        ((".", "--to", "csv"), "leaderboard.csv: no such file"),
        (
            (".", "--to", "csv", "--table", "bd-rates"),
            "no comparison.json, so no table bd-rates; 'clic compare' writes it",
        ),
        ((".", "--to", "codec-compare"), "no results.sqlite"),
        ((".", "--to", "codec-compare", "--table", "board"), "--table: Codec-Compare takes all candidates"),
        ((".", "--to", "csv", "--images", "."), "--images: only for --to codec-compare"),
    ],
)
def test_what_cannot_be_given_out(clic: Clic, tmp_path: Path, options: tuple[str, ...], said: str) -> None:
    place = str(tmp_path) if options[0] == "." else options[0]
    done = clic("export", place, *options[1:])
    assert done.returncode == 2 and said in done.stderr.splitlines()[-1]
    assert not list(tmp_path.iterdir())


def test_a_comparison_that_is_none(clic: Clic, tmp_path: Path) -> None:
    (tmp_path / "comparison.json").write_text('{"codecs": []}')
    done = clic("export", tmp_path, "--to", "csv")
    assert done.returncode == 2 and "not what 'clic compare' writes; run it again" in done.stderr
