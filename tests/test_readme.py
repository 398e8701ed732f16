"""The README is followed to the letter: its codec runs, its commands exist, its links lead somewhere."""

import re
import shlex
from pathlib import Path

import pytest
from helpers import photograph

from harness.cli import command_parser, find_command, main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_codec_of_the_readme_goes_all_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [source] = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    (tmp_path / "my_module.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))  # for the sweep's workers
    (tmp_path / "photographs").mkdir()
    for seed in range(2):
        photograph(seed, 200, 180).save(tmp_path / "photographs" / f"{seed}.png")
    out = tmp_path / "out"
    command = [
        "submit",
        str(tmp_path / "photographs"),
        "--out",
        str(out),
        "--codec",
        "my_module:WebP",
        "--profile",
        "clic2027",
        "--rates",
        "0.6",
    ]
    assert main(command) == 0
    assert (out / "0.6" / "bs.zip").is_file() and (out / "report.html").is_file()


def test_commands_and_options_of_the_readme_exist() -> None:
    commands = re.findall(r"(?:`| {4}\S*|^ {4})(clic [a-z].*?)(?:`|$)", README, re.MULTILINE)
    assert len(commands) > 10
    for line in commands:
        name, *words = shlex.split(line.split("#")[0])[1:]
        parser = command_parser(name, find_command(name))
        if words or name in ("codecs", "demo"):
            parser.parse_args(["5" if word in ("BYTES", "R") else word for word in words])


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("http") or (ROOT / target).exists(), target
