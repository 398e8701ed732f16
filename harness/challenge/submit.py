"""The whole way, from a folder of photographs to a packed, verified and scored submission.

When a killed run is started again, each finished step is recognised by its content: candidates by their
hashes (sweep.py), a decoded rate by the hashes of what went in (run.json) and the pixels in its folder.
"""

import json
import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pandas as pd

from harness.challenge.archive import data_file_bytes, sha224, write_zip
from harness.challenge.profiles import Profile
from harness.challenge.verify import DECODER, verify
from harness.codecs.protocol import Codec, load_codec
from harness.errors import ClicError
from harness.files import as_json, sha256, write_atomic
from harness.images import SourceImage, list_images, load_rgb
from harness.progress import bar, log
from harness.rates import Rate
from harness.scores.aggregate import aggregate, psnr
from harness.selection.exact import Selection, select
from harness.sweep.local import codec_sha256, exclusive, pixels_sha256, stream_path, sweep

MAX_REPACKINGS = 16
PICTURES = "images"  # in the folder of a rate
VERSIONED = ("clic-harness", "numpy", "pillow", "torch")
RESULTS = ("scores.csv", "leaderboard.csv", "leaderboard.md", "report.html")


@dataclass(frozen=True)
class Submission:
    """What a run came to: the rates that passed, and for each that did not, its findings."""

    passed: tuple[str, ...]
    rejected: Mapping[str, Sequence[str]]


def submit(
    images_folder: Path,
    out: Path,
    profile: Profile,
    rates: Sequence[str | Rate],
    codec_name: str,
    team: str | None = None,
    objective: str = "competition",
    time_limit: float | None = None,
    workers: int | None = None,
) -> Submission:
    """Sweep, select, pack, verify, score and report; docs/architecture.md lists the files in `out`.

    `team` defaults to the codec's name; `time_limit` is in seconds, for decoding one rate. Raises ClicError
    for what the user can mend, such as a budget too small for the set, and for a decoder whose pixels are not
    those that its encoder announced.
    """
    names = rate_names(rates)
    images = list_images(images_folder)
    codec = load_codec(codec_name)
    team = team or codec.name
    for source in images:
        if source.note:
            log(f"{source.path.name}: {source.note}")
    with exclusive(out):
        for name in RESULTS:  # of another run; they must not stand beside this one's candidates
            (out / name).unlink(missing_ok=True)
        with bar("sweep") as progress:
            candidates = sweep(images, codec_name, out, workers, progress)
        log(f"sweep: {len(candidates)} candidates of {len(images)} images by codec {codec.name}")

        recorded = _recorded_rates(out / "run.json")
        run = {**_description(codec, profile, objective, team, images, candidates), "rates": recorded}
        tables: dict[str, pd.DataFrame] = {}
        rejected = {}
        for rate in names:
            folder = out / rate
            selection = pack(candidates, codec, out / "streams", profile, rate, folder, objective)
            log(
                f"{rate}: packed {selection.bytes} of {selection.budget} bytes, {objective} "
                f"{selection.score:.5f} (at most {selection.bound:.5f} is possible)"
            )
            chosen = chosen_rows(candidates, selection)
            record = _decode(folder, images_folder, profile, rate, time_limit, chosen, recorded.get(rate))
            log(f"{rate}: {DECODER} SHA-224 {record['verification']['decoder_sha224']}")
            recorded[rate] = {**record, "selection": asdict(selection)}
            write_atomic(out / "run.json", as_json(run).encode())
            if record["verification"]["ok"]:
                digest = reconstruction_sha256(folder / PICTURES, chosen)
                log(
                    f"{rate}: {len(chosen)}/{len(images)} images equal to the encoder's reconstruction "
                    f"(sha256 {digest})"
                )
                tables[rate] = _scored(chosen, rate)
            else:
                rejected[rate] = record["findings"]
                for finding in rejected[rate]:
                    log(f"{rate}: {finding}")
        run["rates"] = {rate: recorded[rate] for rate in names}
        write_atomic(out / "run.json", as_json(run).encode())
        if tables:
            _write_results(out, tables, run, team)
    return Submission(tuple(tables), rejected)


def rate_names(rates: Sequence[str | Rate]) -> list[str]:
    """The rates as their folders are called, each once. Raises ClicError for what is no rate."""
    return list(dict.fromkeys(str(Rate.parse(rate)) for rate in rates))


def pack(
    candidates: pd.DataFrame,
    codec: Codec,
    streams: Path,
    profile: Profile,
    rate: str,
    folder: Path,
    objective: str = "competition",
) -> Selection:
    """Write decoder.zip and the best data file within the budget to `folder`; `bytes` are the data file's.

    Raises ClicError for candidates of another codec or version, a damaged stream, and a budget that even the
    smallest candidates exceed.
    """
    if set(candidates["codec_sha256"]) != {codec_sha256(codec)}:
        raise ClicError(
            f"the candidates were not coded by codec {codec.name!r} as it is installed now; run 'clic encode' again"
        )
    selection, data = _best_fit(candidates, codec, streams, profile, rate, objective)
    write_zip(folder / DECODER, codec.decoder_files(profile.data_file, profile.payload))
    write_atomic(folder / profile.data_file, data)
    return selection


def _best_fit(
    candidates: pd.DataFrame, codec: Codec, streams: Path, profile: Profile, rate: str, objective: str
) -> tuple[Selection, bytes]:
    """The best choice whose data file fits, and that file.

    What the container adds may depend on the choice by some bytes, so each packing's measure is the next
    selection's allowance, until one is met again; the best that fitted counts.
    """
    pixels = int(candidates.groupby("image")[["width", "height"]].first().prod(axis=1).sum())
    budget = profile.budget(pixels, rate)
    streams_bytes = int(candidates.groupby("image")["bytes"].min().sum())
    smallest = select(candidates, streams_bytes, objective)
    data = _data_file(candidates, smallest, codec, streams, profile)
    if len(data) > budget:
        raise ClicError(
            f"rate {rate}: the smallest data file of these images by codec {codec.name!r} takes "
            f"{len(data)} bytes, {_up(8 * len(data) / pixels)} bits per pixel, and the budget is "
            f"{budget}; ask for that rate or more, or use a codec with lower operating points"
        )
    best = replace(smallest, bytes=len(data), budget=budget, bound=math.inf)
    overhead, tried = len(data) - streams_bytes, set[int]()
    while overhead not in tried and len(tried) < MAX_REPACKINGS and streams_bytes + overhead <= budget:
        tried.add(overhead)
        selection = select(candidates, budget, objective, overhead=overhead)
        attempt = _data_file(candidates, selection, codec, streams, profile)
        if len(attempt) <= budget and selection.score >= best.score:
            best, data = replace(selection, bytes=len(attempt)), attempt
        overhead += len(attempt) - selection.bytes
    return best, data


def _up(rate: float) -> str:
    """A rate to four decimals, rounded so that asking for it is enough."""
    return f"{math.ceil(rate * 1e4) / 1e4:.4f}"


def chosen_rows(candidates: pd.DataFrame, selection: Selection) -> pd.DataFrame:
    """The candidates' rows that a selection is made of."""
    return candidates[candidates["image"].map(selection.points) == candidates["point"]]


def _data_file(candidates: pd.DataFrame, selection: Selection, codec: Codec, streams: Path, profile: Profile) -> bytes:
    contents = {}
    for row in chosen_rows(candidates, selection).itertuples():
        path = stream_path(streams, str(row.image), str(row.point))
        content = path.read_bytes() if path.is_file() else b""
        if sha256(content) != row.stream_sha256:
            raise ClicError(f"{path}: not the stream that candidates.csv describes; run the sweep again")
        contents[str(row.image)] = content
    return data_file_bytes(codec.pack(contents), profile)


def _decode(
    folder: Path,
    images_folder: Path,
    profile: Profile,
    rate: str,
    time_limit: float | None,
    chosen: pd.DataFrame,
    before: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Verify a packed rate and keep its pictures, unless `before` records just that."""
    inputs = sha256(
        as_json(
            {
                "profile": profile,
                "rate": rate,
                "time_limit": time_limit,
                "originals": dict(zip(chosen["image"], chosen["image_sha256"], strict=True)),
                "decoder": sha224(folder / DECODER),
                "data": sha224(folder / profile.data_file),
            }
        ).encode()
    )
    pictures = folder / PICTURES
    if before and before.get("inputs_sha256") == inputs and before["verification"]["ok"]:
        try:
            reconstruction_sha256(pictures, chosen)
            log(f"{rate}: decoded and verified before")
            return {name: before[name] for name in ("inputs_sha256", "verification", "findings")}
        except ClicError:
            pass  # pictures were lost or altered since
    for stale in pictures.glob("*.png"):
        stale.unlink()
    log(f"{rate}: decoding in the sandbox")
    found = verify(folder, images_folder, profile, rate, time_limit, keep=pictures)
    return {
        "inputs_sha256": inputs,
        "verification": found.to_json(),
        "findings": [str(finding) for finding in found.findings],
    }


def reconstruction_sha256(pictures: Path, chosen: pd.DataFrame) -> str:
    """Hex SHA-256 over the names and pixel hashes of the decoded pictures.

    Raises ClicError naming the first picture whose pixels are not those that the encoder announced.
    """
    lines = []
    for row in chosen.itertuples():
        path = pictures / f"{row.image}.png"
        if pixels_sha256(load_rgb(path)) != row.pixels_sha256:
            raise ClicError(
                f"{path}: other pixels than the encoder announced for point {row.point}; mend "
                f"codec {row.codec!r}, whose decoder does not compute what its encoder does"
            )
        lines.append(f"{row.image} {row.pixels_sha256}\n")
    return sha256("".join(lines).encode())


def _scored(chosen: pd.DataFrame, rate: str) -> pd.DataFrame:
    """Rows of scores.csv. The decoded pixels were found equal to the candidates', so their scores are too."""
    return chosen.assign(
        rate=rate, bpp=8 * chosen["bytes"] / (chosen["width"] * chosen["height"]), psnr=chosen["mse"].map(psnr)
    )[
        [
            "rate",
            "image",
            "width",
            "height",
            "codec",
            "point",
            "bytes",
            "bpp",
            "msssim_competition",
            "msssim_paper",
            "mse",
            "psnr",
            "pixels_sha256",
        ]
    ]


def _write_results(out: Path, tables: Mapping[str, pd.DataFrame], run: Mapping[str, Any], team: str) -> None:
    board = []
    for rate, table in tables.items():
        verification = run["rates"][rate]["verification"]
        board.append(
            {
                "team": team,
                "rate": rate,
                "budget_bytes": verification["budget_bytes"],
                "data_bytes": verification["data_bytes"],
                "bpp": 8 * verification["data_bytes"] / verification["pixels"],
                **asdict(aggregate(table)),
                "decoder_bytes": verification["decoder_bytes"],
                "decode_seconds": verification["decode_seconds"],
            }
        )
    for name, frame in (("scores.csv", pd.concat(tables.values())), ("leaderboard.csv", pd.DataFrame(board))):
        write_atomic(out / name, frame.to_csv(index=False, lineterminator="\n").encode())


def _description(
    codec: Codec, profile: Profile, objective: str, team: str, images: Sequence[SourceImage], candidates: pd.DataFrame
) -> dict[str, Any]:
    """What run.json says of a run as a whole."""
    hashes = dict(zip(candidates["image"], candidates["image_sha256"], strict=True))
    versions = {"python": platform.python_version()}
    for package in VERSIONED:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:  # a codec may do without
            continue
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "team": team,
        "objective": objective,
        "profile": profile,
        "codec": {"name": codec.name, "sha256": codec_sha256(codec), "config": codec.config()},
        "images": {
            source.name: {
                "file": source.path.name,
                "width": source.width,
                "height": source.height,
                "sha256": hashes[source.name],
            }
            for source in images
        },
        "notes": {source.name: source.note for source in images if source.note},
        "versions": versions,
        "machine": f"{platform.system()} {platform.machine()}",
    }


def _recorded_rates(path: Path) -> dict[str, Any]:
    """What an earlier run in the same folder recorded by rate; nothing where run.json is not readable."""
    try:
        return dict(json.loads(path.read_bytes())["rates"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}
