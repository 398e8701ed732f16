"""The lock has every version of constraints.txt but torch's, with hashes."""

import re

from helpers import TESTS

ROOT = TESTS.parent


def test_every_pinned_version_is_locked_with_its_hashes() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    found = re.findall(r"^([\w.-]+==[\w.+-]+)((?: \\\n    --hash=sha256:[0-9a-f]{64})+)$", lock, re.M)
    pinned = [line for line in (ROOT / "constraints.txt").read_text().split() if not line.startswith("torch==")]
    assert [line for line, _ in found] == pinned, "run `make lock`"
    assert len(found) == lock.count("==")
