"""The lines of a folder's leaderboard: kept in the store, and written for people as tables and run.json."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from harness.challenge.archive import PICTURES, sha224
from harness.challenge.pack import Packed
from harness.challenge.profiles import Profile
from harness.challenge.verify import DECODER, Verification
from harness.codecs.union import PLUS
from harness.errors import ClicError
from harness.files import as_json, sha256, write_atomic
from harness.images import load_rgb, pixels_sha256
from harness.progress import log
from harness.rates import Rate
from harness.records import Allocation, Entry, Key
from harness.scores.aggregate import aggregate
from harness.scores.objectives import psnr
from harness.store import Store

RESULTS = ("scores.csv", "leaderboard.csv", "leaderboard.md", "report.html", "run.json")
SOURCE = "clic submit"


@dataclass(frozen=True)
class Line:
    """An entry with all that the tables say of it: the candidates that it is made of, and their allocation."""

    entry: Entry
    allocation: Allocation
    chosen: pd.DataFrame

    @property
    def rate(self) -> Rate:
        """In bits per pixel."""
        return Rate.parse(self.entry.rate)

    @property
    def measured(self) -> Mapping[str, Any]:
        """What the verification measured."""
        return dict(json.loads(self.entry.verification))


def read_line(store: Store, entry: Entry) -> Line | None:
    """The line of an entry, if its candidates are still there."""
    [allocation] = store.rows(Allocation, id=entry.allocation)
    chosen = store.chosen(entry.allocation or 0)
    return Line(entry, allocation, chosen) if len(chosen) else None


def allocate(store: Store, image_set: str, packed: Packed, rate: Rate, chosen: pd.DataFrame) -> int:
    """Put a packed selection into the store; returns the allocation's id."""
    selection = packed.selection
    keys = {row.image: Key(row.image_sha256, row.codec_sha256, row.point) for row in chosen.itertuples()}
    allocation = Allocation(
        id=None,
        image_set=image_set,
        objective=selection.objective,
        target=f"{packed.profile.name} {rate}",
        budget_bytes=selection.budget,
        overhead_bytes=packed.overhead,
        bytes=selection.bytes,
        score=selection.score,
        bound=selection.bound,
    )
    return store.allocate(allocation, keys)


def kept_lines(
    store: Store, image_set: str, profile: Profile, variant: int, leave: Collection[Rate]
) -> dict[Rate, Line]:
    """For each rate but those to `leave` the last accepted line of these images, rules, track and variant.

    It counts where its files in the folder are still those that were verified.
    """
    found: dict[Rate, Line] = {}
    of = {"profile": profile.name, "track": profile.on_track, "variant": variant}
    for entry in store.rows(Entry, **of, accepted=True, source=SOURCE):
        line = read_line(store, entry)
        if line and line.allocation.image_set == image_set and line.rate not in leave:
            found[line.rate] = line
    return {rate: line for rate, line in found.items() if _is_in_place(store.folder / str(rate), line, profile)}


def _is_in_place(folder: Path, line: Line, profile: Profile) -> bool:
    try:
        archives = sha224(folder / DECODER), sha224(folder / profile.data_file)
        if archives == (line.entry.decoder_sha224, line.entry.data_sha224):
            reconstruction_sha256(folder / PICTURES, line.chosen)
            return True
    except (OSError, ClicError):
        pass
    log(f"{line.rate}: what was verified there before was lost or altered since, and is left off the board")
    return False


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


def entry_of(found: Verification, allocation: int, chosen: pd.DataFrame, codec: str, **described: Any) -> Entry:
    """The entry of a verified data file of what `codec` opens; `described` are the fields that say whose it is."""
    scores = asdict(aggregate(chosen))
    return Entry(
        id=None,
        allocation=allocation,
        data_bytes=found.data_bytes,
        decoder_bytes=found.decoder_bytes,
        decoder_sha224=found.decoder_sha224 or "",
        decode_seconds=found.decode_seconds,
        elo=None,
        accepted=found.ok,
        findings=json.dumps([str(finding) for finding in found.findings]),
        verification=as_json({**found.to_json(), "codec": codec}),
        source=SOURCE,
        **scores,
        **described,
    )


def write_tables(folder: Path, lines: Sequence[Line]) -> None:
    """Write leaderboard.csv and scores.csv of the accepted lines, by rate; no files where there are none."""
    accepted = sorted((line for line in lines if line.entry.accepted), key=lambda line: line.rate)
    if not accepted:
        return
    scores = pd.concat([_scores(line) for line in accepted])
    for name, frame in (("scores.csv", scores), ("leaderboard.csv", pd.DataFrame(map(_row, accepted)))):
        write_atomic(folder / name, frame.to_csv(index=False, lineterminator="\n").encode())


def counts_by_codec(chosen: pd.DataFrame) -> str:
    """How many images each codec has: "avif 3, clic 12"."""
    return ", ".join(f"{name} {count}" for name, count in chosen["codec"].value_counts().sort_index().items())


def recorded(line: Line) -> dict[str, Any]:
    """What run.json says of a rate; of a union, the codecs that have images there."""
    allocation, chosen = line.allocation, line.chosen
    codecs = dict(sorted(set(zip(chosen["codec"], chosen["codec_sha256"], strict=True))))
    return {
        "team": line.entry.team,
        "date": line.entry.date,
        "codec": {"name": PLUS.join(codecs), **_hashes(codecs)},
        "inputs_sha256": line.entry.inputs_sha256,
        "findings": json.loads(line.entry.findings),
        "verification": line.measured,
        "selection": {
            "points": dict(zip(chosen["image"], chosen["point"], strict=True)),
            "codecs": dict(zip(chosen["image"], chosen["codec"], strict=True)),
            "objective": allocation.objective,
            "budget": allocation.budget_bytes,
            "bytes": allocation.bytes,
            "score": allocation.score,
            "bound": allocation.bound,
        },
    }


def _hashes(codecs: Mapping[str, str]) -> dict[str, Any]:
    """The hash of a codec, or those of several by name."""
    return {"members": dict(codecs)} if len(codecs) > 1 else {"sha256": next(iter(codecs.values()))}


def _row(line: Line) -> Mapping[str, Any]:
    entry, measured = line.entry, line.measured
    return {
        "team": entry.team,
        "rate": entry.rate,
        "budget_bytes": measured["budget_bytes"],
        "data_bytes": entry.data_bytes,
        "bpp": 8 * (entry.data_bytes or 0) / measured["pixels"],
        "msssim_competition": entry.msssim_competition,
        "msssim_paper": entry.msssim_paper,
        "psnr_competition": entry.psnr_competition,
        "psnr_paper": entry.psnr_paper,
        "decoder_bytes": entry.decoder_bytes,
        "decode_seconds": entry.decode_seconds,
    }


def _scores(line: Line) -> pd.DataFrame:
    """Rows of scores.csv. The decoded pixels were found equal to the candidates', so their scores are too."""
    chosen = line.chosen
    bpp = 8 * chosen["bytes"] / (chosen["width"] * chosen["height"])
    columns = ["rate", "image", "width", "height", "codec", "point", "bytes", "bpp"]
    columns += ["msssim_competition", "msssim_paper", "mse", "psnr", "pixels_sha256"]
    return chosen.assign(rate=line.entry.rate, bpp=bpp, psnr=chosen["mse"].map(psnr))[columns]
