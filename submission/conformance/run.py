"""The suite made anew from the shipped weights, and a decoder held against it."""

import hashlib
import platform
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from decoder.model import WEIGHTS
from harness.errors import ClicError
from harness.progress import Progress
from submission.conformance.suite import FOLDER, Outcome, decode, models_in, pixels_of, read_suite, write_suite
from submission.conformance.vectors import Vector, containers, vectors
from submission.encoder import EncoderNetworks
from submission.weights import shipped_weights

MOST_OFF_BY_ONE = 0.01  # of all samples: sums of floats differ between machines, by less than a step


@dataclass(frozen=True)
class Result:
    """How a decoder did. `symbols` and `pixels` are hashes of all that it decoded; shares are of all samples."""

    vectors: int
    symbols: str
    pixels: str
    off_by_one: float
    problems: tuple[str, ...]

    @property
    def line(self) -> str:
        """All of it in one line, to be sent to whoever asks how another machine did."""
        verdict = f"{len(self.problems)} problems" if self.problems else "pass"
        return (
            f"clic conformance: {verdict}; {self.vectors} vectors; symbols {self.symbols}; pixels {self.pixels}; "
            f"{self.off_by_one:.4%} of samples off by one; Python {platform.python_version()}, torch "
            f"{torch.__version__}, numpy {np.__version__}, {platform.system()} {platform.machine()}"
        )


def generate(progress: Progress, folder: Path = FOLDER) -> int:
    """Write the suite for all shipped models; returns how many vectors it has.

    Raises ClicError where the decoder does not give the error that is due, or refuses what it should read.
    """
    torch.set_num_threads(1)
    models, weights, broken = models_in(WEIGHTS)
    if broken:
        raise ClicError(f"{broken[0]}; put back the file")
    encoders = {each.number: each for each in shipped_weights()}
    made: dict[str, tuple[bytes, Outcome]] = {}
    for done, (number, model) in enumerate(models.items()):
        progress(done, len(models))
        networks = None
        if number in encoders:
            networks = EncoderNetworks(model.architecture, encoders[number].encoder_arrays())
        for vector in vectors(number, model, networks):
            made[vector.file] = vector.content, _due(vector, decode(vector.content, vector.is_set, {number: model}))
    for vector in containers():
        made[vector.file] = vector.content, _due(vector, decode(vector.content, vector.is_set, {}))
    write_suite(folder, made, weights)
    return len(made)


def _due(vector: Vector, outcome: Outcome) -> Outcome:
    if bool(vector.error) != bool(outcome.error) or vector.error not in outcome.error:
        raise ClicError(
            f"conformance vector {vector.name}: the decoder says {outcome.error or 'nothing'!r} where "
            f"{vector.error or 'nothing'!r} is due; mend the decoder, or the vector"
        )
    return outcome


def run(progress: Progress, weights: Path = WEIGHTS, folder: Path = FOLDER) -> Result:
    """Decode the suite with the weights of a folder, and say what differs. Raises ClicError without them."""
    torch.set_num_threads(1)
    suite = read_suite(folder)
    models, hashes, problems = models_in(weights)
    problems += [
        f"weights {name}: not those of the suite" for name, due in suite.weights.items() if hashes.get(name) != due
    ]
    problems += [
        f"weights {name}: not in the suite; generate it anew" for name in sorted(hashes.keys() - suite.weights)
    ]
    symbols, pixels = hashlib.sha256(), hashlib.sha256()
    samples = off = 0
    for done, (file, content) in enumerate(suite.streams.items()):
        progress(done, len(suite.streams))
        outcome, due = decode(content, file.endswith(".set"), models), suite.expected[file]
        symbols.update(f"{file} {outcome.symbols} {outcome.error}\n".encode())
        pixels.update(outcome.pixels.tobytes())
        if outcome.error != due.get("error", ""):
            problems.append(f"{file}: says {outcome.error or 'nothing'!r}, due is {due.get('error', 'nothing')!r}")
        elif outcome.symbols != due.get("symbols", ""):
            problems.append(f"{file}: other symbols")
        elif outcome.pixels.size:
            difference = np.abs(outcome.pixels.astype(np.int16) - pixels_of(suite.pixels[file]))
            samples, off = samples + difference.size, off + int((difference == 1).sum())
            if difference.max() > 1:
                problems.append(f"{file}: pixels differ by up to {difference.max()}")
    share = off / samples if samples else 0.0
    if share > MOST_OFF_BY_ONE:
        problems.append(f"{share:.2%} of all samples are off by one, at most {MOST_OFF_BY_ONE:.0%} may be")
    return Result(len(suite.streams), symbols.hexdigest()[:16], pixels.hexdigest()[:16], share, tuple(problems))
