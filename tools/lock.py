"""Write requirements.lock: each version of constraints.txt with the SHA-256 of its wheels, for `make setup LOCKED=1`.

    python tools/lock.py

Torch is left out: its wheel for CPUs, that for GPUs and what the latter requires all go by one version.

pip itself resolves for Linux on x86-64 under Python 3.11 and 3.12, once as this machine is configured (which may have
a CPU build of torch) and once from PyPI alone, and says the hashes without installing anything. Takes minutes.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[1]
CONSTRAINTS, LOCK = ROOT / "constraints.txt", ROOT / "requirements.lock"
PYTHONS = ("3.11", "3.12")
UNLOCKED = "torch=="
HEAD = "# Made by tools/lock.py from constraints.txt, for Linux on x86-64; `make lock` makes it anew.\n"
CONFIGURED = ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "PIP_INDEX_URL", "PIP_CONSTRAINT")


def hashes(python: str, pypi_alone: bool) -> dict[str, set[str]]:
    """The hashes of what pip would install, by `name==version` as in constraints.txt."""
    surroundings = dict(os.environ)
    if pypi_alone:
        surroundings = {name: value for name, value in os.environ.items() if name not in CONFIGURED}
        surroundings["PIP_CONFIG_FILE"] = os.devnull
    pinned = {line.partition("==")[0].lower().replace("_", "-"): line for line in CONSTRAINTS.read_text().split()}
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        options = ["--dry-run", "--ignore-installed", "--no-deps", "--quiet", "--only-binary=:all:"]
        options += ["--python-version", python, "--target", folder, "--report", str(report), "-r", str(CONSTRAINTS)]
        subprocess.run([sys.executable, "-m", "pip", "install", *options], check=True, env=surroundings)
        found = defaultdict(set)
        for entry in json.loads(report.read_text())["install"]:
            name = entry["metadata"]["name"].lower().replace("_", "-")
            found[pinned[name]].add(entry["download_info"]["archive_info"]["hashes"]["sha256"])
    return found


def main() -> int:
    """Exit status 1 where a pinned version has no wheel."""
    found: dict[str, set[str]] = defaultdict(set)
    for python in PYTHONS:
        for pypi_alone in (False, True):
            for line, digests in hashes(python, pypi_alone).items():
                found[line] |= digests
    wanted = [line for line in CONSTRAINTS.read_text().split() if not line.startswith(UNLOCKED)]
    missing = set(wanted) - set(found)
    if missing:
        print(f"no wheels of {', '.join(sorted(missing))}", file=sys.stderr)
        return 1
    lines = [line + "".join(f" \\\n    --hash=sha256:{digest}" for digest in sorted(found[line])) for line in wanted]
    LOCK.write_text(HEAD + "\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
