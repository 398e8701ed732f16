"""`clic export`: the results in a folder for other programs and for papers."""

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from pathlib import Path

from harness.commands import options as shared

HELP = "give out the tables of a comparison or a submission: CSV, JSON, LaTeX, Markdown, or for Codec-Compare"


def add_arguments(parser: ArgumentParser) -> None:
    """The folder, the face, and which table."""
    parser.add_argument("directory", metavar="DIR", type=_results, help="folder of 'clic compare' or 'clic submit'")
    parser.add_argument("--to", choices=("codec-compare", "csv", "json", "latex", "markdown"), required=True)
    parser.add_argument(
        "--table",
        choices=("overview", "board", "bd-rates", "published", "images", "candidates"),
        help="default: the overview of a comparison, the board of a submission",
    )
    parser.add_argument(
        "--out",
        metavar="PATH",
        type=Path,
        help="file; default: standard output. For codec-compare a folder; default: DIR/codec-compare",
    )
    parser.add_argument(
        "--images", metavar="ORIGINALS", type=Path, help="codec-compare: the photographs, so that its viewer shows them"
    )


def run(options: Namespace) -> int:
    """Write the table, or the batches and where their list is."""
    from harness.errors import ClicError
    from harness.images import require_folder
    from harness.progress import log

    require_folder(options.directory, "the folder of a comparison or a submission")
    if options.to == "codec-compare":
        from leaderboard.codec_compare import export_batches

        if options.table:
            raise ClicError("--table: Codec-Compare takes all candidates; leave it out")
        print(export_batches(options.directory, options.out or options.directory / "codec-compare", options.images))
        log("serve this folder beside Codec-Compare, and open its index.html?load=PATH of this list")
        return 0
    from leaderboard.exported import export_table

    if options.images:
        raise ClicError("--images: only for --to codec-compare; leave it out")
    shared.give_out(export_table(options.directory, options.table, options.to), options.out)
    return 0


def _results(text: str) -> Path:
    """A folder's path. Raises ArgumentTypeError for a checkpoint, which this command took before version 0.2.0."""
    if text.endswith(".safetensors"):
        raise ArgumentTypeError(f"{text} is a checkpoint; 'clic weights export' makes it a shipped model")
    return Path(text)
