"""docs/bring-your-own-codec.md is followed to the letter: in a folder of its own, by the console script."""

import csv
import os
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers import photograph

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "bring-your-own-codec.md").read_text()
FILES = re.compile(r"^`([\w.-]+)`:\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SECTIONS = {part.partition("\n")[0]: part for part in PAGE.split("\n## ")[1:]}
BESIDE = Path(sys.executable).parent


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with three photographs, and nothing else."""
    folder = tmp_path_factory.mktemp("reader")
    (folder / "photographs").mkdir()
    for seed in range(3):
        photograph(seed, 200 + seed, 180).save(folder / "photographs" / f"{seed}.png")
    yield folder


def follow(section: str, here: Path, *extra: str) -> None:
    """Write the files of a section, run its commands in their order."""
    for name, content in FILES.findall(SECTIONS[section]):
        (here / name).write_text(content)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    # A package goes to a folder beside, so that the environment of the tests stays as it is.
    environment |= {"PATH": f"{BESIDE}:{os.environ['PATH']}", "PYTHONPATH": str(here / "installed")}
    commands = re.findall(r"^ {4}((?:clic|pip|python|mkdir) .*)$", SECTIONS[section], re.MULTILINE)
    assert commands
    for command in commands:
        program, *words = shlex.split(command)
        if program == "pip":
            program, words = "python", ["-m", "pip", *words, *extra]
        done = subprocess.run([program, *words], cwd=here, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (command, done.stderr)


def coded(folder: Path) -> set[tuple[str, int]]:
    """Codecs of a run with the number of their candidates."""
    with (folder / "candidates.csv").open(newline="") as file:
        names = [row["codec"] for row in csv.DictReader(file)]
    return {(name, names.count(name)) for name in names}


def needs(*programs: str) -> pytest.MarkDecorator:
    missing = [program for program in programs if shutil.which(program) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


def test_a_python_class(here: Path) -> None:
    follow("A Python class", here)
    assert coded(here / "run-class") == {("halves,method=2", 12)}
    assert coded(here / "run-compared") == {("halves,method=2", 12), ("webp", 66)}
    assert (here / "run-compared" / "report.html").is_file()


def test_an_installed_package(here: Path) -> None:
    if not (here / "my_codec.py").exists():
        follow("A Python class", here)
    follow("An installed package", here, "--no-deps", "--no-build-isolation", "--target", "installed")
    assert coded(here / "run-package") == {("halves,method=2", 12)}
    assert (here / "installed" / "my_codec.py").exists()


@needs("cjxl", "djxl", "avifenc")
def test_programs(here: Path) -> None:
    follow("Programs", here)
    assert coded(here / "run-programs") == {("mine", 12)}
    assert (here / "run-ours" / "report.html").is_file() and (here / "run-ours" / "0.5" / "decoder.zip").is_file()


def test_a_decoder_of_ones_own(here: Path) -> None:
    follow("A decoder of your own", here)
    assert coded(here / "run-thinner") == {("thinner", 12)}
    with zipfile.ZipFile(here / "run-thinner" / "2" / "decoder.zip") as archive:
        assert archive.namelist() == ["decode", "decode.json", "files/wide.py"]


@needs("avifenc")
def test_several_in_one_submission(here: Path) -> None:
    follow("Several in one submission", here)
    assert coded(here / "run-union") == {("webp", 66), ("avif,speed=9", 54), ("mine-too", 18)}
    assert "avif,speed=9 + mine-too + webp" in (here / "run-union" / "leaderboard.csv").read_text()


@pytest.mark.slow
def test_networks(here: Path) -> None:
    import torch

    from harness.codecs.compressai import CompressAICodec

    state = CompressAICodec("bmshj2018-factorized", "3")._network("3").state_dict()
    torch.save({"state_dict": state}, here / "downloaded.pth.tar")
    follow("CompressAI", here)
    assert coded(here / "run-networks") == {("compressai,architecture=bmshj2018-factorized,quality=1", 3)}
    assert coded(here / "run-weights") == {("compressai,architecture=bmshj2018-factorized,weights=weights", 3)}


def test_the_table_of_codecs_is_whole() -> None:
    done = subprocess.run([BESIDE / "clic", "codecs"], capture_output=True, text=True, check=True)
    listed = {line.split()[0] for line in done.stdout.splitlines()}
    assert listed == set(re.findall(r"^\| `([a-z0-9]+)` \|", SECTIONS["What is there"], re.MULTILINE))
