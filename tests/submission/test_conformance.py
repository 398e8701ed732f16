"""The conformance suite: it covers what is shipped, others can read it, and one altered weight fails it."""

import hashlib
import json
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from decoder.model import WEIGHTS, load_model, shipped_models
from harness.files import sha256
from submission.conformance.suite import FOLDER, PIXELS, STREAMS, decode, pixels_of, read_suite
from submission.weights import npz_bytes, read_arrays

Clic = Callable[..., subprocess.CompletedProcess[str]]


def listed(name: str) -> list[dict[str, str]]:
    return json.loads((FOLDER / f"{name}.json").read_text())["test_vectors"]


def test_every_shipped_model_has_its_vectors() -> None:
    suite = read_suite()
    assert suite.weights == {path.stem: sha256(path.read_bytes()) for path in shipped_models().values()}
    for number in shipped_models():
        names = [file for file in suite.streams if file.startswith(f"{number}-")]
        assert len(names) > 100 and sum("refused" in name for name in names) >= 50
        for kind in ("size-1x1", "gain-0.", "refined", "escapes-zigzag", "lanes-256", "symbols-swinging"):
            assert any(kind in name for name in names), kind


def test_the_lists_are_in_the_format_of_fluster() -> None:
    checksum = hashlib.md5((FOLDER / STREAMS).read_bytes()).hexdigest()
    keys = {"name", "source", "source_checksum", "input_file", "output_format", "result"}
    suite = read_suite()
    for name in ("clic", "clic-errors"):
        whole = json.loads((FOLDER / f"{name}.json").read_text())
        assert set(whole) == {"name", "codec", "description", "test_vectors"}
        for vector in listed(name):
            assert set(vector) == keys and vector["source_checksum"] == checksum
            due = suite.expected[vector["input_file"]].get("error", "").encode()
            if name == "clic":
                due = pixels_of(suite.pixels[vector["input_file"]]).tobytes()
            assert hashlib.md5(due).hexdigest() == vector["result"]
    assert len({vector["name"] for name in ("clic", "clic-errors") for vector in listed(name)}) == len(suite.streams)


def test_the_suite_passes_in_one_line(clic: Clic) -> None:
    done = clic("conformance", "run")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1 and "pass; " in done.stdout and "symbols " in done.stdout
    assert "torch 2." in done.stdout and "of samples off by one" in done.stdout


@pytest.mark.parametrize("name", ["synthesis", "tables.first", "context.0.leave.bias", "hyper.0.weight"])
def test_one_altered_weight_fails_it(name: str, tmp_path: Path, clic: Clic) -> None:
    path = next(iter(shipped_models().values()))
    arrays = read_arrays(path)
    key = next(each for each in sorted(arrays) if each.startswith(name))
    altered = arrays[key].copy()
    altered.flat[0] += 1
    (tmp_path / path.name).write_bytes(npz_bytes({**arrays, key: altered}))
    done = clic("conformance", "run", "--weights", tmp_path)
    assert done.returncode == 1 and f"weights {path.stem}: not those of the suite" in done.stderr
    kinds = ("pixels differ", "other symbols", f"{path.stem.partition('-')[0]}-", "no weights of this decoder")
    assert any(kind in done.stderr for kind in kinds)


def test_pixels_of_any_vector_are_decoded_again() -> None:
    with zipfile.ZipFile(FOLDER / PIXELS) as archive:
        file = archive.namelist()[0]
    suite, number = read_suite(), int(file.partition("-")[0])
    model = load_model(next(WEIGHTS.glob(f"{number}-*.npz")).read_bytes())
    found = decode(suite.streams[file], False, {number: model}).pixels.astype(np.int16)
    assert np.abs(found - pixels_of(suite.pixels[file])).max() <= 1


def test_a_damaged_suite_is_told(tmp_path: Path) -> None:
    from harness.errors import ClicError

    with pytest.raises(ClicError, match="no conformance suite"):
        read_suite(tmp_path)
