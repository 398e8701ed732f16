"""The wheel as a stranger gets it: built, installed into an empty environment, its demo compared with the checkout's.

    python tests/check_wheel.py [--python python3.12]

The environment and the demo's folder lie outside the checkout. Every packed file of the demo, decoders and data files,
must have the same bytes as the checkout's own demo gives.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
# What a build leaves in its source folder would be found before the installed package.
IGNORED = shutil.ignore_patterns(
    ".venv", ".git", "*.egg-info", "build", "dist", "demo-out", "runs", "__pycache__", ".*_cache"
)


def call(*command: object, cwd: Path) -> None:
    """Run a command; ends the check where it fails."""
    shown = " ".join(Path(str(part)).name if str(part).startswith("/") else str(part) for part in command)
    began = time.monotonic()
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True)
    print(f"{shown}: status {done.returncode}, {time.monotonic() - began:.0f} s", flush=True)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)


def packed(folder: Path) -> dict[str, bytes]:
    """The files of a demo that go to the challenge, by their paths."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.glob("*/*.zip"))}


def main() -> int:
    """Compare both demos; 1 where they differ."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--python", default=sys.executable, help="interpreter of the new environment; default: this one"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="clic-wheel-") as name:
        folder = Path(name)
        shutil.copytree(ROOT, folder / "source", ignore=IGNORED)
        call(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder, folder / "source", cwd=folder)
        shutil.rmtree(folder / "source")
        [wheel] = folder.glob("*.whl")
        print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB")
        call(options.python, "-m", "venv", folder / "env", cwd=folder)
        python, clic = folder / "env/bin/python", folder / "env/bin/clic"
        call(python, "-m", "pip", "install", "-q", "-c", ROOT / "constraints.txt", wheel, cwd=folder)
        (folder / "empty").mkdir()
        call(clic, "demo", cwd=folder / "empty")
        call(sys.executable, "-m", "harness", "demo", "--out", folder / "checkout", cwd=ROOT)
        ours, theirs = packed(folder / "checkout"), packed(folder / "empty" / "demo-out")
    names = sorted(ours.keys() | theirs.keys())
    different = [path for path in names if ours.get(path) != theirs.get(path)]
    for path in different:
        print(f"{path}: not the same from the wheel and from the checkout")
    print(f"{len(names) - len(different)} passed, {len(different)} failed")
    return 1 if different or not names else 0


if __name__ == "__main__":
    sys.exit(main())
