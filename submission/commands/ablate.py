"""`clic ablate`: a study of quantisation, run after run, and its tables."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from harness.commands import options as shared

HELP = "train and code the cells of a quantisation study, and make its tables"
TABLES = "tables"
PARTS = {
    "rows": "rows alone, as T1,S",
    "questions": "what these primary questions rest on alone, as P3",
    "networks": "runs of these networks alone, as F,J",
}
"""Lists by which a part of a study is asked for."""


def add_arguments(parser: ArgumentParser) -> None:
    """A study with crops, images and folder; or `tables` and a folder."""
    parser.add_argument(
        "study", metavar="STUDY", help="'full', 'quick' or a .toml file; or 'tables', to make those of DIR anew"
    )
    parser.add_argument("folder", metavar="DIR", nargs="?", type=Path, help="of 'tables': the folder of a study")
    parser.add_argument("--check", action="store_true", help="of 'tables': write nothing, exit 1 where a digit differs")
    parser.add_argument(
        "--from",
        dest="others",
        metavar="OTHER",
        type=Path,
        nargs="+",
        action="extend",
        default=[],
        help="of 'tables': take the measurements of other folders into DIR first, as of rows that ran elsewhere",
    )
    parser.add_argument("--data", metavar="CROPS", type=Path, help="folder of training crops")
    parser.add_argument(
        "--images",
        metavar="FOLDER",
        type=Path,
        nargs="+",
        action="extend",
        default=[],
        help="photographs to code with every network; those of further folders with the networks of T1 alone",
    )
    parser.add_argument(
        "--out", metavar="DIR", type=shared.folder, help="folder of the study; one that was interrupted goes on there"
    )
    parser.add_argument("--jobs", metavar="N", type=shared.positive_int, default=2, help="processes; default: 2")
    for name, help_text in PARTS.items():
        parser.add_argument(f"--{name}", metavar=name.upper(), type=shared.comma_list, default=[], help=help_text)
    parser.add_argument(
        "--train-only",
        action="store_true",
        help="code nothing yet, as on a machine with a GPU: the same command without this codes DIR's networks",
    )
    parser.add_argument("--seeds", metavar="SEEDS", type=_seeds, default=[], help="instead of the study's, as 4,5")


def run(options: Namespace) -> int:
    """Do what is missing, and the tables; print where they are."""
    from harness.errors import ClicError
    from harness.images import require_folder
    from harness.progress import log
    from submission.study.tables import write_tables

    if options.study == TABLES:
        if options.folder is None:
            raise ClicError("tables: give the folder of a study, as in 'clic ablate tables DIR'")
        if options.others:
            if options.check:
                raise ClicError("tables: --check writes nothing, --from does; give one of them")
            from submission.study.join import join

            join(options.folder, options.others)
        return write_tables(options.folder, options.check)
    needed = ("data", "out") if options.train_only else ("data", "images", "out")
    missing = [f"--{name}" for name in needed if not getattr(options, name)]
    if missing or options.folder or options.check or options.others:
        wrong = f"needs {', '.join(missing)}" if missing else "takes no DIR, --check and --from; these are of 'tables'"
        raise ClicError(f"study {options.study!r} {wrong}")
    require_folder(options.data, "a folder of training crops")  # before torch takes its seconds
    for folder in options.images:
        require_folder(folder, "a folder of photographs")
    from submission.study.gradients import FILE
    from submission.study.plan import read_study
    from submission.study.request import Request
    from submission.study.run import run_study
    from submission.study.runs import read_runs

    request = Request(
        options.data,
        tuple(options.images),
        options.out,
        options.jobs,
        rows=tuple(options.rows),
        seeds=tuple(options.seeds),
        questions=tuple(options.questions),
        networks=tuple(options.networks),
        train_only=options.train_only,
    )
    table = run_study(read_study(options.study), request)
    if options.train_only:
        print(options.out / "networks")
        return 0
    if request.gradients_alone and not read_runs(table):
        log("no tables yet: nothing is coded; 'clic ablate tables OTHER --from DIR' takes gradients to a study's runs")
        print(options.out / FILE)
        return 0
    print(table)
    return write_tables(options.out, check=False)


def _seeds(text: str) -> list[int]:
    return [shared.positive_int(part) for part in shared.comma_list(text)]
