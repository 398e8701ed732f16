"""Everything for which the challenge's server would reject a submission, all at once and beforehand."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.challenge import contents
from harness.challenge.archive import sha224
from harness.challenge.findings import Finding
from harness.challenge.pictures import picture_findings, pictures_in, pixels_digest
from harness.challenge.profiles import Profile
from harness.challenge.sandbox import DISK_BYTES, DecodeRun, RunOptions, levels, require_linux, run_decoder, why_not
from harness.challenge.sandbox.tree import scratch
from harness.errors import ClicError
from harness.files import write_atomic
from harness.images import SourceImage, list_images
from harness.progress import bar

DECODER = "decoder.zip"
_SAYS_AT_MOST = 300  # characters of the decoder's last line
_DISK_A_PIXEL = 16  # bytes: raw RGB, PNG, and as much again for what lies between


@dataclass(frozen=True)
class VerifyOptions:
    """How a submission is verified: seconds a run (by default the profile's), where good pictures go as NAME.png.

    `trusted` says that the decoder was packed by this installation, `unsafe` that it may run without a box all the
    same. It is run `runs` times, once or twice: the second time with another number of threads, to see whether it
    gives the same pictures.
    """

    time_limit: float | None = None
    keep: Path | None = None
    trusted: bool = False
    unsafe: bool = False
    runs: int = 1


@dataclass(frozen=True)
class Verification:
    """What was found and measured. Sizes are in bytes of the files as uploaded, None where there is no file.

    `images` counts the pictures that decoded as they should. Seconds, memory and `sandbox` are None where the
    decoder was not run; `not_enforced` names what the sandbox could not keep it from. `decoder_says` is the last line
    that the decoder printed; ours says there how its seconds split into entropy decoding, synthesis and PNG. It was
    run `runs` times; seconds and memory are the first run's.
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
    trial = Trial(decoder, data, profile, tuple(originals), options)
    runs: list[DecodeRun] = []
    digests: Mapping[str, str] = {}
    if not blocking:
        require_linux()
        require_box(decoder, options)
        for number in range(options.runs):
            title = f"{rate}: decoding" + (" again" if number else "")
            done, found, given = trial.run(title, threads=_other_threads(profile) if number else 0)
            other += _differences(digests, given) if number else found
            digests = digests or given
            runs.append(done)
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
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return 1 if min(available, profile.cpus) > 1 else 2


@dataclass(frozen=True)
class Trial:
    """A decoder and a data file that are going to be run, and what pictures are expected of them."""

    decoder: Path
    data: Path
    profile: Profile
    originals: Sequence[SourceImage]
    options: VerifyOptions

    def run(self, title: str, threads: int = 0) -> tuple[DecodeRun, list[Finding], dict[str, str]]:
        """One run, what is wrong with it, and the digests of the pictures that are as they should be, by name."""
        limit = self.profile.seconds if self.options.time_limit is None else self.options.time_limit
        limit *= self.profile.cpus if threads else 1  # so few threads may take longer than the rules allow
        disk = max(DISK_BYTES, _DISK_A_PIXEL * sum(image.pixels for image in self.originals))
        digests: dict[str, str] = {}
        with (
            scratch("clic-verify-") as folder,
            bar(title) as show,
        ):
            workdir = folder / "work"

            def count(seen: Path) -> None:
                show(len(pictures_in(seen)), len(self.originals))

            options = RunOptions(limit, disk_bytes=disk, threads=threads, tick=count)
            run = run_decoder(self.decoder, self.data, workdir, self.profile, options)
            findings = list(_run_findings(run, self.profile, limit))
            pictures = pictures_in(workdir)
            for original in self.originals:
                name = f"{original.name}.png"
                found = list(picture_findings(original, pictures.get(name, []), workdir))
                findings += found
                if not found:
                    digests[name] = pixels_digest(pictures[name][0])
                    if self.options.keep is not None and not threads:
                        write_atomic(self.options.keep / name, pictures[name][0].read_bytes())
        return run, findings, digests


def _differences(first: Mapping[str, str], second: Mapping[str, str]) -> Iterator[Finding]:
    """Pictures that a second run has not given again."""
    for name, digest in first.items():
        if second.get(name) != digest:
            yield Finding(
                "other pixels when decoded again" if name in second else "not given when decoded again",
                name,
                "the same picture in every run, with any number of threads",
                "fix seeds and threads, and compute what decides symbols in integers",
            )


def _last_line(output: str) -> str:
    lines = output.strip().splitlines()
    return lines[-1].strip()[:_SAYS_AT_MOST] if lines else ""


def _run_findings(run: DecodeRun, profile: Profile, time_limit: float | None) -> Iterator[Finding]:
    """What the run itself shows; a decoder that was stopped is not blamed for its exit code as well."""
    where = "./decode"
    limit = profile.seconds if time_limit is None else time_limit
    if run.stopped == "time":
        yield Finding(f"still running after {limit:g} s", where, f"an end within {limit:g} s", "use a faster model")
    elif run.stopped == "memory":
        yield Finding(
            f"took {run.peak_memory_bytes or 0:,} bytes of memory",
            where,
            f"at most {profile.memory_bytes:,}",
            "decode one picture, or one tile, after the other",
        )
    elif run.stopped == "disk":
        yield Finding("filled the disk", where, "what the pictures need", "write each picture once, and little else")
    elif run.stopped:
        yield Finding(f"started too many {run.stopped}", where, "a handful", "start one a processor")
    elif run.returncode != 0:
        last = " / ".join(line.strip() for line in run.output.splitlines()[-3:] if line.strip())
        yield Finding(
            f"ended with code {run.returncode}, and printed last: {last or 'nothing'}",
            where,
            "code 0",
            "mend the error that it prints",
        )

    for package in sorted(set(re.findall(r"No module named '(\w+)", run.output))):
        if run.returncode != 0:
            yield Finding(
                f"needs the package {package!r}",
                where,
                f"none but {', '.join(profile.packages)}, and what they require",
                "do without it, or pack it into decoder.zip",
            )
    if run.network:
        yield Finding("tried to reach the network", where, "a decoder that needs none", "leave that out")
    if run.outside:
        yield Finding(
            f"wrote outside its folder: {', '.join(run.outside)}",
            where,
            "files in its folder, or below TMPDIR",
            "write there",
        )
