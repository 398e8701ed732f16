"""The one decoder that may be sent: known by its hash, or as it was frozen, and then sent itself, byte for byte.

The encoder that is installed now is held against a frozen decoder twice: before anything long begins, by some streams
of a corner of a photograph, and by all streams when a rate is verified.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from harness.challenge.archive import DECODER, data_file_bytes, sha224, zip_bytes
from harness.challenge.findings import Finding
from harness.challenge.frozen import Frozen, changes, read_frozen
from harness.challenge.pictures import pictures_in
from harness.challenge.profiles import Profile
from harness.challenge.sandbox import run_decoder
from harness.challenge.sandbox.environment import OURS, versions_here
from harness.codecs.protocol import Encoding, Submittable
from harness.codecs.registry import canonical
from harness.codecs.union import Union
from harness.errors import ClicError
from harness.files import write_atomic
from harness.images import load_rgb, pixels_sha256
from harness.programs import last_lines
from harness.progress import log
from harness.scratch import scratch

HASH = re.compile(r"[0-9a-f]{56}")
CORNER = 192  # pixels a side of what is coded beforehand


@dataclass(frozen=True)
class Expected:
    """The SHA-224 of the decoder that alone may be sent; the record and the archive where it was frozen."""

    sha224: str
    frozen: Frozen | None = None
    decoder: bytes = b""

    @property
    def codec(self) -> str:
        """What opens the codec that was frozen; empty where that is not known."""
        return self.frozen.codec if self.frozen else ""

    @property
    def team(self) -> str | None:
        """The team that froze it."""
        return self.frozen.team if self.frozen else None

    def check_rules(self, profile: Profile, variant: int) -> None:
        """Raise ClicError where the decoder was frozen under other rules, on another track, or as another variant."""
        if not self.frozen:
            return
        asked = replace(self.frozen, profile=profile.name, track=profile.on_track, variant=variant).described
        if asked != self.frozen.described:
            raise ClicError(
                f"frozen is {self.frozen.described}, and {asked} was asked for; give the folder of that one"
            )

    def sent(self, packed: bytes) -> bytes:
        """The decoder to send instead of one just packed: the frozen one. Raises ClicError where only a hash is known
        and what was packed has another."""
        if self.decoder:
            return self.decoder
        found = hashlib.sha224(packed).hexdigest()
        if found != self.sha224:
            raise ClicError(
                f"{DECODER}: this installation packs {found}, expected is {self.sha224}; give --expect-decoder the "
                "folder where it was frozen, or install the version that packed it"
            )
        return packed

    def findings(self, decoder: Path) -> Iterator[Finding]:
        """What tells the archive from the one that was frozen."""
        found = sha224(decoder) if decoder.is_file() else ""
        if found and found != self.sha224:
            what = f"SHA-224 {found}"
            if self.frozen:
                what = f"not the decoder frozen on {self.frozen.date}: {changes(self.frozen.members, decoder)}"
            yield Finding(
                what, decoder.name, f"SHA-224 {self.sha224}", "send the frozen one: 'clic submit --expect-decoder DIR'"
            )

    def version_findings(self, versions: Mapping[str, str], profile: Profile) -> Iterator[Finding]:
        """What tells the packages that the decoder runs with here from those that it was frozen with.

        What stands behind a "+", as in 2.6.0+cpu, says how a package was built, and is not compared.
        """
        before = self.frozen.versions if self.frozen else {}
        for package in profile.packages:
            frozen, found = (known.get(package, "").partition("+")[0] for known in (before, versions))
            if frozen and frozen != found:
                yield Finding(
                    f"{package} {found or 'is missing'}",
                    "packages",
                    f"{package} {frozen}, with which the frozen decoder was verified",
                    f"python -m pip install {package}=={frozen}, or verify it --in-container",
                )


def read_expected(text: str) -> Expected:
    """What `--expect-decoder` names: a SHA-224 in hexadecimal digits, or a folder where a decoder was frozen.

    Raises ClicError for anything else, and where the frozen decoder is not as it was.
    """
    if HASH.fullmatch(text.lower()):
        return Expected(text.lower())
    if not Path(text).is_dir():
        raise ClicError(f"--expect-decoder {text!r}: neither a SHA-224 (56 hexadecimal digits) nor a folder; give one")
    frozen, decoder = read_frozen(Path(text))
    return Expected(frozen.decoder_sha224, frozen, decoder)


def check_encoder(codec: Submittable, spec: str, expected: Expected, profile: Profile, photograph: Path) -> None:
    """Raise ClicError where the expected decoder does not give back what `codec` announces, tried on a few streams.

    `spec` is what opened the codec; another than the frozen one may well fit, as the same with another effort does.
    Nothing needs trying where this installation packs that very decoder.
    """
    packed = zip_bytes(codec.decoder_files(profile.data_file, profile.payload))
    if hashlib.sha224(expected.sent(packed)).digest() == hashlib.sha224(packed).digest():
        return
    prepared = codec.prepare(np.ascontiguousarray(load_rgb(photograph)[:CORNER, :CORNER]))
    chosen = _some_points(codec)
    encodings = {f"point{number}": codec.encode(prepared, point) for number, point in enumerate(chosen)}
    announced = {name: _pixels_sha256(codec, encoding) for name, encoding in encodings.items()}
    with scratch("expected") as folder:
        decoder, data, work = folder / DECODER, folder / profile.data_file, folder / "work"
        write_atomic(decoder, expected.decoder)
        streams = {name: encoding.stream for name, encoding in encodings.items()}
        write_atomic(data, data_file_bytes(codec.pack(streams), profile))
        run = run_decoder(decoder, data, work, profile)
        found = {path.stem: pixels_sha256(load_rgb(path)) for paths in pictures_in(work).values() for path in paths}
    frozen = f"the frozen decoder {expected.sha224[:12]}..."
    if run.returncode or found != announced:
        said = f" ({last_lines(run.output)})" if run.returncode else ""
        wrong = [point for name, point in zip(encodings, chosen, strict=True) if found.get(name) != announced[name]]
        raise ClicError(
            f"{frozen} does not give back what codec {codec.name!r} codes now, at point {', '.join(wrong)}{said}; "
            f"{_remedy(spec, expected)}"
        )
    log(f"{frozen} gives back the pixels that codec {codec.name!r} announces now; it is sent as it was frozen")


def _remedy(spec: str, expected: Expected) -> str:
    """What to do where the frozen decoder does not follow the codec that `spec` opens."""
    if _is_another(spec, expected.codec):
        return f"it was frozen of codec {expected.codec!r}, and {spec!r} is another: leave --codec out"
    version = expected.frozen.versions.get(OURS) if expected.frozen else None
    if version and version == versions_here(()).get(OURS):
        return f"{OURS} is {version} as it was then, so the codec's code or its packages changed: bring those back"
    return f"install {OURS}{'==' + version if version else ' as it was then'}, or give the codec that was frozen"


def _is_another(spec: str, frozen: str) -> bool:
    """Whether a codec is opened otherwise than the frozen one, where that is known."""
    try:
        return bool(frozen) and canonical(spec) != canonical(frozen)
    except ClicError:  # what was frozen cannot be opened here; what is coded with now can
        return True


def _some_points(codec: Submittable) -> list[str]:
    """The lowest, the highest and a point between, of a union for each of its members."""
    points = list(codec.points())
    ladders = [points]
    if isinstance(codec, Union):
        ladders = [[f"{member.name} {point}" for point in member.points()] for member in codec.members]
    return [p for ladder in ladders for p in dict.fromkeys((ladder[0], ladder[len(ladder) // 2], ladder[-1]))]


def _pixels_sha256(codec: Submittable, encoding: Encoding) -> str:
    return pixels_sha256(codec.decode(encoding.stream) if encoding.pixels is None else encoding.pixels)
