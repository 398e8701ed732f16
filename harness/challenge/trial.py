"""One run of a decoder on a data file, and what is wrong with the run and the pictures that it gave."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.challenge.expected import Expected
from harness.challenge.findings import Finding
from harness.challenge.pictures import extra_findings, picture_findings, pictures_in, pixels_digest
from harness.challenge.profiles import Profile
from harness.challenge.sandbox import DISK_BYTES, DecodeRun, RunOptions, run_decoder
from harness.challenge.sandbox.environment import Environment
from harness.files import write_atomic
from harness.images import SourceImage
from harness.progress import bar, escaped
from harness.scratch import scratch

_LINE = 140  # letters of a line that a decoder printed
_PACKAGES = 5  # that are said to be needed
_DISK_A_PIXEL = 16  # bytes: raw RGB, PNG, and as much again for what lies between


@dataclass(frozen=True)
class VerifyOptions:
    """How a submission is verified: seconds a run (by default the profile's), where good pictures go as NAME.png.

    `trusted` says that the decoder was packed by this installation, `unsafe` that it may run without a box all the
    same. It is run `runs` times, once or twice: the second time with another number of threads, to see whether it
    gives the same pictures. `honest` asks whether the pictures come from the data file alone (see honest.py), with
    `other_data`, a data file of other images, or the right one shuffled. Any other decoder than the one that is
    `expected` is a finding. It runs with this interpreter's packages, or in an `environment` apart.
    """

    time_limit: float | None = None
    keep: Path | None = None
    trusted: bool = False
    unsafe: bool = False
    runs: int = 1
    honest: bool = False
    other_data: Path | None = None
    expected: Expected | None = None
    environment: Environment | None = None


@dataclass(frozen=True)
class Trial:
    """A decoder and a data file that are going to be run, and what pictures are expected of them."""

    decoder: Path
    data: Path
    profile: Profile
    originals: Sequence[SourceImage]
    options: VerifyOptions

    @property
    def packages(self) -> Sequence[str]:
        """What the decoder finds beside Python."""
        server = self.profile.server
        return server.requirements if self.options.environment and server else self.profile.packages

    def run(
        self, title: str, threads: int = 0, look: Callable[[Path], None] = lambda folder: None
    ) -> tuple[DecodeRun, list[Finding], dict[str, str]]:
        """One run, what is wrong with it, and the digests of the pictures that are as they should be, by name.

        `look` gets the decoder's folder after the run, before it is removed.
        """
        limit = self.profile.seconds if self.options.time_limit is None else self.options.time_limit
        limit *= self.profile.cpus if threads else 1  # so few threads may take longer than the rules allow
        disk = max(DISK_BYTES, _DISK_A_PIXEL * sum(image.pixels for image in self.originals))
        digests: dict[str, str] = {}
        with (
            scratch("verify") as folder,
            bar(title) as show,
        ):
            workdir = folder / "work"

            def count(seen: Path) -> None:
                show(len(pictures_in(seen)), len(self.originals))

            options = RunOptions(
                limit, disk_bytes=disk, threads=threads, tick=count, environment=self.options.environment
            )
            run = run_decoder(self.decoder, self.data, workdir, self.profile, options)
            findings = list(_run_findings(run, self.profile, limit, self.packages))
            look(workdir)
            pictures = pictures_in(workdir)
            findings += extra_findings(workdir, run.left_out, {f"{original.name}.png" for original in self.originals})
            for original in self.originals:
                name = f"{original.name}.png"
                found = list(picture_findings(original, pictures.get(name, []), workdir, run.left_out))
                findings += found
                if not found:
                    digests[name] = pixels_digest(pictures[name][0])
                    if self.options.keep is not None and not threads:
                        write_atomic(self.options.keep / name, pictures[name][0].read_bytes())
        return run, findings, digests


def _run_findings(
    run: DecodeRun, profile: Profile, time_limit: float | None, packages: Sequence[str]
) -> Iterator[Finding]:
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
        last = " / ".join(escaped(line.strip(), _LINE) for line in run.output.splitlines()[-3:] if line.strip())
        yield Finding(
            f"ended with code {run.returncode}, and printed last: {last or 'nothing'}",
            where,
            "code 0",
            "mend the error that it prints",
        )

    for package in sorted(set(re.findall(r"No module named '(\w+)", run.output)))[:_PACKAGES]:
        if run.returncode != 0:
            yield Finding(
                f"needs the package {package!r}",
                where,
                f"none but {', '.join(packages)}, and what they require",
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
