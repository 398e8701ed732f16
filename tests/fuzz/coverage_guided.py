"""Coverage-guided fuzzing of one target by atheris (Python 3.11 or 3.12 on Linux).

    python tests/fuzz/coverage_guided.py container --seconds 60

The lines that libFuzzer prints say how many executions there were (`#`), and which edges (`cov`) and features (`ft`)
were reached. The inputs that reach them are kept in runs/fuzz/TARGET, from where the next run goes on. An input that
fails, takes longer than 20 seconds or more than 2 GB is written to tests/fuzz/found/TARGET: it is a test from then on.
"""

import argparse
import hashlib
import logging
import subprocess
import sys
import warnings
from pathlib import Path

ROOT = Path(__file__).parents[2]
SECONDS_A_CASE, MEGABYTES = 20, 2048
PART = 600  # seconds of one process: atheris itself grows by some 200 bytes an execution of the bitstream's target


def main() -> int:
    """Fuzz until the time is over, a process after the other; exit status 0, or libFuzzer's where a case failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("target")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--runs", type=int, default=-1, help="so many executions at most")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if options.seconds <= PART:
        fuzz(options)
        return 0
    for part, begin in enumerate(range(0, options.seconds, PART)):
        numbers = {
            "--seconds": min(PART, options.seconds - begin),
            "--runs": options.runs,
            "--seed": options.seed + part,
        }
        words = [str(word) for pair in numbers.items() for word in pair]
        if code := subprocess.run([sys.executable, __file__, options.target, *words], check=False).returncode:
            return code
    return 0


def fuzz(options: argparse.Namespace) -> None:
    """Fuzz in this process, and end it."""
    import atheris

    sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(Path(__file__).parent)]
    import pandas  # what is imported here is not instrumented: it is not ours
    import PIL.Image
    import torch

    torch.set_num_threads(1)
    assert pandas and PIL.Image
    with atheris.instrument_imports(include=["decoder", "harness", "leaderboard", "zipfile", "tomllib"]):
        import targets
    warnings.simplefilter("ignore")
    logging.disable()
    target = targets.TARGETS[options.target]
    corpus, found = ROOT / "runs" / "fuzz" / options.target, targets.FOUND / options.target
    for folder in (corpus, found):
        folder.mkdir(parents=True, exist_ok=True)
    for content in targets.cases(options.target):
        (corpus / hashlib.sha1(content, usedforsecurity=False).hexdigest()).write_bytes(content)
    arguments = [
        sys.argv[0],
        str(corpus),
        f"-max_total_time={options.seconds}",
        f"-runs={options.runs}",
        f"-seed={options.seed}",
        f"-max_len={target.most_bytes}",
        f"-timeout={SECONDS_A_CASE}",
        f"-rss_limit_mb={MEGABYTES}",
        f"-artifact_prefix={found}/",
        "-print_final_stats=1",
    ]

    def judge(content: bytes) -> None:
        try:
            target.judge(content)
        except Exception:
            (found / hashlib.sha1(content, usedforsecurity=False).hexdigest()).write_bytes(content)
            raise

    atheris.Setup(arguments, judge)
    atheris.Fuzz()


if __name__ == "__main__":
    raise SystemExit(main())
