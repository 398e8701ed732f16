"""From a run whose submission was verified to its frozen decoder (see frozen.py)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.challenge.archive import DECODER, members_sha256
from harness.challenge.board import SOURCE, Line, kept_lines
from harness.challenge.frozen import FOLDER, RECORD, Frozen, read_frozen
from harness.challenge.profiles import Profile, load_profile
from harness.errors import ClicError
from harness.files import as_json, write_atomic
from harness.progress import log
from harness.records import Allocation, Entry
from harness.store import Store, open_store


def freeze(folder: Path, profile: str | None = None) -> Frozen:
    """Keep the decoder of a run's folder, as its board has it, with a record; returns that.

    `profile` is needed for rules that do not come with the package. A decoder frozen there before stays, and rates that
    were added since join it. Raises ClicError where nothing was verified, where a rate's files were altered since,
    where rates have different decoders, and where another decoder is frozen there.
    """
    with open_store(folder, write=False) as store:
        lines, rules = _current(store, profile)
        record = _record(store, lines)
    place = folder / FOLDER
    if (place / RECORD).exists():
        before, _ = read_frozen(place)
        if before.decoder_sha224 != record.decoder_sha224:
            raise ClicError(
                f"{place}: decoder {before.decoder_sha224} is frozen there since {before.date}, and the folder now has "
                f"{record.decoder_sha224}; what was uploaded does not change: take another folder for another decoder"
            )
        record = replace(before, rates={**before.rates, **record.rates})
    content = (folder / next(iter(record.rates)) / DECODER).read_bytes()
    write_atomic(place / DECODER, content)
    write_atomic(place / RECORD, as_json(record).encode())
    if lacking := record.lacking(rules):
        log(f"{folder}: nothing is frozen at {', '.join(lacking)}; without all rates a team can win no prize")
    return record


def _current(store: Store, profile: str | None) -> tuple[Sequence[Line], Profile]:
    """The lines of what was verified last in a folder, all rates, and the rules. Raises ClicError."""
    entries = store.rows(Entry, accepted=True, source=SOURCE)
    if not entries:
        raise ClicError(f"{store.folder}: nothing was verified here; run 'clic submit' first")
    last = entries[-1]
    rules = load_profile(profile or last.profile, last.track or None)
    [allocation] = store.rows(Allocation, id=last.allocation)
    kept = kept_lines(store, allocation.image_set, rules, last.variant, leave=())
    same_set = {found.id for found in store.rows(Allocation, image_set=allocation.image_set)}
    of = store.rows(Entry, accepted=True, source=SOURCE, profile=last.profile, track=last.track, variant=last.variant)
    lost = {entry.rate for entry in of if entry.allocation in same_set} - set(map(str, kept))
    if lost:
        raise ClicError(
            f"{store.folder}: what was verified at {', '.join(sorted(lost))} was lost or altered since; run "
            "'clic submit' again"
        )
    return list(kept.values()), rules


def _record(store: Store, lines: Sequence[Line]) -> Frozen:
    """What is frozen of these lines. Raises ClicError where they have different decoders."""
    decoders = {line.entry.rate: line.entry.decoder_sha224 for line in lines}
    if len(set(decoders.values())) > 1:
        each = ", ".join(f"{rate}: {digest}" for rate, digest in decoders.items())
        raise ClicError(
            f"{store.folder}: its rates have different decoders ({each}); a variant is one decoder: run 'clic submit' "
            "again at all rates, or give each a folder of its own"
        )
    entry = lines[0].entry
    decoder = store.folder / entry.rate / DECODER
    versions: Mapping[str, Any] = lines[0].measured.get("versions") or {}
    return Frozen(
        team=entry.team,
        profile=entry.profile,
        track=entry.track,
        variant=entry.variant,
        date=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        decoder_sha224=entry.decoder_sha224,
        decoder_bytes=entry.decoder_bytes or 0,
        codec=lines[0].measured.get("codec", ""),
        image_set=lines[0].allocation.image_set,
        rates={line.entry.rate: line.entry.data_sha224 for line in lines},
        members=members_sha256(decoder),
        versions=dict(versions),
    )
