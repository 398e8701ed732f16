"""`clic pack`: selected candidates as a submission, without decoding it."""

from argparse import ArgumentParser, Namespace

from harness.commands import options as shared

HELP = "select and write decoder.zip and data file to DIR/RATE"


def add_arguments(parser: ArgumentParser) -> None:
    """The candidates, the rate, and the rules."""
    shared.add_candidates(parser, "folder of a run, or a candidates.csv beside its streams")
    shared.add_whose(parser, "the only codec that there is")
    parser.add_argument("--rate", metavar="BPP", required=True, help="bits per pixel of the whole set")
    parser.add_argument("--out", metavar="DIR", type=shared.folder, required=True)
    shared.add_profile(parser)
    shared.add_variant(parser)
    shared.add_expect_decoder(parser)
    shared.add_objective(parser)


def run(options: Namespace) -> int:
    """Pack, and print the submission's folder; 1 where the set cannot reach the rate. Raises ClicError."""
    from dataclasses import replace

    from harness.candidates import COLUMNS
    from harness.challenge.pack import RateUnreachable, pack, set_pixels
    from harness.challenge.profiles import Target
    from harness.codecs.registry import open_submittable
    from harness.errors import ClicError
    from harness.locks import exclusive
    from harness.progress import log
    from harness.rates import Rate
    from harness.store import open_store
    from harness.sweep.table import find_codecs, read_candidates, with_scores

    path, rate = options.candidates, Rate.parse(options.rate)
    table = read_candidates(path)
    missing = [name for name in COLUMNS if name not in table]
    if missing or table.empty:
        lacking = f"no column {', '.join(missing)}" if missing else "no rows"
        raise ClicError(f"{path}: {lacking}; give a candidates.csv as 'clic encode' writes it, or the folder of a run")
    candidates, spec = find_codecs(table, path, options.codec)
    run_folder = path if path.is_dir() else path.parent
    if path.is_dir():
        with open_store(path, write=False) as store:
            candidates = with_scores(candidates, store, options.objective)
    expected = shared.read_expect_decoder(options)
    profile, _ = shared.read_rules(options, expected)
    target = Target(profile, rate, set_pixels(candidates))
    with exclusive(options.out):
        try:
            packed = pack(candidates, open_submittable(spec), run_folder, target, options.objective)
        except RateUnreachable as error:
            log(str(error))
            return 1
        if expected:
            packed = replace(packed, decoder=expected.sent(packed.decoder))
        packed.write(options.out / str(rate))
    selection = packed.selection
    log(f"{rate}: {selection.bytes} of {selection.budget} bytes, {selection.objective} {selection.score:.6f}")
    print(options.out / str(rate))
    return 0
