"""`clic profiles`: the challenges whose rules are known, and where each rule comes from."""

import textwrap
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from harness.commands import options as shared

if TYPE_CHECKING:
    from harness.challenge.profiles import Profile

SOURCE_WIDTH = 100
HELP = "list the challenges whose rules are known, or explain one: each rule with its source"


def add_arguments(parser: ArgumentParser) -> None:
    """Which challenge, if one alone."""
    parser.add_argument("profile", metavar="NAME", nargs="?", help="one of them, or a .toml file; default: list all")
    shared.add_json(parser)


def run(options: Namespace) -> int:
    """Print a challenge a line, or a rule of one a line. Raises ClicError for one that there is not."""
    from harness.challenge.profiles import load_profile, newest_profile, profile_names
    from harness.files import as_json

    names = [options.profile] if options.profile else profile_names()
    profiles = [load_profile(name) for name in names]
    if options.json:
        print(as_json(profiles[0] if options.profile else {profile.name: profile for profile in profiles}), end="")
    elif options.profile:
        _explain(profiles[0])
    else:
        for profile in profiles:
            newest = "; the newest: taken without --profile" if profile.name == newest_profile() else ""
            rates = ", ".join(map(str, profile.rates))
            print(f"{profile.name}  {profile.title}: {rates} bits per pixel; {_machines(profile)}{newest}")
    return 0


def _machines(profile: "Profile") -> str:
    return " | ".join(profile.on(track).describe_machine() for track in profile.track) or profile.describe_machine()


def _explain(profile: "Profile") -> None:
    """Each rule with its value, and below it how it is known."""
    print(f"{profile.name}: {profile.title}\n")
    for key, value in _rules(profile).items():
        source = profile.source.get(key) or profile.source.get(key.partition(".")[0]) or "no source is given"
        print(f"{key} = {value}")
        print(textwrap.fill(source, SOURCE_WIDTH, initial_indent="    ", subsequent_indent="    "))


def _rules(profile: "Profile") -> dict[str, str]:
    """All rules as text, those of tables by `table.key`."""
    rules = {
        "rates": ", ".join(map(str, profile.rates)) + " bits per pixel",
        "rounding": f"{profile.rounding}(rate x pixels / 8) bytes for the whole set",
        "data_file": profile.data_file,
        "container": f"a zip with the member {profile.payload}" if profile.container == "zip" else "none",
        "decoder_bytes": f"{profile.decoder_bytes:,} at most, packed",
        "seconds": f"{profile.seconds:,} at most for decoding one data file",
        "memory_bytes": f"{profile.memory_bytes:,}",
        "cpus": f"{profile.cpus}",
        "packages": ", ".join(profile.packages) + ", and what they require",
        "network": "none",
    }
    for track in profile.track:
        rules[f"track.{track}"] = profile.on(track).describe_machine().partition(": ")[2]
    if profile.variants:
        rules["variants"] = f"{profile.variants} decoders a team at most"
    if profile.slowest_share:
        rules["slowest_share"] = f"{profile.slowest_share:g} of a track, the slowest, wins no prize"
    if profile.server:
        rules["server"] = f"Python {profile.server.python} with {', '.join(profile.server.requirements)}"
    if profile.dates:
        rules |= {f"dates.{key}": text for key, text in vars(profile.dates).items()}
    return rules
