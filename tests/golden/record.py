"""Golden streams and losses: recorded once, so that a change which must not change a number is seen to change none.

    python tests/golden/record.py --compare     everything once more; exit status 1 where a digit differs
    python tests/golden/record.py               record anew, after a change that is meant to change numbers

Streams of the models that encode (three photographs, three gains), their symbols and pixels; those of models that newer
ones have replaced stay as they are, to be decoded. Ten losses of small networks in float32, and a hundred of the recipe
`base` in bfloat16, of both stages. Losses are equal to the last digit only on one kind of machine with one version of
torch; `test_golden.py` says what holds on others. Takes five minutes.
"""

import argparse
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from skimage import data_dir

from decoder.architecture import Architecture
from decoder.bitstream import read_stream
from decoder.image import StreamSource
from decoder.latent import walk
from decoder.model import Model
from submission.codec import MODELS, LearnedCodec
from submission.training.recipe import Recipe, read_recipe
from submission.training.start import load_start
from submission.training.trainer import Trainer

HERE = Path(__file__).parent
CROPS = {"chelsea.png": (60, 90, 97, 131), "coffee.png": (100, 200, 200, 75), "rocket.jpg": (150, 250, 33, 161)}
GAINS = (24, 72, 120)
PHOTOGRAPHS = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg")  # to train on
SMALL = Architecture(
    stride4=16, stride8=16, stride16=32, blocks=(1, 1, 1), groups=(4, 8), hyper=8, features=16, levels=3
)


def sha256(array: np.ndarray) -> str:
    """Of an array's shape, type and numbers."""
    content = f"{array.shape}{array.dtype}".encode() + np.ascontiguousarray(array).tobytes()
    return hashlib.sha256(content).hexdigest()


def symbols(model: Model, stream: bytes) -> dict[str, str]:
    """Hashes of the symbols that a stream decodes to."""
    parsed = read_stream(stream)
    height, width = -(-parsed.header.height // 16), -(-parsed.header.width // 16)
    source = StreamSource(model.tables, parsed)
    _, latent, hyper = walk(model.entropy, model.architecture.hyper, height, width, source)
    return {"latent_symbols_sha256": sha256(latent), "hyper_symbols_sha256": sha256(hyper)}


def streams() -> Iterator[tuple[dict[str, Any], bytes, np.ndarray]]:
    """Row, stream and pixels of each photograph at each gain with both shipped models."""
    for codec in map(LearnedCodec, MODELS):
        for name, (top, left, height, width) in CROPS.items():
            with Image.open(Path(data_dir) / name) as image:
                pixels = np.asarray(image.convert("RGB"))[top : top + height, left : left + width]
            prepared = codec.prepare(pixels)
            for gain in GAINS:
                encoding = codec.encode(prepared, str(gain))
                row = {
                    "stream": f"{codec.number}-{Path(name).stem}-{gain}",
                    "model": codec.number,
                    "photograph": name,
                    "crop": [top, left, height, width],
                    "gain": gain,
                    "stream_sha256": hashlib.sha256(encoding.stream).hexdigest(),
                    **symbols(codec.models[codec.number], encoding.stream),
                    "pixels_sha256": sha256(encoding.pixels),
                }
                yield row, encoding.stream, encoding.pixels


@dataclass(frozen=True)
class Case:
    """A stage that is trained for some steps, from a block DCT or from shipped weights."""

    recipe: Recipe
    stage: str
    steps: int
    start: str | None = None

    def losses(self) -> list[float]:
        """The loss of each step."""
        size = (512, 512)
        crops = [
            np.asarray(Image.open(Path(data_dir) / name).convert("RGB").resize(size, Image.Resampling.BICUBIC))
            for name in PHOTOGRAPHS
        ]
        trainer = Trainer(self.recipe, replace(self.recipe.stage(self.stage), steps=self.steps))
        if self.start:
            trainer.start_from(load_start(Path(self.start)))
        return [trainer.next_step(np.stack(crops))["loss"] for _ in range(self.steps)]


def cases() -> dict[str, dict[str, Case]]:
    """By name and stage: small networks of two contexts in float32, and the recipe of the shipped weights."""
    base = read_recipe("base")
    found = {"shipped recipe, bfloat16": {"soft": Case(base, "soft", 100), "hard": Case(base, "hard", 100, "2-clic")}}
    for context in ("3d", "checkerboard"):
        architecture = replace(SMALL, context=context)
        recipe = replace(base, architecture=architecture, batch=2, crop=192, warmup_steps=2, precision="float32")
        found[f"small, float32, {context}"] = {stage: Case(recipe, stage, 10) for stage in ("soft", "hard")}
    return found


def recorded(name: str) -> Any:
    """The JSON of that name."""
    return json.loads((HERE / f"{name}.json").read_text())


def record() -> None:
    """Write everything anew."""
    rows = [row for row in recorded("streams") if row["model"] not in MODELS.values()]
    for row, stream, pixels in streams():
        (HERE / "streams" / f"{row['stream']}.bin").write_bytes(stream)
        Image.fromarray(pixels).save(HERE / "streams" / f"{row['stream']}.png", optimize=True)
        rows.append(row)
    (HERE / "streams.json").write_text(json.dumps(rows, indent=1) + "\n")
    losses = {name: {stage: case.losses() for stage, case in stages.items()} for name, stages in cases().items()}
    (HERE / "losses.json").write_text(json.dumps(losses, indent=1) + "\n")


def compare() -> int:
    """Print what is equal to the record; returns how many streams and losses are not."""
    differ = 0
    rows = [row for row, _, _ in streams()]
    for kind in ("stream", "latent_symbols", "hyper_symbols", "pixels"):
        of_encoders = [row for row in recorded("streams") if row["model"] in MODELS.values()]
        pairs = list(zip(rows, of_encoders, strict=True))
        equal = sum(new[f"{kind}_sha256"] == old[f"{kind}_sha256"] for new, old in pairs)
        print(f"{kind}: {equal} of {len(pairs)} equal", flush=True)
        differ += len(pairs) - equal
    for name, stages in cases().items():
        for stage, case in stages.items():
            old, new = recorded("losses")[name][stage], case.losses()
            equal = sum(a == b for a, b in zip(old, new, strict=True))
            print(f"{name}, {stage}: {equal} of {len(old)} losses equal", flush=True)
            differ += len(old) - equal
    return differ


def main() -> int:
    """Exit status: 0, or 1 where something differs from the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--compare", action="store_true", help="compare with the record and write nothing")
    torch.set_num_threads(1)
    if parser.parse_args().compare:
        return int(compare() > 0)
    record()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
