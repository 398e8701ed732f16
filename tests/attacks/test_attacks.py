"""Every hostile or broken submission gives its finding, exit status 1, and leaves everything else as it was."""

import os
import subprocess
import zipfile
from pathlib import Path

import pytest
from attacks.sound import Submission
from attacks.table import AGAIN, ARCHIVES, RUNS, Attack
from helpers import TESTS

from harness.challenge.sandbox import levels
from harness.cli import main

PROJECT = TESTS.parent
SEALED = levels()[0] in ("bubblewrap", "namespaces")
PLACES = (Path("/"), Path("/tmp"), Path("/var/tmp"), Path("/dev/shm"), Path("/usr/lib"), Path.home(), PROJECT)


def listing(*folders: Path) -> dict[str, tuple[int, int, int]]:
    """Mode, size and time of change of all files and folders in and below these."""
    paths = [path for folder in folders for path in (folder, *folder.rglob("*"))]
    return {
        str(path): (state.st_mode, state.st_size, state.st_mtime_ns)
        for path in paths
        if (state := path.lstat()) and "__pycache__" not in path.parts
    }


def alive(words: str) -> bool:
    """Whether a process with these words in its command line is there."""
    done = subprocess.run(["ps", "-eo", "args"], check=True, capture_output=True, text=True)
    return any(line.startswith(words) for line in done.stdout.splitlines())


@pytest.mark.parametrize("attack", [*ARCHIVES, *RUNS], ids=lambda attack: attack.name)
def test_attack(attack: Attack, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if attack in RUNS and not SEALED:
        pytest.skip("needs bubblewrap or user namespaces")
    submission, token = Submission(tmp_path), f"clic-attack-{os.getpid()}"
    attack.spoil(submission)
    long = f"77.{os.getpid()}"
    if attack in RUNS and attack.name != "no interpreter":
        with zipfile.ZipFile(submission.decoder_zip) as archive:
            program = archive.read("decode").decode()
        submission.decode(program.replace("TOKEN", token).replace("LONG", long))
    before = listing(tmp_path, PROJECT / "harness", PROJECT / "decoder", PROJECT / "submission")
    limit = "3" if any("after 3 s" in words for words in attack.findings) else "20"
    repeats = attack.findings and ("again" in attack.findings[0] or attack.findings[0] == "AGAIN")
    arguments = ["verify", str(submission.folder), "--images", str(submission.originals), "--rate", submission.rate]
    arguments += ["--profile", str(submission.rules), "--time-limit", limit, *([] if repeats else ["--once"])]
    status = main(arguments)
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("- ")]
    if attack.findings == ("AGAIN",):  # of two numbers drawn at random, one may be drawn again
        assert said and all(any(words in line for words in AGAIN) for line in said), said
    else:
        assert len(said) == len(attack.findings), said
        assert all(any(words in line for line in said) for words in attack.findings), said
    assert all(line.isprintable() and len(line) < 1500 for line in said), said
    assert status == (1 if attack.findings else 0)
    assert listing(tmp_path, PROJECT / "harness", PROJECT / "decoder", PROJECT / "submission") == before
    assert not [place for place in PLACES if (place / token).exists()]
    assert not alive(f"sleep {long}")


def test_the_sound_one_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    submission = Submission(tmp_path)
    arguments = ["verify", str(submission.folder), "--images", str(submission.originals), "--rate", submission.rate]
    assert main([*arguments, "--profile", str(submission.rules)]) == 0, capsys.readouterr()
