"""What a person is told while waiting: how far it is, and how long the rest takes."""

import re
import time

import pytest

from harness.progress import bar


@pytest.mark.parametrize(("before", "done", "total", "share"), [(900, 910, 1000, "91%"), (0, 1, 10, "10%")])
def test_time_left_comes_from_what_this_start_has_done(
    before: int, done: int, total: int, share: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nine times as much is left in both cases: what an earlier start had done says nothing of the rest."""
    monkeypatch.setattr("harness.progress.PLAIN_SECONDS", 0.0)
    began = time.monotonic()
    with bar("coding", before) as show:
        time.sleep(1.0)
        show(done, total)
    longest = 9 * (time.monotonic() - began) + 1
    line = capsys.readouterr().err.strip()
    found = re.fullmatch(rf"coding: {share}, about (\d+) s left", line)
    assert found and 9 <= int(found[1]) <= longest


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("FORCE_COLOR", "1")
    with bar("coding", 3) as show:
        show(4, 8)
    assert "coding" in capsys.readouterr().err
