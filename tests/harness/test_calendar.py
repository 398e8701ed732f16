"""What is left to do of a challenge, by what the folders of runs prove."""

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from harness.challenge.archive import sha224
from harness.challenge.calendar import dues, steps, too_late
from harness.challenge.frozen import Frozen
from harness.challenge.profiles import load_profile
from harness.challenge.proof import Proof
from harness.errors import ClicError

PROFILE = load_profile("clic2027")
RATES = tuple(str(rate) for rate in PROFILE.rates)
FIRST, *OTHERS = RATES
DAY, IN_TEST, AFTER = date(2027, 2, 20), date(2027, 3, 5), date(2027, 3, 10)
FROZEN = Frozen(
    "A team", "clic2027", "cpu", 2, "2027-01-01", "d" * 56, 7, "clic", "set", dict.fromkeys(RATES, "a" * 56), {}, {}
)
SENT = Proof(Path("my run"), "A team", "clic2027", "cpu", 2, "set", "d" * 56, Path("photographs"), RATES, RATES, FROZEN)

Clic = Callable[..., subprocess.CompletedProcess[str]]
TOY = "toy_codec:ToyCodec"


@pytest.fixture
def photographs(photographs: Path) -> Path:
    """As they are on a team's disk: not from within the last two seconds, of which a store does not note the files."""
    for path in photographs.iterdir():
        os.utime(path, (path.stat().st_atime, path.stat().st_mtime - 60))
    return photographs


def left(told: str) -> list[list[str]]:
    """The commands that the calendar prints, as words."""
    return [shlex.split(line) for line in re.findall(r"^  clic (.*)$", told.partition("left to do:")[2], re.MULTILINE)]


def test_nothing_is_there_yet() -> None:
    assert list(steps(PROFILE, [], DAY)) == ["clic submit VALIDATION_SET --out variant1 --team NAME --variant 1"]


def test_from_the_first_rate_to_the_frozen_decoder() -> None:
    begun = replace(SENT, verified=(FIRST,), in_container=(), frozen=None)
    assert list(steps(PROFILE, [begun], DAY)) == [
        f"clic submit photographs --out 'my run' --rates {','.join(OTHERS)} --team 'A team' --track cpu --variant 2",
        f"clic verify 'my run/{FIRST}' --images photographs --rate {FIRST} --track cpu --in-container",
        "clic freeze 'my run'",
    ]
    partly = replace(SENT, images=None, frozen=replace(FROZEN, rates={FIRST: "a" * 56}))
    assert list(steps(PROFILE, [partly], DAY)) == [
        "clic freeze 'my run'",
        "clic submit TEST_SET --out 'test-my run' --expect-decoder 'my run/frozen'",
    ]


def test_the_test_set_has_the_frozen_decoder() -> None:
    tested = replace(SENT, folder=Path("test"), image_set="other", verified=(FIRST,), in_container=(), frozen=None)
    assert list(steps(PROFILE, [SENT, tested], DAY)) == [
        f"clic submit photographs --out test --rates {','.join(OTHERS)} --expect-decoder 'my run/frozen'",
        f"clic verify test/{FIRST} --images photographs --rate {FIRST} --track cpu --in-container"
        " --expect-decoder 'my run/frozen'",
    ]
    assert list(steps(PROFILE, [SENT, replace(tested, verified=RATES, in_container=RATES)], DAY)) == []
    another = replace(tested, verified=RATES, in_container=RATES, decoder_sha224="e" * 56)
    assert list(steps(PROFILE, [SENT, another], DAY)) == [
        "clic freeze test",
        "clic submit TEST_SET --out 'test-my run' --expect-decoder 'my run/frozen'",
    ]


def test_days_are_counted_and_asked_for() -> None:
    assert PROFILE.dates is not None
    closes = date.fromisoformat(PROFILE.dates.validation_closes)
    assert dues(PROFILE, closes)[0].days == 0 and dues(PROFILE, closes)[0].day == closes
    with pytest.raises(ClicError, match=r"no dates are known; add a table \[dates\]"):
        dues(replace(PROFILE, dates=None), closes)


def test_the_commands_printed_complete_a_run_of_several_codecs(photographs: Path, tmp_path: Path, clic: Clic) -> None:
    """Run as they are printed they make the same decoder, chosen by the same objective, so that it can be frozen."""
    out = tmp_path / "variant1"
    options = ["--codec", TOY, "--codec", "avif,speed=8", "--objective", "psnr", "--rates", "0.3"]
    done = clic("submit", photographs, "--out", out, *options)
    assert done.returncode == 0, done.stderr
    submit, *_ = left(clic("calendar", tmp_path, "--on", "2027-02-20").stdout)
    assert submit[0] == "submit"
    rates = submit.index("--rates") + 1
    assert submit[rates] == "0.075,0.15"
    submit[rates] = "0.4"  # these images are too small for the challenge's lower rates
    done = clic(*submit)
    assert done.returncode == 0, done.stderr
    run = json.loads((out / "run.json").read_text())
    assert {recorded["verification"]["decoder_sha224"] for recorded in run["rates"].values()} == {
        sha224(out / "0.3" / "decoder.zip")
    }
    assert {recorded["selection"]["objective"] for recorded in run["rates"].values()} == {"psnr"}
    done = clic("freeze", out)
    assert done.returncode == 0, done.stderr


def test_rules_of_ones_own_are_in_every_command(photographs: Path, tmp_path: Path, clic: Clic) -> None:
    """Run as they are printed, from the first rate to the test set."""
    rules, out, tested = tmp_path / "my rules.toml", tmp_path / "variant1", tmp_path / "test1"
    rules.write_text('extends = "clic2027"\nrates = ["0.4", "0.5"]\n')
    calendar = ["calendar", tmp_path, "--on", "2027-02-20", "--profile", rules]
    [begin] = left(clic(*calendar).stdout)
    values = {"VALIDATION_SET": str(photographs), "variant1": str(out), "NAME": "Us"}
    done = clic(*(values.get(word, word) for word in begin), "--codec", TOY, "--rates", "0.4")
    assert done.returncode == 0 and "rules: my rules (" in done.stderr, done.stderr
    submit, verify, freeze = left(clic(*calendar).stdout)
    assert verify[0] == "verify"
    for command in (submit, [word for word in verify if word != "--in-container"], freeze):
        done = clic(*command)
        assert done.returncode == 0, done.stdout + done.stderr
        assert command is freeze or "rules: my rules (" in done.stderr
    assert f"--expect-decoder {out / 'frozen'} --profile {rules}" in done.stderr
    *_, test = left(clic(*calendar).stdout)
    others = tmp_path / "others"
    others.mkdir()
    shutil.copy(photographs / "alps.png", others / "other.png")
    test[test.index("TEST_SET")], test[test.index("--out") + 1] = str(others), str(tested)
    done = clic(*test, "--rates", "0.5")
    assert done.returncode == 0, done.stderr
    told = clic(*calendar).stdout
    assert f"{tested}: variant 1, track cpu, team Us\n  test phase, with the decoder frozen in {out} on " in told
    for command in left(told):
        assert command[command.index("--profile") + 1] == str(rules)


def test_runs_of_other_rules_are_named(photographs: Path, tmp_path: Path, clic: Clic) -> None:
    out = tmp_path / "variant1"
    options = ["--codec", TOY, "--rates", "0.4", "--profile", "clic2025"]
    assert clic("submit", photographs, "--out", out, *options).returncode == 0
    told = clic("calendar", tmp_path, "--on", "2027-02-20").stdout
    assert f"{out}: not shown, made by the rules clic2025 (clic calendar --profile clic2025)\n" in told
    rules = tmp_path / "mine.toml"
    rules.write_text('extends = "clic2027"\n')
    assert clic("submit", photographs, "--out", out, *options[:-1], rules).returncode == 0
    told = clic("calendar", tmp_path, "--on", "2027-02-20").stdout
    assert f"{out}: not shown, made by the rules mine, which do not come with the package (clic calendar" in told
    assert "--profile FILE, a file mine.toml)" in told
    assert f"\n{out}: variant 1" in clic("calendar", tmp_path, "--profile", rules, "--on", "2027-02-20").stdout


def test_known_rules_that_are_not_the_newest_are_in_the_commands() -> None:
    begun = replace(SENT, profile="clic2025", verified=(FIRST,), in_container=(), frozen=None)
    submit, verify, freeze = steps(PROFILE, [begun], DAY, "clic2025")
    assert submit.endswith(" --variant 2 --profile clic2025") and verify.endswith(" --in-container --profile clic2025")
    assert freeze == "clic freeze 'my run'"  # the run has the name of its rules


def test_what_belongs_to_a_phase_that_is_over_is_not_coded_any_more() -> None:
    closes = date(2027, 3, 1)
    assert list(steps(PROFILE, [], closes)) == list(steps(PROFILE, [], DAY))
    assert list(steps(PROFILE, [], IN_TEST)) == ["clic submit TEST_SET --out test1 --expect-decoder FROZEN"]
    assert list(steps(PROFILE, [], AFTER)) == []
    partly = replace(SENT, verified=(FIRST,), in_container=(), frozen=None)
    kept = list(steps(PROFILE, [partly], DAY))[1:]
    assert [command.split()[1] for command in kept] == ["verify", "freeze"]
    assert list(steps(PROFILE, [partly], IN_TEST)) == kept
    tested = replace(SENT, folder=Path("test"), image_set="other", verified=(FIRST,), in_container=(), frozen=None)
    begun = list(steps(PROFILE, [SENT, tested], IN_TEST))
    assert begun == list(steps(PROFILE, [SENT, tested], DAY)) and begun[0].startswith("clic submit photographs")
    assert list(steps(PROFILE, [SENT, tested], AFTER)) == begun[1:]
    assert list(steps(PROFILE, [SENT], AFTER)) == []


def test_what_comes_too_late_is_said() -> None:
    assert too_late(PROFILE, SENT, None, AFTER) == ""
    partly = replace(SENT, verified=(FIRST,))
    assert too_late(PROFILE, partly, None, DAY) == ""
    told = f"too late for {', '.join(OTHERS)}: the validation phase is over"
    assert too_late(PROFILE, partly, None, IN_TEST) == told
    unknown = too_late(PROFILE, replace(partly, frozen=None), None, IN_TEST)
    assert unknown.startswith(f"{told}; if these are images of the test set, name the folder too")
    assert too_late(PROFILE, partly, SENT, IN_TEST) == ""
    assert too_late(PROFILE, partly, SENT, AFTER).endswith("the test phase is over")


def test_a_day_of_the_test_phase_with_a_rate_of_ones_own(photographs: Path, tmp_path: Path, clic: Clic) -> None:
    done = clic("calendar", tmp_path / "nowhere")
    assert done.returncode == 2 and f"{tmp_path / 'nowhere'}: no such folder; give a run, or a folder of" in done.stderr
    out = tmp_path / "variant1"
    assert clic("submit", photographs, "--out", out, "--codec", TOY, "--rates", "0.4").returncode == 0
    told = clic("calendar", tmp_path, "--on", "2027-03-05").stdout
    assert "     0.4  verified  not in the container  not frozen  (no rate of clic2027)\n" in told
    assert "     0.3  not verified  not in the container  not frozen\n" in told
    assert "  too late for 0.075, 0.15, 0.3: the validation phase is over; if these are" in told
    assert [command[0] for command in left(told)] == ["verify", "freeze"]
