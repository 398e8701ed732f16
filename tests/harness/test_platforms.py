"""Commands where the system is not Linux: simulated by taking away what Linux alone has before anything is imported."""

import os
import subprocess
import sys
from pathlib import Path

from helpers import TESTS, TOY

WITHOUT_LINUX = """
import os, sys
import concurrent.futures.process, multiprocessing.connection, subprocess  # other people's code knows its own system
import filelock, numpy, pandas, pebble, PIL.Image, psutil, rich.progress, scipy.interpolate, torch
for name in ("fcntl", "resource", "pwd", "grp", "termios"):
    sys.modules[name] = None
for name in ("sched_getaffinity", "sched_setaffinity", "mkfifo", "posix_fallocate"):
    delattr(os, name)
sys.platform = "darwin"
from harness.cli import main
if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
"""


def elsewhere(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run `clic` on a system without what Linux alone has."""
    script = folder / "elsewhere.py"
    script.write_text(WITHOUT_LINUX)
    environment = {**os.environ, "PYTHONPATH": f"{TESTS}{os.pathsep}{TESTS.parent}"}
    command = [sys.executable, str(script), *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, cwd=folder)


def test_what_needs_no_sandbox_works_everywhere(photographs: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    coded = elsewhere(tmp_path, "encode", photographs, "--out", run, "--codec", TOY, "--workers", 1)
    assert coded.returncode == 0, coded.stderr
    chosen = elsewhere(tmp_path, "select", run / "candidates.csv", "--budget", 6000)
    assert chosen.returncode == 0 and len(chosen.stdout.splitlines()) == 4, chosen.stderr
    packed = elsewhere(tmp_path, "pack", run, "--rate", "0.4", "--out", tmp_path / "packed", "--codec", TOY)
    assert packed.returncode == 0, packed.stderr
    scored = elsewhere(tmp_path, "score", photographs, photographs)
    assert scored.returncode == 0 and "msssim_competition 1.0" in scored.stdout, scored.stderr


def test_a_sandbox_needs_linux_and_says_so(photographs: Path, tmp_path: Path) -> None:
    run, packed = tmp_path / "run", tmp_path / "packed"
    assert elsewhere(tmp_path, "encode", photographs, "--out", run, "--codec", TOY, "--workers", 1).returncode == 0
    assert elsewhere(tmp_path, "pack", run, "--rate", "0.4", "--out", packed, "--codec", TOY).returncode == 0
    [folder] = (path for path in packed.iterdir() if path.is_dir())
    verified = elsewhere(tmp_path, "verify", folder, "--images", photographs, "--rate", "0.4")
    assert verified.returncode == 2
    *_, line = verified.stderr.splitlines()
    assert line.startswith("clic: ") and "Linux" in line
