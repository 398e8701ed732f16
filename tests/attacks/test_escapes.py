"""What a decoder tries to get out, at every level that this machine offers, as root and as an ordinary user."""

import json
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from attacks.sound import Submission
from attacks.test_attacks import alive, listing
from helpers import TESTS

from harness.challenge.profiles import load_profile
from harness.challenge.sandbox import RunOptions, run_decoder
from harness.challenge.sandbox.view import view

PROJECT = TESTS.parent
USER = "clic-escape"
# Tries everything, goes on whatever happens, and tells what it could do.
ESCAPES = """#!/usr/bin/env python3
import json, os, signal, socket, subprocess, sys, threading, zipfile

zipfile.ZipFile("bs.zip").extractall("images")
told = {}


def attempt(name, action):
    try:
        told[name] = bool(action())
    except Exception as error:
        told[name] = False


def write(folder):
    path = os.path.join(folder, TOKEN)
    with open(path, "w") as file:
        file.write("out")
    return True


for folder in FOLDERS:
    attempt("write " + folder, lambda: write(folder))
attempt("write parent", lambda: write(".."))
attempt("read originals", lambda: open(ORIGINAL, "rb").read(8) == b"\\x89PNG\\r\\n\\x1a\\n")
attempt("read shadow", lambda: open("/etc/shadow").read())
attempt("read project", lambda: open(PROJECT + "/pyproject.toml").read())
attempt("change precious", lambda: open(PRECIOUS, "a").write("x"))
attempt("remove precious", lambda: os.remove(PRECIOUS) is None)
attempt("change a package", lambda: open(__import__("numpy").__file__, "a").write("x"))
attempt("loopback of the host", lambda: socket.create_connection(("127.0.0.1", PORT), 2))
attempt("see the parent", lambda: b"harness" in open(f"/proc/{HARNESS}/cmdline", "rb").read())
attempt("kill the parent", lambda: os.kill(HARNESS, signal.SIGTERM) is None)
attempt("environment of the parent", lambda: open(f"/proc/{HARNESS}/environ", "rb").read())
attempt("core pattern", lambda: open("/proc/sys/kernel/core_pattern", "a").write(""))
def runs(*command):
    return subprocess.run(command, capture_output=True).returncode == 0


attempt("mount", lambda: runs("mount", "-t", "tmpfs", "none", "/mnt"))
attempt("mount in a user namespace", lambda: runs("unshare", "-Urm", "mount", "-t", "tmpfs", "none", "/home"))
status = open("/proc/thread-self/status" if os.path.exists("/proc/thread-self/status") else "/proc/self/status")
sets = [line.split() for line in status if line.startswith(("CapPrm:", "CapEff:", "CapAmb:"))]
told["capabilities"] = any(int(bits, 16) for name, bits in sets)
subprocess.Popen(["sleep", LONG], start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print(json.dumps(told))
"""
DRIVER = """
import json, sys
from dataclasses import asdict
from pathlib import Path
from harness.challenge.profiles import load_profile
from harness.challenge.sandbox import RunOptions, levels, run_decoder
folder, work, rules = map(Path, sys.argv[1:4])
tried = []
for level in levels():
    if level != "limits":
        options = RunOptions(60, level, disk_bytes=50_000_000)
        run = run_decoder(folder / "decoder.zip", folder / "bs.zip", work / level, load_profile(str(rules)), options)
        tried.append(asdict(run))
print(json.dumps(tried))
"""


@pytest.fixture(params=["root", "ordinary user"])
def identity(request: pytest.FixtureRequest) -> Iterator[str]:
    """Who runs the harness: a name to switch to, or nobody else than now."""
    if request.param == "root":
        if os.geteuid() != 0:
            pytest.skip("not root")
        yield ""
    elif os.geteuid() != 0:
        yield ""
    else:
        if not shutil.which("useradd"):
            pytest.skip("no useradd")
        subprocess.run(["useradd", "--create-home", USER], check=True)
        yield USER
        subprocess.run(["userdel", "--remove", USER], check=True, capture_output=True)


@pytest.fixture
def place() -> Iterator[Path]:
    """An empty folder that everybody may enter; pytest closes those that it makes whenever it is started anew."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def prepare(tmp_path: Path, user: str) -> tuple[dict[str, str], list[str]]:
    """Environment and command with which a user can run this installation; root's home is closed to all others."""
    # Without bytecode files, which would be written beside the sources and look like an escape.
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(PROJECT),
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    if not user:
        return environment, [sys.executable]
    account, version = pwd.getpwnam(user), f"python3.{sys.version_info[1]}"
    switch = ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
    environment |= {"HOME": account.pw_dir, "USER": user}
    for python in (Path(sys.base_prefix, "bin", version), Path("/usr/bin", version)):
        test = [*switch, str(python), "-c", f"import sys; assert sys.base_prefix == {str(python.parents[1])!r}"]
        if python.exists() and subprocess.run(test, check=False, capture_output=True, cwd="/").returncode == 0:
            break
    else:
        pytest.skip(f"no {version} that others can run")
    # An environment of its own, where everybody can read it, with the same packages.
    subprocess.run([python, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    packages = tmp_path / "venv" / "lib" / version / "site-packages"
    for source, target in view(("torch", "numpy", "pillow", "packaging")).packages:
        (packages / Path(target).name).symlink_to(source)
    return environment, [*switch, str(tmp_path / "venv" / "bin" / version)]


def test_escapes(place: Path, identity: str) -> None:
    submission, token = Submission(place / "case"), f"clic-escape-{os.getpid()}"
    work = place / "work"
    work.mkdir()
    work.chmod(0o777)
    home = pwd.getpwnam(identity).pw_dir if identity else str(Path.home())
    folders = ["/", "/tmp", "/var/tmp", "/dev/shm", home, str(PROJECT), str(submission.originals), str(place)]
    environment, command = prepare(place, identity)
    submission.outside.chmod(0o777)
    (submission.outside / "precious").chmod(0o666)
    with socket.create_server(("127.0.0.1", 0)) as server:
        known = {
            "TOKEN": token,
            "LONG": f"88.{os.getpid()}",
            "FOLDERS": folders,
            "ORIGINAL": str(submission.originals / "one.png"),
            "PROJECT": str(PROJECT),
            "PRECIOUS": str(submission.outside / "precious"),
            "PORT": server.getsockname()[1],
        }
        lines = "".join(f"{name} = {value!r}\n" for name, value in known.items())
        # The driver's number is known once it runs: the decoder looks for it in a file that lies beside it.
        program = ESCAPES.replace("told = {}\n", "told = {}\nHARNESS = int(open('harness').read())\n" + lines)
        waiting = place / "go"
        driver = (
            f"import os, time, pathlib\nwhile not pathlib.Path({str(waiting)!r}).exists(): time.sleep(0.05)\n{DRIVER}"
        )
        process = subprocess.Popen(
            [*command, "-c", driver, submission.folder, work, submission.rules],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=place,
        )
        submission.decode(program, {"harness": str(process.pid).encode()})
        kept = (place / "case", PROJECT / "harness", PROJECT / "tests" / "attacks")
        before = listing(*kept)
        waiting.touch()
        output, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors[-3000:]
    runs = json.loads(output)
    assert runs, "no level works here"
    left = {folder for folder in (*folders, str(work)) if (Path(folder) / token).exists()}
    (Path("/dev/shm") / token).unlink(missing_ok=True)
    assert left <= ({"/dev/shm"} if any("files in /dev/shm" in run["not_enforced"] for run in runs) else set())
    for run in runs:
        level = run["level"]
        assert run["returncode"] == 0 and run["stopped"] == "", run
        told = json.loads(run["output"].splitlines()[-1])
        done = {what for what, could in told.items() if could}
        if level == "landlock":
            # It says so itself; the rest has to hold there too.
            open_there = {"write /dev/shm"} if "files in /dev/shm" in run["not_enforced"] else set()
            assert done <= open_there, (level, done)
        else:
            # A private root is there to be written to, and is gone afterwards.
            assert {what for what in done if not what.startswith("write ")} == set(), (level, done)
            assert any(token in path for path in run["outside"]), run["outside"]
    assert listing(*kept) == before
    assert not alive(f"sleep 88.{os.getpid()}")


def test_a_daemon_ends_with_a_harness_that_is_killed(tmp_path: Path) -> None:
    """SIGKILL leaves the harness no time to do anything."""
    submission = Submission(tmp_path)
    words = f"sleep 99.{os.getpid()}"
    submission.then(f"setsid {words} & {words}")
    (tmp_path / "work").mkdir()
    driver = DRIVER.replace('!= "limits"', "in ('bubblewrap', 'namespaces')")
    process = subprocess.Popen(
        [sys.executable, "-c", driver, submission.folder, tmp_path / "work", submission.rules],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
    )
    end = time.monotonic() + 30
    while not alive(words) and process.poll() is None:
        assert time.monotonic() < end
        time.sleep(0.1)
    if process.poll() is not None:
        pytest.skip("needs bubblewrap or user namespaces")
    process.kill()
    process.communicate()
    end = time.monotonic() + 10
    while alive(words):
        assert time.monotonic() < end
        time.sleep(0.1)


def test_two_at_once_leave_each_other_alone(tmp_path: Path) -> None:
    runs = []

    def one(seconds: int) -> None:
        submission = Submission(tmp_path / str(seconds))
        submission.then(f"sleep {seconds}")
        profile, work = load_profile(str(submission.rules)), tmp_path / f"work{seconds}"
        runs.append(run_decoder(submission.decoder_zip, submission.data_file, work, profile, RunOptions(30)))

    threads = [threading.Thread(target=one, args=(seconds,)) for seconds in (1, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [run.returncode for run in runs] == [0, 0], runs
