"""A decoder frozen in the validation phase is the only one of the test phase, whatever is installed by then."""

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers import TESTS, photograph

from harness.challenge.archive import sha224, write_zip
from harness.challenge.board import SOURCE
from harness.challenge.expected import Expected
from harness.challenge.frozen import Frozen, read_frozen
from harness.challenge.profiles import load_profile
from harness.errors import ClicError
from harness.records import Entry
from harness.store import open_store

Clic = Callable[..., subprocess.CompletedProcess[str]]
CODEC = (TESTS / "toy_codec.py").read_text()
RATES = ("--rates", "0.3,0.5")


@pytest.fixture
def team(tmp_path: Path) -> Path:
    """A folder with two sets of photographs, and a codec of the team's own."""
    for name, first in (("validation", 0), ("test", 10)):
        (tmp_path / name).mkdir()
        for seed in range(first, first + 3):
            photograph(seed, 200 + seed, 180).save(tmp_path / name / f"{seed}.png")
    (tmp_path / "ours.py").write_text(CODEC)
    return tmp_path


@pytest.fixture
def clic(team: Path) -> Clic:
    """Runs `clic` in the team's folder, as it is installed."""

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        return subprocess.run(
            [str(Path(sys.executable).with_name("clic")), *map(str, arguments)],
            cwd=team,
            env=environment,
            capture_output=True,
            text=True,
        )

    return run


def upgrade(team: Path, old: str, new: str) -> None:
    """The codec's next version."""
    source = (team / "ours.py").read_text()
    assert old in source
    (team / "ours.py").write_text(source.replace(old, new))


@pytest.fixture
def frozen(team: Path, clic: Clic) -> Path:
    """The folder of a run whose decoder is frozen."""
    options = ["--codec", "ours:ToyCodec", "--team", "Us", "--variant", 2, *RATES]
    done = clic("submit", "validation", "--out", "first", *options)
    assert done.returncode == 0, done.stderr
    done = clic("freeze", "first")
    assert done.returncode == 0, done.stderr
    assert "nothing is frozen at 0.075, 0.15; without all rates" in done.stderr
    assert done.stdout == f"decoder SHA-224 {sha224(team / 'first' / '0.3' / 'decoder.zip')}\n"
    return team / "first"


def test_what_is_recorded(team: Path, frozen: Path, clic: Clic) -> None:
    record = json.loads((frozen / "frozen" / "frozen.json").read_text())
    assert {key: record[key] for key in ("team", "profile", "track", "variant", "codec")} == {
        "team": "Us",
        "profile": "clic2027",
        "track": "cpu",
        "variant": 2,
        "codec": "ours:ToyCodec",
    }
    assert record["rates"] == {rate: sha224(frozen / rate / "bs.zip") for rate in ("0.3", "0.5")}
    assert record["versions"].keys() == {"python", "clic-harness", "torch", "numpy", "pillow"}
    assert list(record["members"]) == ["decode"]
    assert json.loads(clic("freeze", "first", "--json").stdout) == record  # again: as it was, with its date


def test_an_upgraded_encoder_sends_the_frozen_decoder(team: Path, frozen: Path, clic: Clic) -> None:
    upgrade(team, "#!/usr/bin/env python3\n", "#!/usr/bin/env python3\n# better documented\n")
    upgrade(team, "optimize=True", "optimize=True, progressive=True")  # other streams
    moved = team / "elsewhere"
    (frozen / "frozen").rename(moved)  # as copied to another machine
    done = clic("submit", "test", "--out", "second", "--expect-decoder", "elsewhere", *RATES)
    assert done.returncode == 0, done.stderr
    assert "gives back the pixels that codec 'toy' announces now; it is sent as it was frozen" in done.stderr
    assert "rules: clic2027, as frozen" in done.stderr and "variant 2" in done.stderr
    for rate in ("0.3", "0.5"):
        sent = (team / "second" / rate / "decoder.zip").read_bytes()
        assert sent == (moved / "decoder.zip").read_bytes()
        assert f"{rate}: 3/3 images equal" in done.stderr
    with open_store(team / "second", write=False) as store:
        entries = store.rows(Entry, source=SOURCE)
    assert {(entry.team, entry.variant, entry.decoder_sha224) for entry in entries} == {
        ("Us", 2, sha224(moved / "decoder.zip"))
    }
    done = clic("verify", "second/0.3", "--images", "test", "--rate", "0.3", "--expect-decoder", "elsewhere")
    assert done.returncode == 0, done.stdout
    done = clic("pack", "second", "--rate", "0.4", "--out", "packed", "--expect-decoder", "elsewhere")
    assert done.returncode == 0, done.stderr
    assert (team / "packed" / "0.4" / "decoder.zip").read_bytes() == (moved / "decoder.zip").read_bytes()


@pytest.mark.parametrize(
    "old, new",
    [
        ('json.dumps(sizes).encode() + b"\\n"', 'b"{}\\n" + json.dumps(sizes).encode() + b"\\n"'),  # another container
        ("return np.asarray(Image.open(io.BytesIO(stream)))", "return np.asarray(Image.open(io.BytesIO(stream))) // 2"),
    ],
)
def test_an_encoder_that_the_frozen_decoder_does_not_follow(
    team: Path, frozen: Path, clic: Clic, old: str, new: str
) -> None:
    upgrade(team, "#!/usr/bin/env python3\n", "#!/usr/bin/env python3\n# another\n")
    upgrade(team, old, new)
    done = clic("submit", "test", "--out", "second", "--expect-decoder", "first", *RATES)
    assert done.returncode == 2 and "does not give back what codec 'toy' codes now, at point 2, 30, 60" in done.stderr
    assert "as it was then, so the codec's code or its packages changed: bring those back" in done.stderr
    assert not (team / "second").exists()  # told before anything was coded
    record = team / "first" / "frozen" / "frozen.json"
    told = json.loads(record.read_text())
    told["versions"]["clic-harness"] = "0.0.1"
    record.write_text(json.dumps(told))
    done = clic("submit", "test", "--out", "second", "--expect-decoder", "first", *RATES)
    assert done.returncode == 2 and "install clic-harness==0.0.1, or give the codec that was frozen" in done.stderr


def test_another_codec_than_the_frozen_one_is_the_reason(team: Path, frozen: Path, clic: Clic) -> None:
    done = clic("submit", "test", "--out", "second", "--expect-decoder", "first", *RATES, "--codec", "webp")
    assert done.returncode == 2 and done.stderr.count("frozen of codec") == 1
    assert "it was frozen of codec 'ours:ToyCodec', and 'webp' is another: leave --codec out" in done.stderr
    assert "install" not in done.stderr
    (team / "ours.py").unlink()  # whether or not it can still be opened
    done = clic("submit", "test", "--out", "second", "--expect-decoder", "first", *RATES, "--codec", "webp")
    assert done.returncode == 2 and "frozen of codec 'ours:ToyCodec', and 'webp' is another" in done.stderr


def test_a_hash_alone(team: Path, frozen: Path, clic: Clic) -> None:
    digest = sha224(frozen / "frozen" / "decoder.zip")
    options = ["--codec", "ours:ToyCodec", *RATES, "--expect-decoder", digest]
    assert clic("submit", "test", "--out", "second", *options).returncode == 0
    upgrade(team, "#!/usr/bin/env python3\n", "#!/usr/bin/env python3\n# another\n")
    for command in (["submit", "test", "--out", "third", *options], ["pack", "first", "--rate", "0.3", "--out", "p"]):
        done = clic(*command, *([] if command[0] == "submit" else ["--expect-decoder", digest]))
        assert done.returncode == 2 and f"expected is {digest}; give --expect-decoder the folder" in done.stderr
    assert not (team / "third").exists()
    done = clic("submit", "test", "--out", "third", "--expect-decoder", "0123")
    assert done.returncode == 2 and "'0123': neither a SHA-224 (56 hexadecimal digits) nor a folder" in done.stderr


def spoil(decoder: Path, old: bytes, new: bytes) -> None:
    """Change a member, and pack it again."""
    with zipfile.ZipFile(decoder) as archive:
        members = {name: archive.read(name).replace(old, new) for name in archive.namelist()}
    write_zip(decoder, members)


def test_another_decoder_is_found_before_upload(team: Path, frozen: Path, clic: Clic) -> None:
    verify = ["verify", "first/0.3", "--images", "validation", "--rate", "0.3", "--once"]
    digest = sha224(frozen / "frozen" / "decoder.zip")
    spoil(frozen / "0.3" / "decoder.zip", b"import io, json", b"import json, io")
    done = clic(*verify, "--expect-decoder", "first")
    assert done.returncode == 1 and "decoder.zip: not the decoder frozen on 20" in done.stdout
    assert f"decode altered; expected SHA-224 {digest}" in done.stdout
    done = clic(*verify, "--expect-decoder", digest)
    assert done.returncode == 1 and f"expected SHA-224 {digest}" in done.stdout


def test_a_frozen_decoder_that_was_altered_is_refused(team: Path, frozen: Path, clic: Clic) -> None:
    decoder = frozen / "frozen" / "decoder.zip"
    spoil(decoder, b"import io, json", b"import json, io")
    done = clic("submit", "test", "--out", "second", "--expect-decoder", "first", *RATES)
    assert done.returncode == 2 and "frozen/decoder.zip: not what was frozen on 20" in done.stderr
    assert "decode altered" in done.stderr
    decoder.write_bytes(b"no zip")
    with pytest.raises(ClicError, match="it is no readable zip any more"):
        read_frozen(frozen)
    decoder.unlink()
    with pytest.raises(ClicError, match="missing; copy it again"):
        read_frozen(frozen)
    (frozen / "frozen" / "frozen.json").write_text("[]")
    with pytest.raises(ClicError, match="no record of a frozen decoder"):
        read_frozen(frozen)
    with pytest.raises(ClicError, match="nothing is frozen there"):
        read_frozen(team / "validation")


def test_other_versions_than_those_that_were_frozen_are_named(team: Path, frozen: Path, clic: Clic) -> None:
    path = frozen / "frozen" / "frozen.json"
    record = json.loads(path.read_text())
    record["versions"]["numpy"] = "1.25.0"
    path.write_text(json.dumps(record))
    verify = ["verify", "first/0.3", "--images", "validation", "--rate", "0.3", "--expect-decoder", "first", "--once"]
    done = clic(*verify)
    assert done.returncode == 1
    assert done.stdout.startswith("- packages: numpy 1.26.4; expected numpy 1.25.0, with which the frozen decoder was")
    done = clic("submit", "test", "--out", "second", "--expect-decoder", "first", *RATES)
    assert done.returncode == 1 and "python -m pip install numpy==1.25.0, or verify it --in-container" in done.stderr


def test_how_a_package_was_built_is_no_other_version() -> None:
    record = Frozen(
        "Us", "clic2027", "cpu", 1, "", "0" * 56, 1, "clic", "", {}, {}, {"torch": "2.6.0+cpu", "numpy": "1.26.4"}
    )
    expected, profile = Expected(record.decoder_sha224, record), load_profile("clic2027")
    assert not list(expected.version_findings({"torch": "2.6.0+cu124", "numpy": "1.26.4"}, profile))
    found = expected.version_findings({"torch": "2.7.0+cpu"}, profile)
    assert [finding.what for finding in found] == ["torch 2.7.0", "numpy is missing"]


def test_one_byte_over(team: Path, frozen: Path, clic: Clic) -> None:
    """The budget to the byte, of a set and a rate chosen so that the frozen data file is just above it."""
    size = (frozen / "0.3" / "bs.zip").stat().st_size
    pixels = sum((200 + seed) * 180 for seed in range(3))
    rate = f"{8 * (size - 1) / pixels - 1e-6:.9f}"
    done = clic("verify", "first/0.3", "--images", "validation", "--rate", rate, "--expect-decoder", "first", "--once")
    assert done.returncode == 1 and f"bs.zip: {size:,} bytes, 1 over the budget" in done.stdout


def test_what_cannot_be_frozen(team: Path, frozen: Path, clic: Clic) -> None:
    def says(*arguments: str) -> str:
        done = clic("freeze", *arguments)
        assert done.returncode == 2 and done.stderr.count("\n") == 1
        return done.stderr

    assert "no results.sqlite; give the folder of a run" in says("validation")
    clic("encode", "validation", "--out", "coded", "--codec", "ours:ToyCodec")
    assert "nothing was verified here; run 'clic submit' first" in says("coded")
    data = frozen / "0.5" / "bs.zip"
    content = data.read_bytes()
    data.write_bytes(content + b"x")
    done = clic("freeze", "first")
    assert done.returncode == 2 and "verified at 0.5 was lost or altered since; run 'clic submit' again" in done.stderr
    data.write_bytes(content)
    upgrade(team, "#!/usr/bin/env python3\n", "#!/usr/bin/env python3\n# another\n")
    options = ["--codec", "ours:ToyCodec", "--team", "Us", "--variant", 2]
    clic("submit", "validation", "--out", "first", *options, "--rates", "0.3")
    assert "its rates have different decoders (0.3: " in says("first")
    clic("submit", "validation", "--out", "first", *options, *RATES)
    assert "what was uploaded does not change: take another folder" in says("first")


def test_a_frozen_decoder_is_of_one_variant_and_track(team: Path, frozen: Path, clic: Clic) -> None:
    for option, says in (
        (["--variant", "1"], "frozen is variant 2 of clic2027, track cpu, and variant 1 of clic2027, track cpu was"),
        (["--track", "gpu"], "and variant 2 of clic2027, track gpu was asked for"),
        (["--profile", "clic2021"], "profile clic2021: no track 'cpu'"),
    ):
        done = clic("submit", "test", "--out", "second", "--expect-decoder", "first", *option)
        assert done.returncode == 2 and says in done.stderr, done.stderr
    done = clic("submit", "test", "--out", "second", "--variant", "4")
    assert done.returncode == 2 and "variant 4; a team may enter 3" in done.stderr
