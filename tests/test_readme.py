"""The README is followed to the letter: its codec runs, its commands exist, its links lead somewhere."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from skimage import data_dir

from harness.cli import command_parser, find_command

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_codec_of_the_readme_goes_all_the_way(tmp_path: Path) -> None:
    """As its reader runs it: by the console script, from a folder that has nothing but the module."""
    [source] = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    here = tmp_path / "here"
    here.mkdir()
    (here / "my_module.py").write_text(source)
    photographs = tmp_path / "photographs"
    photographs.mkdir()
    for name in ("chelsea.png", "coffee.png"):
        shutil.copy(Path(data_dir) / name, photographs / name)
    command = [
        Path(sys.executable).with_name("clic"),
        "submit",
        photographs,
        "--out",
        "out",
        "--codec",
        "my_module:WebP",
    ]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=here, env=environment, capture_output=True, text=True)
    passed = {path.parent.name for path in here.glob("out/*/bs.zip")}
    # These photographs need more than 0.075 bits per pixel of WebP: a finding, and the others are there.
    assert (done.returncode, passed) == (1, {"0.15", "0.3"}), done.stderr
    assert re.search(r"rate 0\.075: .* 0\.1\d* bits per pixel", done.stderr)
    assert (here / "out" / "report.html").is_file()


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
