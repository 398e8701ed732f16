"""The server's container on this machine: what is in it, and what a decoder finds and lacks there.

Containers are built once, in the user's cache folder, from the package registry that pip is set up for. Where that
cannot be done these tests skip, and say why.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from helpers import photograph

from harness.challenge.archive import write_zip
from harness.challenge.container import (
    BUILT,
    CACHE_VARIABLE,
    build_container,
    container_findings,
    container_folder,
    find_container,
)
from harness.challenge.profiles import Profile, load_profile
from harness.challenge.sandbox import RunOptions, levels, run_decoder
from harness.challenge.sandbox.environment import Environment
from harness.errors import ClicError

SMALL = """extends = "clic2027"
[server]
requirements = ["numpy==1.26.4", "pillow"]
"""
Clic = Callable[..., subprocess.CompletedProcess[str]]


def built(profile: Profile) -> Environment:
    """The container of a profile, built where it is not yet; skips the test where that cannot be done."""
    try:
        return build_container(profile, "venv")
    except ClicError as error:
        pytest.skip(str(error))


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """Rules whose server has few packages."""
    path = tmp_path / "small.toml"
    path.write_text(SMALL)
    return path


@pytest.fixture
def small(rules: Path) -> Environment:
    """A container of few packages."""
    return built(load_profile(rules))


@pytest.fixture
def run(photographs: Path, rules: Path, tmp_path: Path, small: Environment, clic: Clic) -> Path:
    """A folder with a submission of the toy codec."""
    out = tmp_path / "run"
    options = ["--codec", "toy_codec:ToyCodec", "--rates", "0.4", "--profile", rules]
    done = clic("submit", photographs, "--out", out, *options)
    assert done.returncode == 0, done.stderr
    return out


def test_what_is_in_it(small: Environment, rules: Path) -> None:
    assert small.versions["python"].startswith("3.12.") and small.versions["numpy"] == "1.26.4"
    assert not small.versions.keys() & {"clic-harness", "torch", "pandas", "compressai"}
    assert list(container_findings(small, load_profile(rules))) == []
    assert [finding.what for finding in container_findings(small, load_profile("clic2027"))] == [
        "torch is missing",
        "range-coder is missing",
    ]


@pytest.mark.parametrize("level", ["bubblewrap", "namespaces", "landlock", "limits"])
def test_a_decoder_sees_its_packages_and_no_others(small: Environment, rules: Path, tmp_path: Path, level: str) -> None:
    if level not in levels():
        pytest.skip(f"no {level} here")
    script = """#!/usr/bin/env python3
import importlib.util, platform, numpy, PIL
names = [name for name in ("torch", "pandas", "harness", "pip", "packaging") if importlib.util.find_spec(name)]
print(platform.python_version(), numpy.__version__, PIL.__version__, names)
"""
    write_zip(tmp_path / "decoder.zip", {"decode": script.encode()})
    (tmp_path / "bs.zip").write_bytes(b"")
    options = RunOptions(60, level=level, environment=small)
    done = run_decoder(tmp_path / "decoder.zip", tmp_path / "bs.zip", tmp_path / "work", load_profile(rules), options)
    versions = small.versions
    assert done.output.strip() == f"{versions['python']} 1.26.4 {versions['pillow']} []", done.output


def test_verify_in_container(run: Path, photographs: Path, rules: Path, clic: Clic) -> None:
    verify = ["verify", run / "0.4", "--images", photographs, "--rate", "0.4", "--profile", rules, "--in-container"]
    done = clic(*verify)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the proof is in its store" in done.stderr
    told = clic("calendar", run, "--profile", rules, "--on", "2027-02-20").stdout
    assert f"clic verify {run}/0.4" not in told  # that is done
    (run / "0.4" / "images" / "alps.png").write_bytes((run / "0.4" / "images" / "beach.png").read_bytes())
    done = clic(*verify)
    assert done.returncode == 1 and "alps.png: other pixels in the container; expected the picture in" in done.stdout


def test_a_missing_package_is_named(run: Path, photographs: Path, rules: Path, clic: Clic) -> None:
    write_zip(run / "0.4" / "decoder.zip", {"decode": b"#!/usr/bin/env python3\nimport scipy.special\n"})
    verify = ["verify", run / "0.4", "--images", photographs, "--rate", "0.4", "--profile", rules, "--once"]
    done = clic(*verify, "--in-container")
    assert done.returncode == 1
    assert "./decode: needs the package 'scipy'; expected none but numpy==1.26.4, pillow, and" in done.stdout


def test_another_numpy_in_the_container_is_named(
    run: Path, photographs: Path, rules: Path, small: Environment, tmp_path: Path, clic: Clic
) -> None:
    cached = container_folder(load_profile(rules))
    copy = tmp_path / "cache" / cached.name
    shutil.copytree(cached, copy, symlinks=True)
    pip = [sys.executable, "-m", "pip", "--python", copy / "venv" / "bin" / "python3", "install", "-q", "--no-deps"]
    done = subprocess.run([*pip, "numpy==1.26.3"], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no other numpy to be had: {done.stderr[-200:]}")
    verify = ["verify", run / "0.4", "--images", photographs, "--rate", "0.4", "--profile", rules, "--in-container"]
    found = clic(*verify, **{CACHE_VARIABLE: str(tmp_path / "cache")})
    assert found.returncode == 1
    assert "container: numpy 1.26.3; expected numpy==1.26.4, as the server has; remove " in found.stdout


def test_what_is_not_there(rules: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    with pytest.raises(ClicError, match=r"no container of small on this machine .*: clic container build"):
        find_container(load_profile(rules))
    with pytest.raises(ClicError, match=r"nothing is known of the server's packages; add a table \[server\]"):
        find_container(load_profile("clic2021"))
    rules.write_text(SMALL.replace("3.12", "").replace("[server]", '[server]\npython = "3.99"'))
    with pytest.raises(ClicError, match=r"python3\.99, with its module venv, is not installed here"):
        build_container(load_profile(rules), "venv")
    rules.write_text(SMALL.replace("pillow", "pil low"))
    with pytest.raises(ClicError, match=r"requirement 'pil low' is none"):
        build_container(load_profile(rules), "venv")
    assert not list(tmp_path.glob(f"cache/*/{BUILT}"))


ENGINE = """#!/bin/bash
# A stand-in for docker: it notes what it is asked, and runs the decoder of the mounted folder.
echo "$@" >> "$ENGINE_LOG"
case "$1" in
  info|rm) exit 0 ;;
  build) cat >> "$ENGINE_LOG"; exit 0 ;;
esac
while [ $# -gt 0 ]; do
  case "$1" in
    --volume) cd "${2%%:*}"; shift ;;
    ./decode) PATH="$(dirname "$ENGINE_PYTHON"):$PATH" exec ./decode ;;
    python3.12) shift; exec "$ENGINE_PYTHON" "$@" ;;
  esac
  shift
done
"""


@pytest.fixture
def engine(small: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A stand-in for Docker on PATH, and its log; no real engine is asked for anything."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "docker").write_text(ENGINE)
    (folder / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("ENGINE_LOG", str(tmp_path / "log"))
    monkeypatch.setenv("ENGINE_PYTHON", str(small.python))
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    yield tmp_path / "log"


def test_an_engine_is_asked_for_the_limits(
    engine: Path, photographs: Path, rules: Path, tmp_path: Path, clic: Clic
) -> None:
    """What a real engine makes of it is not seen here: the stand-in only shows what it is asked."""
    assert clic("container", "build", "--profile", rules).stdout.startswith("by docker: clic-container-")
    asked = engine.read_text()
    assert "FROM ubuntu:24.04" in asked and "--break-system-packages 'numpy==1.26.4' 'pillow'" in asked
    options = ["--codec", "toy_codec:ToyCodec", "--rates", "0.4", "--profile", rules]
    assert clic("submit", photographs, "--out", tmp_path / "run", *options).returncode == 0
    verify = ["verify", tmp_path / "run" / "0.4", "--images", photographs, "--rate", "0.4", "--profile", rules]
    done = clic(*verify, "--in-container", "--once")
    assert done.returncode == 0, done.stdout + done.stderr
    [ran] = [line for line in engine.read_text().splitlines() if line.startswith("run --rm --name")]
    for limit in ("--network none", "--cpus 2", "--memory 12000000000", "--memory-swap 12000000000", "--cap-drop ALL"):
        assert limit in ran
    name = ran.split()[3]
    assert f"rm --force {name}" in engine.read_text() and "sandbox docker" in done.stderr


def test_the_engine_that_is_asked_for_builds_beside_another(
    engine: Path, small: Environment, rules: Path, clic: Clic
) -> None:
    """The stand-in for Docker on PATH is left alone until it is named, and named it is used."""
    cached = container_folder(load_profile(rules))
    cached.mkdir(parents=True)
    (cached / "venv").symlink_to(small.prefix)
    (cached / BUILT).write_text("{}")
    assert clic("container", "build", "--profile", rules).stdout.startswith("by venv: ")
    assert not engine.exists()
    done = clic("container", "build", "--profile", rules, "--engine", "docker")
    assert done.returncode == 0 and done.stdout.startswith(f"by docker: clic-{cached.name}\n"), done.stderr
    assert "build --tag" in engine.read_text()
    assert clic("container", "show", "--profile", rules).stdout.startswith("by docker: ")
    done = clic("container", "build", "--profile", rules, "--engine", "venv")
    assert done.stdout.startswith("by venv: ")
    there = cached / f"docker-{BUILT}"
    assert f"verify --in-container takes the one by docker; remove {there} to have it take this one" in done.stderr
    there.unlink()
    assert clic("container", "show", "--profile", rules).stdout.startswith("by venv: ")


@pytest.mark.slow
def test_our_decoder_in_the_container_of_2027(tmp_path: Path, start_clic: Callable[..., subprocess.Popen[str]]) -> None:
    """Python 3.12, torch 2.6.0, numpy 1.26.4: other symbols would break a stream's checks, pixels are compared."""
    container = built(load_profile("clic2027"))
    assert {name: container.versions[name] for name in ("torch", "numpy", "range-coder")} == {
        "torch": "2.6.0",
        "numpy": "1.26.4",
        "range-coder": "1.1",
    }
    images = tmp_path / "images"
    images.mkdir()
    for seed in range(2):
        photograph(seed, 240 + seed, 200).save(images / f"{seed}.png")

    def run(*arguments: object) -> str:
        process = start_clic(*arguments)
        said = process.communicate(timeout=900)
        assert process.returncode == 0, said
        return said[1]

    for codec in ("clic", "clic,context=checkerboard"):
        out = tmp_path / codec
        run("submit", images, "--out", out, "--rates", "0.5", "--codec", codec)
        said = run("verify", out / "0.5", "--images", images, "--rate", "0.5", "--in-container")
        assert "2 images decoded" in said and "the proof is in its store" in said
