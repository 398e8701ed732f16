"""Seeds and found cases of every fuzzing target, some mutations of them, and a short run of the fuzzer itself."""

import importlib.util
import random
import subprocess
import sys
from pathlib import Path

import pytest
from targets import TARGETS, cases

RUNNER = Path(__file__).with_name("coverage_guided.py")


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_and_found_cases(name: str) -> None:
    for content in cases(name):
        TARGETS[name].judge(content)


@pytest.mark.parametrize("name", TARGETS)
def test_mutations_of_them(name: str) -> None:
    generator, known = random.Random(19), cases(name)
    for _ in range(60):
        content = bytearray(generator.choice(known))
        for _ in range(generator.choice([1, 1, 2, 8])):
            if content:
                at = generator.randrange(len(content))
                content[at : at + generator.randrange(3)] = generator.randbytes(generator.randrange(3))
        TARGETS[name].judge(bytes(content)[: TARGETS[name].most_bytes])


@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="needs atheris")
@pytest.mark.parametrize("name", TARGETS)
def test_a_short_run_of_the_fuzzer(name: str) -> None:
    done = subprocess.run(
        [sys.executable, str(RUNNER), name, "--seconds", "20", "--runs", "300"],
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "DONE" in done.stderr and "cov: " in done.stderr
