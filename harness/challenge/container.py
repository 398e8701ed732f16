"""The server's container on this machine: the Python and the packages that a challenge's profile says it has.

It is an image where Docker or podman runs, else a virtual environment, which has this machine's system below Python. It
lies in the user's cache folder, one for each list of packages, and is built once. What a decoder needs beside the list
is then missing as it would be on the server.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from harness.challenge.findings import Finding
from harness.challenge.profiles import Profile, Server
from harness.challenge.sandbox.environment import Environment, normal_name, read_environment
from harness.errors import ClicError
from harness.files import as_json, sha256, write_atomic
from harness.locks import exclusive
from harness.programs import last_lines
from harness.progress import log

CACHE_VARIABLE = "CLIC_CACHE"
ENGINES = ("docker", "podman")
VENV = "venv"
BUILT = "container.json"  # written last, so that its folder is whole
BUILD_SECONDS = 3600
CONTAINERFILE = """FROM {image}
RUN apt-get update && apt-get install -y --no-install-recommends python{python} python3-pip
RUN python{python} -m pip install --no-cache-dir --break-system-packages {requirements}
"""


def container_folder(profile: Profile) -> Path:
    """Where the container of a profile's packages lies, built or not. Raises ClicError where none are known."""
    cache = os.environ.get(CACHE_VARIABLE) or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "clic"
    return Path(cache) / f"container-{sha256(as_json(_server(profile)).encode())[:12]}"


def find_container(profile: Profile, engine: str | None = None) -> Environment:
    """The container of a profile that was built here, by `engine` where one is named. Raises ClicError without one."""
    folder = container_folder(profile)
    found = _first_built(folder, (*ENGINES, VENV) if engine is None else (engine,))
    if not found:
        raise ClicError(f"no container of {profile.name} on this machine ({folder}); build it: clic container build")
    if found == VENV:
        return read_environment(folder / VENV / "bin" / "python3")
    return read_environment(Path(f"python{_server(profile).python}"), found, _image(folder))


def build_container(profile: Profile, engine: str | None = None, python: str | None = None) -> Environment:
    """Build the container unless it is there; `engine` is one of ENGINES or VENV, by default what runs here.

    `python` is the interpreter that a virtual environment is made of, by default one of the right version on PATH.
    What another engine built stays, and a line says so where it is what `verify` takes. Raises ClicError where it
    cannot be done.
    """
    server, folder = _server(profile), container_folder(profile)
    with exclusive(folder):
        try:
            return _told(profile, engine)
        except ClicError:
            engine = engine or next(filter(_runs, ENGINES), VENV)
        log(
            f"{folder}: building Python {server.python} with {', '.join(server.requirements)} by {engine}; some minutes"
        )
        if engine == VENV:
            _build_venv(server, folder / VENV, python)
        else:
            content = CONTAINERFILE.format(
                image=server.image, python=server.python, requirements=" ".join(f"'{r}'" for r in server.requirements)
            )
            _run([engine, "build", "--tag", _image(folder), "-"], content)
        write_atomic(_built(folder, engine), as_json(server).encode())
        return _told(profile, engine)


def _told(profile: Profile, engine: str | None) -> Environment:
    """The container that an engine built; a line says where `verify` takes that of another. Raises ClicError."""
    asked, folder = find_container(profile, engine), container_folder(profile)
    taken = _first_built(folder, (*ENGINES, VENV))
    if taken != (asked.engine or VENV):
        log(f"verify --in-container takes the one by {taken}; remove {_built(folder, taken)} to have it take this one")
    return asked


def _first_built(folder: Path, engines: Sequence[str]) -> str:
    """The first of some engines, or VENV, whose container is whole; empty where none is."""
    return next((engine for engine in engines if _built(folder, engine).exists()), "")


def _built(folder: Path, engine: str) -> Path:
    """The file that says that an engine's container is whole."""
    return folder / (BUILT if engine == VENV else f"{engine}-{BUILT}")


def container_findings(environment: Environment, profile: Profile) -> Iterator[Finding]:
    """What the container on this machine has otherwise than the profile says."""
    for text in _server(profile).requirements:
        requirement = Requirement(text)
        found = environment.versions.get(normal_name(requirement.name))
        if found is None or not requirement.specifier.contains(found, prereleases=True):
            yield Finding(
                f"{requirement.name} {found or 'is missing'}",
                "container",
                f"{text}, as the server has",
                f"remove {container_folder(profile)} and build it again: clic container build",
            )
    python, found = _server(profile).python, environment.versions["python"]
    if not f"{found}.".startswith(f"{python}."):
        yield Finding(f"Python {found}", "container", f"Python {python}", "build it again: clic container build")


def _server(profile: Profile) -> Server:
    """What the profile says of the container. Raises ClicError where it says nothing, or no requirements of pip."""
    if profile.server is None:
        raise ClicError(
            f"profile {profile.name}: nothing is known of the server's packages; add a table [server] to it"
        )
    for text in profile.server.requirements:
        try:
            Requirement(text)
        except InvalidRequirement as error:
            raise ClicError(
                f"profile {profile.name}: requirement {text!r} is none ({error}); write NAME==1.0"
            ) from error
    return profile.server


def _build_venv(server: Server, folder: Path, python: str | None) -> None:
    """A virtual environment without pip, filled by the pip of this installation."""
    base = python or find_python(server.python)
    _run([base, "-m", "venv", "--clear", "--without-pip", str(folder)])
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python3"), "--disable-pip-version-check"]
    _run([*pip, "install", "--quiet", "--only-binary", ":all:", *server.requirements])


def find_python(version: str) -> str:
    """An interpreter of that version, such as "3.12", on PATH or of pyenv. Raises ClicError where there is none."""
    name = f"python{version}"
    pyenv = sorted(
        Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv").glob(f"versions/{version}.*/bin/{name}")
    )
    for found in (shutil.which(name), *map(str, reversed(pyenv))):
        if found and _starts([found, "-c", "import ensurepip, venv"]):
            return found
    raise ClicError(f"{name}, with its module venv, is not installed here; install it, or name one by --python")


def _runs(engine: str) -> bool:
    """Whether an engine is installed and answers; the program alone is not enough."""
    return shutil.which(engine) is not None and _starts([engine, "info"])


def _starts(command: Sequence[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=30, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _run(command: Sequence[str], given: str = "") -> None:
    """Run a step of the build. Raises ClicError with the last lines that it prints."""
    try:
        done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ClicError(f"container: {' '.join(command[:3])} failed ({error}); mend that and build again") from error
    if done.returncode:
        said = last_lines(done.stderr or done.stdout)
        raise ClicError(f"container: {' '.join(command[:3])} failed ({said}); mend that and build again")


def _image(folder: Path) -> str:
    return f"clic-{folder.name}"
