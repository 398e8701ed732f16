"""Other people's programs: what they print, how they fail, and that nothing of them stays."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers import TESTS, wait_until
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import ClicError
from harness.programs import filled, find_program, last_lines, places, run_program

PYTHON = [sys.executable, "-c"]
LEAVES_A_CHILD = """
import os, pathlib, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
pathlib.Path(sys.argv[1]).write_text(str(child.pid))
time.sleep(float(sys.argv[2]))
"""


def is_alive(pid: int) -> bool:
    """Whether a process exists that is not merely waiting to be reaped."""
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


def test_what_a_program_prints_is_returned(tmp_path: Path) -> None:
    printed = run_program([*PYTHON, "import os, sys; print(os.getcwd()); print(sys.stdin.read())"], tmp_path, 60)
    assert printed.split() == [str(tmp_path)]


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (
            "print('one\\n\\ntwo\\n\\x1b[31mred\\n\\nno such model'); raise SystemExit(3)",
            r"status 3: two; \[31mred; no ",
        ),
        ("import os; os.kill(os.getpid(), 9)", "signal 9: it printed nothing"),
        ("print('x' * 10**6); raise SystemExit(1)", "status 1: x{300}$"),
    ],
)
def test_a_failure_is_one_line_with_the_reason(tmp_path: Path, script: str, reason: str) -> None:
    with pytest.raises(ClicError, match=reason) as caught:
        run_program([*PYTHON, script], tmp_path, 60)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("seconds", [60, 0])
def test_nothing_that_a_program_started_outlives_it(tmp_path: Path, seconds: int) -> None:
    note = tmp_path / "pid"
    words = [*PYTHON, LEAVES_A_CHILD, str(note), str(seconds)]
    if seconds:
        began = time.monotonic()
        with pytest.raises(ClicError, match="not done after 2 s"):
            run_program(words, tmp_path, 2)
        assert time.monotonic() - began < 30
    else:
        run_program(words, tmp_path, 60)
    wait_until(lambda: not is_alive(int(note.read_text())))


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's help is Linux's")
def test_a_program_ends_with_the_killed_process_that_waits_for_it(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    inner = "import os, pathlib, time; pathlib.Path('pid').write_text(str(os.getpid())); time.sleep(60)"
    outer = (
        "import pathlib, sys; from harness.programs import run_program;"
        f"run_program([sys.executable, '-c', {inner!r}], pathlib.Path({str(tmp_path)!r}), 60)"
    )
    process = subprocess.Popen([*PYTHON, outer], env={**os.environ, "PYTHONPATH": str(TESTS.parent)})
    wait_until(lambda: note.exists() and note.read_text())
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_until(lambda: not is_alive(int(note.read_text())))


def test_programs_are_found_or_named(tmp_path: Path) -> None:
    assert Path(find_program("sh")).is_absolute()
    with pytest.raises(ClicError, match="'no-such-program' is not installed"):
        find_program("no-such-program")
    (tmp_path / "text").write_text("")
    with pytest.raises(ClicError, match="is no executable file"):
        find_program(str(tmp_path / "text"))


@given(st.dictionaries(st.sampled_from(["input", "output", "point"]), st.text()), st.lists(st.text(), max_size=5))
def test_places_are_filled_once(values: dict[str, str], between: list[str]) -> None:
    between = [text.replace("{", "(") for text in between]
    words = [text + f"{{{name}}}" + text for name in values for text in between]
    assert places(words) == (set(values) if between else set())
    assert filled(words, values) == [text + values[name] + text for name in values for text in between]


@given(st.binary(max_size=400))
def test_reasons_are_one_printable_line(printed: bytes) -> None:
    assert last_lines(printed.decode(errors="replace")).isprintable()
