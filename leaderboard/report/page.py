"""The report: one HTML file that holds all that it shows, with or without a network.

A page is made from a `Report` alone, by `write_page`; `write_report` makes one of a run's files.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.files import write_atomic
from leaderboard import units
from leaderboard.report import pictures, plots, sections
from leaderboard.report.environment import environment
from leaderboard.report.findings import finding, rival_of
from leaderboard.report.model import Report, Version
from leaderboard.report.paired_plot import paired_plot
from leaderboard.report.run import report_of_run
from leaderboard.results import read_results

NAME = "report.html"
MODES = (("split", "Split"), ("a", "A"), ("b", "B"), ("original", "Original"), ("difference", "Difference"))
PAIRED_WIDTHS = {"wide": 980, "narrow": 350}


def version_key(version: Version) -> str:
    """A version as the page's address spells it: `avif@0.15`."""
    return f"{version[0]}@{units.rate_name(version[1])}"


def _version_label(report: Report, version: Version) -> str:
    rate = f"{units.rate_name(version[1])} bpp"
    return rate if len(report.entrants) == 1 else f"{version[0]}, {rate}"


def _first_shown(report: Report, versions: Sequence[Version]) -> tuple[str, str]:
    """The subject beside the best of the others at the middle rate; alone, beside the original."""
    subject, rate = report.entrants[0], report.middle_rate
    rival = rival_of(report, rate)
    own = version_key((subject, rate) if (subject, rate) in versions else versions[0])
    return (own, version_key((rival, rate))) if rival and (rival, rate) in versions else ("original", own)


def _viewer(report: Report, views: Sequence[pictures.View], store: pictures.Store) -> dict[str, Any]:
    """What `viewer.js` reads: the photographs with the places of their pictures, and what is shown at first."""
    versions = [(entrant, rate) for entrant in report.entrants for rate in report.rates]
    versions = [version for version in versions if any(version in view.decoded for view in views)]
    rows = {(row.image, row.entrant, row.rate): row for row in report.scores.itertuples()}

    def place(shown: pictures.Shown) -> str:
        return f"#{shown.whole.key}" if shown.whole.key in store.held else store.address(shown.whole.key)

    def says(name: str, version: Version) -> str:
        row = rows.get((name, *version))
        if row is None:
            return ""
        score = f"MS-SSIM {units.fixed(row.msssim_competition, 5)}, PSNR {units.fixed(row.psnr, 2)} dB"
        return f"point {row.point}, {units.integer(row.bytes)} bytes, {units.fixed(row.bpp, 4)} bpp, {score}"

    photographs = [
        {
            "name": view.photograph.name,
            "width": view.width,
            "height": view.height,
            "versions": {"original": {"place": place(view.original), "says": view.photograph.note}}
            | {
                version_key(version): {"place": place(shown), "says": says(view.photograph.name, version)}
                for version, shown in view.decoded.items()
            },
        }
        for view in views
    ]
    labels = {"original": "Original"} | {version_key(version): _version_label(report, version) for version in versions}
    a, b = _first_shown(report, versions)
    return {"photographs": photographs, "labels": labels, "defaults": {"a": a, "b": b}}


def write_page(report: Report, path: Path, progress: Callable[[int, int], None] | None = None) -> Path:
    """Write a report to `path`, and its pictures beside it where the page would exceed 30 MB with them.

    `progress`, where given, is called after each photograph with how many are done, and of how many. Raises ClicError
    for originals and decoded images that are missing or do not fit together; an earlier page then stays as it was.
    """
    store = pictures.Store(path.parent)
    views = pictures.view_all(report.photographs, store, progress)
    megapixels = sum(view.width * view.height for view in views) / 1e6
    page = (
        environment()
        .get_template("report.html.j2")
        .render(
            report=report,
            finding=finding(report),
            megapixels=megapixels,
            board=sections.board(report),
            image_table=sections.images(report),
            bd_matrices=sections.bd_matrices(report),
            measures=plots.TITLES,
            paired=sections.paired(report),
            paired_plots={name: paired_plot(report.paired, width) for name, width in PAIRED_WIDTHS.items()},
            encoding=sections.encoding(report),
            decoding=sections.decoding(report, megapixels),
            archived=sections.archived(report),
            boxes=sections.boxes(report.selected),
            plots=plots.rd_plots(report),
            legend=plots.legend(report),
            views=views,
            store=store,
            data_uri=pictures.data_uri,
            viewer=_viewer(report, views, store),
            version_key=version_key,
            version_label=lambda version: _version_label(report, version),
            links=[(about, pictures.relative(target, path.parent)) for about, target in report.links],
            relative=lambda target: pictures.relative(target, path.parent),
            rows={(row.image, row.entrant, row.rate): row for row in report.scores.itertuples()},
            pictures_folder=pictures.FOLDER,
            modes=MODES,
        )
    )
    write_atomic(path, page.encode())
    store.clear_old()
    return path


def write_report(
    results: Path, originals: Mapping[str, Path], progress: Callable[[int, int], None] | None = None
) -> Path:
    """Write `report.html` into the run's folder `results` and return its path.

    `originals` maps each image's name to its file. Raises ClicError for result files, originals or decoded images that
    are missing or do not fit together; an earlier report then stays as it was.
    """
    return write_page(report_of_run(read_results(results), originals), results / NAME, progress)
