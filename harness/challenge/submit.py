"""The whole way, from a folder of photographs to a packed, verified and scored submission.

When a killed run is started again, each finished step is recognised in the store: candidates by their keys, a decoded
rate by the hash of all that went into it and by the pixels in its folder. What was verified in the folder before, at
other rates, stays on its board while its files are there.
"""

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from harness.challenge.archive import sha224, zip_bytes
from harness.challenge.board import (
    PICTURES,
    RESULTS,
    SOURCE,
    Line,
    allocate,
    counts_by_codec,
    entry_of,
    kept_lines,
    read_line,
    reconstruction_sha256,
    recorded,
    write_tables,
)
from harness.challenge.expected import Expected, check_encoder
from harness.challenge.pack import Packed, RateUnreachable, pack, set_pixels
from harness.challenge.profiles import Profile, Target
from harness.challenge.sandbox import require_linux
from harness.challenge.sandbox.environment import versions_here
from harness.challenge.sbom import FILE_NAME, bill_of_materials
from harness.challenge.verify import DECODER, VerifyOptions, verify
from harness.codecs.protocol import Adaptive, Submittable, codec_sha256
from harness.codecs.registry import open_members
from harness.codecs.union import Union, union
from harness.errors import ClicError
from harness.files import as_json, sha256, write_atomic
from harness.images import log_notes
from harness.locks import exclusive
from harness.progress import bar, duration, log
from harness.rates import Rate
from harness.records import Entry
from harness.selection.exact import chosen_rows
from harness.store import Store, open_store
from harness.sweep.executor import Executor
from harness.sweep.further import Goal, Swept, foretold_seconds, sweep_further
from harness.sweep.local import LocalProcesses
from harness.sweep.originals import Originals, list_originals, record_originals
from harness.sweep.plan import Plan, describe
from harness.sweep.run import sweep


@dataclass(frozen=True)
class Request:
    """What is to be submitted: by which codec or union, under which rules, at which rates, and what is best.

    `team` defaults to the codec's name; `time_limit` is in seconds, for decoding one rate; `variant` is which of the
    team's decoders this is, from 1; where a decoder is `expected`, no other is sent. Raises ClicError for a team whose
    name no table can hold.
    """

    codec: str
    profile: Profile
    rates: Sequence[Rate]
    objective: str = "competition"
    team: str | None = None
    time_limit: float | None = None
    variant: int = 1
    expected: Expected | None = None

    def __post_init__(self) -> None:
        if self.team is not None and not (self.team.strip() and self.team.isprintable()):
            raise ClicError(f"team {self.team!r}: empty, or with characters that cannot be printed; give a plain name")


@dataclass(frozen=True)
class Submission:
    """What a run came to: the rates that passed, and for each that did not, its findings."""

    passed: tuple[Rate, ...]
    rejected: Mapping[Rate, Sequence[str]]


def submit(
    images_folder: Path, out: Path, request: Request, executor: Executor | None = None, rehash: bool = False
) -> Submission:
    """Sweep, select, pack, verify and score; docs/architecture.md lists the files in `out`.

    A rate that the set cannot reach is a finding of that rate. Raises ClicError for what the user can mend, and for a
    decoder whose pixels are not those that its encoder announced.
    """
    require_linux()
    executor = executor or LocalProcesses()
    images = list_originals(images_folder, out, rehash)
    members = open_members(request.codec)
    codec = union(members.values())
    # What cannot be put together is told before hours of coding.
    zip_bytes(codec.decoder_files(request.profile.data_file, request.profile.payload))
    if request.expected:
        check_encoder(codec, request.codec, request.expected, request.profile, images[0].path)
    log_notes(images)
    with open_store(out) as store, exclusive(out):
        with bar("read") as progress:
            originals = record_originals(images, store, rehash, progress)
        swept = []
        for spec, member in members.items():
            plan = Plan(originals, describe(member, spec))
            swept.append(Swept(member, plan))
            if isinstance(member, Adaptive) and plan.tasks(store):  # told beforehand, not when all but that is done
                seconds = duration(foretold_seconds(member, images, len(request.rates)))
                log(f"codec {member.name}: {seconds} of one core beside the sweep, {member.about_further()}")
            with bar("sweep" if len(members) == 1 else f"sweep {member.name}") as progress:
                candidates = sweep(plan, store, executor, rehash, progress)
            log(f"sweep: {len(candidates)} candidates of {len(images)} images by codec {member.name}")
        pixels = set_pixels(candidates)
        goal = Goal([Target(request.profile, rate, pixels).budget for rate in request.rates], request.objective)
        candidates = sweep_further(swept, store, executor, goal)
        for name in RESULTS:  # of another run; they must not stand beside this one's files
            (out / name).unlink(missing_ok=True)
        run = _Run(store, images_folder, request, codec, originals)
        lines: dict[Rate, Line] = {}
        unreachable: dict[Rate, str] = {}
        for rate in dict.fromkeys(request.rates):
            try:
                lines[rate] = run.submit_rate(rate, candidates)
            except RateUnreachable as error:
                unreachable[rate] = str(error)
                log(str(error))
        board = {**kept_lines(store, originals.id, request.profile, request.variant, leave=request.rates), **lines}
        rates = {str(rate): recorded(line) for rate, line in board.items()}
        for rate in lines:
            rates[str(rate)] |= {"codec": run.codec_record()}
        rates |= {str(rate): {"findings": [text]} for rate, text in unreachable.items()}
        write_atomic(out / "run.json", as_json({**run.description(), "rates": rates}).encode())
        write_tables(out, list(board.values()))
    rejected = {rate: json.loads(line.entry.findings) for rate, line in lines.items() if not line.entry.accepted}
    passed = tuple(rate for rate, line in lines.items() if line.entry.accepted)
    return Submission(passed, {**rejected, **{rate: [text] for rate, text in unreachable.items()}})


@dataclass(frozen=True)
class _Run:
    """What the rates of a run share."""

    store: Store
    images_folder: Path
    request: Request
    codec: Submittable
    originals: Originals

    def submit_rate(self, rate: Rate, candidates: pd.DataFrame) -> Line:
        """Pack, verify and record one rate. Raises RateUnreachable, and ClicError."""
        target = Target(self.request.profile, rate, set_pixels(candidates))
        packed = pack(candidates, self.codec, self.store.folder, target, self.request.objective)
        if self.request.expected:
            packed = replace(packed, decoder=self.request.expected.sent(packed.decoder))
        selection, folder = packed.selection, self.store.folder / str(rate)
        packed.write(folder)
        write_atomic(folder / FILE_NAME, bill_of_materials(packed.decoder, self.request.profile.packages))
        log(
            f"{rate}: packed {selection.bytes} of {selection.budget} bytes, {selection.objective} "
            f"{selection.score:.5f} (at most {selection.bound:.5f} is possible)"
        )
        chosen = chosen_rows(candidates, selection)
        if isinstance(self.codec, Union):
            log(f"{rate}: images by codec: {counts_by_codec(chosen)}")
        entry = self._verified(rate, packed, chosen)
        log(f"{rate}: {DECODER} SHA-224 {entry.decoder_sha224}")
        if entry.accepted:
            digest = reconstruction_sha256(folder / PICTURES, chosen)
            log(f"{rate}: {len(chosen)}/{len(chosen)} images equal to the encoder's reconstruction (sha256 {digest})")
        for finding in json.loads(entry.findings):
            log(f"{rate}: {finding}")
        line = read_line(self.store, replace(entry, id=self.store.append(entry)))
        if line is None:
            raise ClicError(f"{self.store.folder}: candidates vanished while the run was going on; run it again")
        return line

    def _verified(self, rate: Rate, packed: Packed, chosen: pd.DataFrame) -> Entry:
        """Decode in the sandbox and keep the pictures, unless the store records just that and they are there."""
        request, folder = self.request, self.store.folder / str(rate)
        described: dict[str, Any] = {
            "team": request.team or self.codec.name,
            "date": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "profile": request.profile.name,
            "track": request.profile.on_track,
            "variant": request.variant,
            "rate": str(rate),
        }
        allocation = allocate(self.store, self.originals.id, packed, rate, chosen)
        data_sha224 = sha224(folder / request.profile.data_file)
        inputs = sha256(
            as_json(
                {
                    "profile": request.profile,
                    "rate": rate,
                    "time_limit": request.time_limit,
                    "originals": dict(zip(chosen["image"], chosen["image_sha256"], strict=True)),
                    "decoder": sha224(folder / DECODER),
                    "data": data_sha224,
                    "versions": versions_here(request.profile.packages),
                    "expected": request.expected.sha224 if request.expected else "",
                }
            ).encode()
        )
        pictures = folder / PICTURES
        for before in reversed(self.store.rows(Entry, inputs_sha256=inputs, accepted=True, source=SOURCE)):
            try:
                reconstruction_sha256(pictures, chosen)
                log(f"{rate}: decoded and verified before")
                return replace(before, id=None, allocation=allocation, **described)
            except ClicError:
                break  # pictures were lost or altered since
        for stale in pictures.glob("*.png"):
            stale.unlink()
        log(f"{rate}: decoding in the sandbox")
        how = VerifyOptions(request.time_limit, keep=pictures, trusted=True, expected=request.expected)
        found = verify(folder, self.images_folder, request.profile, str(rate), how)
        hashes = {"inputs_sha256": inputs, "data_sha224": data_sha224}
        return entry_of(found, allocation, chosen, request.codec, **hashes, **described)

    def codec_record(self) -> dict[str, str]:
        """What run.json says of the codec, at each rate too."""
        return {"name": self.codec.name, "sha256": codec_sha256(self.codec)}

    def description(self) -> dict[str, Any]:
        """What run.json says of the run as a whole."""
        request = self.request
        return {
            "date": f"{datetime.now(UTC):%Y-%m-%d}",
            "team": request.team or self.codec.name,
            "objective": request.objective,
            "profile": request.profile,
            "track": request.profile.on_track,
            "variant": request.variant,
            "codec": {**self.codec_record(), "config": self.codec.config()},
            "images": _images(self.originals),
            "versions": versions_here(request.profile.packages),
            "machine": f"{platform.system()} {platform.machine()}",
        }


def _images(originals: Originals) -> Mapping[str, Any]:
    return {
        source.name: {
            "file": source.path.name,
            "width": source.width,
            "height": source.height,
            "sha256": originals.hashes[source.name],
            **({"note": source.note} if source.note else {}),
        }
        for source in originals.images
    }
