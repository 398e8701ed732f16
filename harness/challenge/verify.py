"""Everything for which the challenge's server would reject a submission, all at once and beforehand."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from harness.challenge import contents
from harness.challenge.archive import DECODER, PICTURES, sha224
from harness.challenge.container import container_findings
from harness.challenge.findings import Finding
from harness.challenge.honest import honesty_findings
from harness.challenge.pictures import pixels_digest
from harness.challenge.profiles import Profile
from harness.challenge.sandbox import DecodeRun, levels, require_linux, why_not
from harness.challenge.sandbox.environment import versions_here
from harness.challenge.trial import Trial, VerifyOptions
from harness.errors import ClicError
from harness.images import list_images
from harness.progress import escaped
from harness.sweep.local import usable_cores

__all__ = ["DECODER", "Verification", "VerifyOptions", "require_box", "verify"]

_SAYS_AT_MOST = 300  # letters of the decoder's last line


class _Compared(NamedTuple):
    """Two runs whose pictures must be the same."""

    when: str
    expected: str
    mend: str


_MEND = "fix seeds and threads, and compute what decides symbols in integers"
_AGAIN = _Compared("when decoded again", "the same picture in every run, with any number of threads", _MEND)
_IN_CONTAINER = _Compared("in the container", f"the picture in {PICTURES}/, as it was decoded on this machine", _MEND)


@dataclass(frozen=True)
class Verification:
    """What was found and measured. Sizes are in bytes of the files as uploaded, None where there is no file.

    `images` counts the pictures that decoded as they should. Seconds, memory and `sandbox` are None where the
    decoder was not run; `not_enforced` names what the sandbox could not keep it from. `decoder_says` is the last line
    that the decoder printed; ours says there how its seconds split into entropy decoding, synthesis and PNG. It was
    run `runs` times; seconds and memory are the first run's. `versions` are those of what it ran with.
    """

    findings: tuple[Finding, ...]
    rate: str
    pixels: int
    budget_bytes: int
    data_bytes: int | None
    decoder_bytes: int | None
    decoder_sha224: str | None
    images: int = 0
    decode_seconds: float | None = None
    decoder_says: str | None = None
    peak_memory_bytes: int | None = None
    sandbox: str | None = None
    not_enforced: tuple[str, ...] = ()
    runs: int = 0
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def to_json(self) -> dict[str, Any]:
        """All of it as plain values for a JSON file."""
        return {"ok": self.ok, **asdict(self)}


def verify(
    directory: Path, images: Path, profile: Profile, rate: str, options: VerifyOptions | None = None
) -> Verification:
    """Check the submission in `directory`, decoder.zip and the profile's data file, against the originals.

    The decoder runs in a temporary folder unless a finding rules that out. Raises ClicError where nothing can be
    checked: no such folders, an unreadable original, a rate that is none, no box for a decoder that is not trusted.
    """
    options = options or VerifyOptions()
    if not directory.is_dir():
        raise ClicError(f"{directory}: no such folder; give the one with {DECODER} and {profile.data_file}")
    originals = list_images(images)
    pixels = sum(image.pixels for image in originals)
    budget = profile.budget(pixels, rate)
    decoder, data = directory / DECODER, directory / profile.data_file

    blocking = list(contents.blocking(decoder, data, profile))
    other = [*contents.sizes(decoder, data, profile, budget, rate), *contents.forbidden(decoder)]
    versions = options.environment.versions if options.environment else versions_here(profile.packages)
    if options.environment:
        other += container_findings(options.environment, profile)
    if options.expected:
        other += options.expected.findings(decoder)
        other += [] if options.environment else options.expected.version_findings(versions, profile)
    trial = Trial(decoder, data, profile, tuple(originals), options)
    runs: list[DecodeRun] = []
    digests: Mapping[str, str] = {}
    if not blocking:
        require_linux()
        require_box(decoder, options)
        for number in range(options.runs):
            title = f"{rate}: decoding" + (" again" if number else "")
            done, found, given = trial.run(title, threads=_other_threads(profile) if number else 0)
            other += _differences(digests, given, _AGAIN) if number else found
            if options.environment and not number:
                other += _differences(_decoded_before(directory, given), given, _IN_CONTAINER)
            digests = digests or given
            runs.append(done)
        if options.honest:
            other += honesty_findings(trial, digests)
    run = runs[0] if runs else None
    return Verification(
        findings=(*blocking, *other),
        rate=rate,
        pixels=pixels,
        budget_bytes=budget,
        data_bytes=contents.size_of(data),
        decoder_bytes=contents.size_of(decoder),
        decoder_sha224=sha224(decoder) if decoder.is_file() else None,
        images=len(digests),
        decode_seconds=run.seconds if run else None,
        decoder_says=_last_line(run.output) if run else None,
        peak_memory_bytes=run.peak_memory_bytes if run else None,
        sandbox=run.level if run else None,
        not_enforced=run.not_enforced if run else (),
        runs=len(runs),
        versions=versions,
    )


def require_box(decoder: Path, options: VerifyOptions) -> None:
    """Raise ClicError where only a decoder of one's own may run, and this is a stranger's."""
    if levels()[0] != "limits" or options.trusted or options.unsafe:
        return
    reasons = "; ".join(f"{level}: {why_not(level)}" for level in ("bubblewrap", "namespaces", "landlock"))
    raise ClicError(
        f"{decoder}: not packed by this installation, and nothing here can lock it in ({reasons}); install bubblewrap "
        "(as by 'apt-get install bubblewrap'), or let it do whatever you may do by --unsafe"
    )


def _other_threads(profile: Profile) -> int:
    """Another number of threads than a decoder takes by itself."""
    return 1 if min(usable_cores(), profile.cpus) > 1 else 2


def _decoded_before(directory: Path, names: Iterable[str]) -> Mapping[str, str]:
    """Digests of the pictures that lie beside a submission, as 'clic submit' decoded them on this machine."""
    found = {name: directory / PICTURES / name for name in names}
    return {name: pixels_digest(path) for name, path in found.items() if path.is_file()}


def _differences(first: Mapping[str, str], second: Mapping[str, str], what: _Compared) -> Iterator[Finding]:
    """Pictures that another run has not given again."""
    for name, digest in first.items():
        if second.get(name) != digest:
            said = "other pixels" if name in second else "not given"
            yield Finding(f"{said} {what.when}", name, what.expected, what.mend)


def _last_line(output: str) -> str:
    lines = output.strip().splitlines()
    return escaped(lines[-1].strip(), _SAYS_AT_MOST) if lines else ""
