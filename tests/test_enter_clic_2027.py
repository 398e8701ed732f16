"""docs/enter-clic-2027.md is followed to the letter, in an empty folder, by the console script.

Between the validation phase and the test phase the package is upgraded: another encoder, another decoder. What was
frozen is sent all the same.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from helpers import photograph

from harness.challenge.archive import sha224, write_zip
from harness.challenge.container import build_container
from harness.challenge.profiles import load_profile
from harness.errors import ClicError

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "enter-clic-2027.md").read_text()
SECTIONS = {part.partition("\n")[0]: part for part in PAGE.split("\n## ")[1:]}
CLIC = Path(sys.executable).with_name("clic")
RATES = ("0.075", "0.15", "0.3")
MAX_ROUNDS = 3  # of the calendar: verify and freeze, then nothing


class Team:
    """A team's folder with two sets of six small images, and the package as it is installed, or upgraded."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.upgraded = folder, folder.parent / "upgraded"
        for name, first in (("validation_set", 0), ("test_set", 6)):
            (folder / name).mkdir(parents=True)
            for seed in range(first, first + 6):
                photograph(seed, 256 + seed, 224).save(folder / name / f"image{seed}.png")

    @property
    def environment(self) -> Mapping[str, str]:
        plain = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        return plain | ({"PYTHONPATH": str(self.upgraded)} if self.upgraded.exists() else {})

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """A command of the page, which must pass; that a folder is of no known set is a finding."""
        words = shlex.split(command)
        assert words[0] == "clic"
        done = subprocess.run(
            [CLIC, *words[1:]], cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0 or (command.startswith("clic images check") and done.returncode == 1), (
            command,
            done.stdout,
            done.stderr,
        )
        return done

    def follow(self, section: str) -> None:
        """The commands of a section; those that the calendar prints too, until none are left but the test set's."""
        commands = re.findall(r"^ {4}(clic .*)$", SECTIONS[section], re.MULTILINE)
        assert commands
        for command in commands:
            done = self.run(command)
            for _ in range(MAX_ROUNDS if command == "clic calendar" else 0):
                left = re.findall(r"^  (clic (?:verify|freeze) .*)$", done.stdout, re.MULTILINE)
                for each in left:
                    self.run(each)
                done = self.run(command)
            assert command != "clic calendar" or not re.search(r"^  clic (verify|freeze)", done.stdout, re.MULTILINE)

    def upgrade(self) -> None:
        """The next version of the package: its encoder makes other streams, its decoder has other bytes."""
        for package in ("decoder", "harness", "leaderboard", "submission"):
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / package, self.upgraded / package, ignore=ignored)
        self.edit("submission/encoder.py", "np.rint(wanted - mean / ONE)", "np.rint((wanted - mean / ONE) * 0.97)")
        self.edit("decoder/errors.py", '"""', '"""Rewritten: ')

    def edit(self, name: str, old: str, new: str) -> None:
        path = self.upgraded / name
        source = path.read_text()
        assert old in source
        path.write_text(source.replace(old, new, 1))


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Team:
    """A team that has followed the whole page."""
    try:
        build_container(load_profile("clic2027"), "venv")
    except ClicError as error:
        pytest.skip(str(error))
    team = Team(tmp_path_factory.mktemp("enter") / "team")
    for section in SECTIONS:
        if section == "The test phase":
            team.upgrade()
        if re.search(r"^ {4}clic ", SECTIONS[section], re.MULTILINE):
            team.follow(section)
    return team


@pytest.mark.slow
def test_the_frozen_decoders_are_sent(team: Team) -> None:
    digests = set()
    for number in (1, 2):
        frozen = json.loads((team.folder / f"variant{number}" / "frozen" / "frozen.json").read_text())
        digests.add(frozen["decoder_sha224"])
        assert (frozen["track"], frozen["variant"], sorted(frozen["rates"])) == ("cpu", number, sorted(RATES))
        for phase in ("variant", "test"):
            for rate in RATES:
                folder = team.folder / f"{phase}{number}" / rate
                assert sha224(folder / "decoder.zip") == frozen["decoder_sha224"]
                assert (folder / "bs.zip").is_file()
        run = json.loads((team.folder / f"test{number}" / "run.json").read_text())
        assert (run["track"], run["variant"], run["team"]) == ("cpu", number, "My team")
    assert len(digests) == 2
    told = team.run("clic calendar").stdout
    assert told.count("test phase, with the decoder frozen in variant") == 2 and "not " not in told.partition("left")[0]
    assert "nothing that can be proved here; people decide" in told


@pytest.mark.slow
def test_the_upgrade_is_one(team: Team, tmp_path: Path) -> None:
    """Without the frozen decoder another would have been packed."""
    team.run(f"clic pack test1 --rate 0.15 --out {tmp_path}")
    assert sha224(tmp_path / "0.15" / "decoder.zip") != sha224(team.folder / "test1" / "0.15" / "decoder.zip")


@pytest.mark.slow
def test_a_changed_weight_is_named(team: Team, tmp_path: Path) -> None:
    sent, changed = team.folder / "test1" / "0.15", tmp_path / "0.15"
    changed.mkdir()
    shutil.copy(sent / "bs.zip", changed)
    with zipfile.ZipFile(sent / "decoder.zip") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    [weights] = [name for name in members if name.endswith(".npz")]
    members[weights] = members[weights][:-1] + bytes([members[weights][-1] ^ 1])
    write_zip(changed / "decoder.zip", members)
    command = [CLIC, "verify", changed, "--images", "test_set", "--rate", "0.15", "--expect-decoder", "variant1"]
    done = subprocess.run(
        [*command, "--once"], cwd=team.folder, env=team.environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1 and f"{weights} altered; expected SHA-224 " in done.stdout


def test_the_page_says_what_the_rules_say() -> None:
    """Days and limits of the page are those of the profile."""
    profile = load_profile("clic2027")
    assert profile.dates and all(f"| {day} |" in PAGE for day in vars(profile.dates).values())
    assert "808,551, 1,617,101 and 3,234,202" in PAGE
    assert [profile.budget(86_245_376, rate) for rate in profile.rates] == [808_551, 1_617_101, 3_234_202]
