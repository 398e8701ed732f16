"""`clic container`: the server's Python and packages on this machine, for 'clic verify --in-container'."""

from argparse import ArgumentParser, Namespace

from harness.commands import options as shared

HELP = "build, or show, the server's Python and packages on this machine, in which 'clic verify --in-container' decodes"


def add_arguments(parser: ArgumentParser) -> None:
    """What to do, for which challenge, by what."""
    parser.add_argument("what", choices=("build", "show"))
    shared.add_profile(parser)
    parser.add_argument(
        "--engine",
        choices=("docker", "podman", "venv"),
        help="what to build it with; default: Docker or podman where one runs, else a virtual environment",
    )
    parser.add_argument("--python", metavar="FILE", help="the interpreter that a virtual environment is made of")


def run(options: Namespace) -> int:
    """Build where needed and print what is in it; 1 where that is not what the server has. Raises ClicError."""
    from harness.challenge.container import build_container, container_findings, find_container

    profile, _ = shared.read_rules(options)
    if options.what == "build":
        environment = build_container(profile, options.engine, options.python)
    else:
        environment = find_container(profile)
    print(f"by {environment.engine or 'venv'}: {environment.image or environment.prefix}")
    for package, version in sorted(environment.versions.items()):
        print(f"{package} {version}")
    found = list(container_findings(environment, profile))
    for finding in found:
        print(f"- {finding}")
    return 1 if found else 0
