"""Profiles: the printed budgets, and every way to write a profile wrongly."""

import dataclasses
import json
import subprocess
import tomllib
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import get_args, get_type_hints

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import leaderboard
from harness.challenge.profiles import RULES, Profile, Target, load_profile, newest_profile, profile_names
from harness.errors import ClicError
from harness.rates import Rate

BOARDS = Path(leaderboard.__file__).parent / "boards"
GOOD = """title = "t"
rates = ["0.15"]
rounding = "ceil"
data_file = "a.bin"
container = "raw"
payload = "a.bin"
decoder_bytes = 1
memory_bytes = 1
seconds = 1
cpus = 1
"""


def write(folder: Path, text: str, name: str = "mine.toml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_known_profiles() -> None:
    assert profile_names() == ["clic2021", "clic2022", "clic2025", "clic2027"]
    for name in profile_names():
        profile = load_profile(name)
        assert profile.name == name
        assert [str(rate) for rate in profile.rates] == ["0.075", "0.15", "0.3"]
        assert (profile.memory_bytes, profile.seconds, profile.cpus) == (12_000_000_000, 18_000, 2)
    assert load_profile("clic2021").decoder_bytes == load_profile("clic2022").decoder_bytes == 250_000_000
    assert load_profile("clic2022").data_file == "outputs.zip"
    assert load_profile("clic2025").data_file == "bs.zip"
    assert load_profile("clic2025").decoder_bytes == 4_000_000_000
    newest, before = load_profile("clic2027"), load_profile("clic2025")
    own = {key: getattr(newest, key) for key in ("name", "title", "variants", "server", "dates")}
    assert newest_profile() == newest.name and newest == dataclasses.replace(before, **own)


def test_tracks() -> None:
    for name in ("clic2025", "clic2027"):
        profile = load_profile(name)
        assert (profile.on_track, profile.machine, list(profile.track)) == ("cpu", profile.track["cpu"], ["cpu", "gpu"])
        for track, machine in profile.track.items():
            chosen = load_profile(name, track)
            assert chosen == profile.on(track) and chosen.machine == machine
            assert (chosen.cpus, chosen.memory_bytes) == (machine.cpus, machine.memory_bytes)
    assert load_profile("clic2027", "gpu").describe_machine() == "track gpu: 2 processors, 12 GB, NVIDIA L4 of 24 GB"
    assert load_profile("clic2027").describe_machine() == "track cpu: 2 processors, 12 GB"
    assert load_profile("clic2021").describe_machine() == "2 processors, 12 GB"
    with pytest.raises(ClicError, match=r"clic2027: no track 'tpu'; it has cpu and gpu"):
        load_profile("clic2027", "tpu")
    with pytest.raises(ClicError, match=r"clic2021: no track 'cpu'; it has one machine alone"):
        load_profile("clic2021", "cpu")


def test_a_machine_of_ones_own_holds_on_every_track(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text(
        'extends = "clic2027"\nmemory_bytes = 400_000_000\n[track.gpu]\ncpus = 3\n[track.big]\nmemory_bytes = 5\n'
    )
    cpu = load_profile(own)
    assert (cpu.on_track, cpu.cpus, cpu.memory_bytes) == ("cpu", 2, 400_000_000)
    assert (cpu.on("gpu").cpus, cpu.on("gpu").memory_bytes, cpu.machine.cpus) == (3, 400_000_000, 2)
    assert (cpu.on("big").cpus, cpu.on("big").memory_bytes) == (2, 5)


def test_variants() -> None:
    load_profile("clic2027").check_variant(3)
    load_profile("clic2021").check_variant(30)  # no limit is known
    with pytest.raises(ClicError, match=r"variant 4; a team may enter 3"):
        load_profile("clic2027").check_variant(4)


@pytest.mark.parametrize("name", profile_names())
def test_every_rule_of_a_shipped_profile_says_where_it_comes_from(name: str) -> None:
    """Also those that a profile changes of the one which it extends."""
    own = tomllib.loads((RULES / f"{name}.toml").read_text())
    rules = {key for key in own if key not in ("title", "extends", "source", "track")}
    rules |= {f"track.{track}" for track in own.get("track", {})}
    source = load_profile(name).source
    assert rules <= own["source"].keys() and {"network", "packages"} <= source.keys()
    for key, text in source.items():
        assert text.startswith(("read: ", "computed: ", "second hand: ", "inferred: ")) and "\n" not in text, key


def test_the_command(clic: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    listed = clic("profiles")
    assert listed.returncode == 0
    assert [line.split()[0] for line in listed.stdout.splitlines()] == profile_names()
    assert listed.stdout.splitlines()[-1].endswith("the newest: taken without --profile")
    explained = clic("profiles", "clic2027")
    assert "808,827" in explained.stdout and "808,551" in explained.stdout
    assert "no source is given" not in explained.stdout
    told = json.loads(clic("profiles", "clic2027", "--json").stdout)
    assert told["track"]["gpu"]["gpu_memory_bytes"] == 24_000_000_000 and told["variants"] == 3
    assert clic("profiles", "clic1999").returncode == 2


def test_the_winner_of_2025_is_above_the_formula() -> None:
    """What the profile's source says of the rounding, from the board as it was printed."""
    board = pd.read_csv(BOARDS / "clic2025_image_075_test.csv")
    assert board[board["team"] == "Vcoder"]["data_bytes"].min() == 808_827
    assert load_profile("clic2025").budget(86_245_376, "0.075") == 808_551


@pytest.mark.parametrize(
    "pixels, limits",
    [
        (91_451_931, (857_362, 1_714_724, 3_429_448)),  # 2021 validation, as printed
        (157_568_854, (1_477_209, 2_954_417, 5_908_833)),  # 2021 test, as printed: least and most pixels that fit
        (157_568_880, (1_477_209, 2_954_417, 5_908_833)),
        (86_245_376, (808_551, 1_617_101, 3_234_202)),  # 2025 test
    ],
)
def test_printed_budgets(pixels: int, limits: tuple[int, int, int]) -> None:
    profile = load_profile("clic2021")
    assert tuple(profile.budget(pixels, rate) for rate in profile.rates) == limits
    assert tuple(profile.budget(pixels, float(rate)) for rate in profile.rates) == limits
    assert tuple(Target(profile, rate, pixels).budget for rate in profile.rates) == limits
    assert tuple(profile.budget(pixels, rate.exact) for rate in profile.rates) == limits


def test_the_pixels_around_the_2021_test_set_do_not_fit() -> None:
    profile = load_profile("clic2021")
    printed = (1_477_209, 2_954_417, 5_908_833)
    for pixels in (157_568_853, 157_568_881):
        assert tuple(profile.budget(pixels, rate) for rate in profile.rates) != printed


@given(st.integers(1, 10**12), st.integers(1, 10_000))
def test_budget_is_exact(pixels: int, thousandths: int) -> None:
    size = Fraction(thousandths, 1000) * pixels / 8
    base = load_profile("clic2025")
    up, down, near = (
        dataclasses.replace(base, rounding=rounding).budget(pixels, thousandths / 1000)
        for rounding in get_args(get_type_hints(Profile)["rounding"])
    )
    assert up - 1 < size <= up and down <= size < down + 1 and abs(near - size) <= Fraction(1, 2)


@pytest.mark.parametrize("rate", ["0", "-0.1", "abc", "nan", "inf", "1/0", "", 0.0, float("nan")])
def test_rates_that_are_none(rate: str | float) -> None:
    with pytest.raises(ClicError, match="positive"):
        load_profile("clic2025").budget(100, rate)


def test_no_pixels() -> None:
    with pytest.raises(ClicError, match="0 pixels"):
        load_profile("clic2025").budget(0, "0.15")


def test_own_file(tmp_path: Path) -> None:
    profile = load_profile(write(tmp_path, GOOD))
    assert (profile.name, profile.rates, profile.on_track) == ("mine", (Rate.parse("0.15"),), "")
    with pytest.raises(ClicError, match="unknown key 'on_track'"):  # a track is asked for, not written down
        load_profile(write(tmp_path, GOOD + 'on_track = "cpu"\n', "on.toml"))
    named = load_profile(write(tmp_path, GOOD.replace("a.bin", "X.bin") + 'packages = ["Pillow", "x"]\n', "named.toml"))
    assert (named.data_file, named.packages) == ("X.bin", ("Pillow", "x"))
    write(tmp_path, 'extends = "mine.toml"\nseconds = 7\n', "child.toml")
    child = load_profile(str(tmp_path / "child.toml"))
    assert (child.name, child.seconds, child.title) == ("child", 7, "t")


@pytest.mark.parametrize(
    "old, new, says",
    [
        ("cpus = 1", "cores = 1", r"unknown key 'cores'; allowed are .*cpus"),
        ("cpus = 1", "", r"'cpus' is missing; add it as a whole number from 1"),
        ("cpus = 1", "cpus = true", r"'cpus' is True; .*whole number"),
        ("cpus = 1", "cpus = 0", r"'cpus' is 0; .*from 1"),
        ("cpus = 1", "cpus = 1.5", r"'cpus' is 1.5"),
        ('"ceil"', '"up"', r"'rounding' is 'up'; it must be one of \"ceil\", \"floor\", \"nearest\""),
        ('"raw"', "1", r"'container' is 1; it must be one of \"zip\", \"raw\""),
        ('"t"', '""', r"'title' is ''; .*not empty"),
        ('["0.15"]', "[0.15]", r"'rates' is \[0.15\]; .*as \"0.15\""),
        ('["0.15"]', "[]", r"'rates' is \[\]"),
        ('["0.15"]', '["0.15", "0.150"]', r"different entries"),
        ("cpus = 1", "cpus = 1\npackages = [1]", r"'packages' is \[1\]; .*not empty"),
        ("cpus = 1", 'cpus = 1\npackages = ["a b"]', r"'packages' is 'a b'; .*as pip has them"),
        ('["0.15"]', '["x"]', r"'rates': rate 'x': not a positive number"),
        ('data_file = "a.bin"', 'data_file = "a/b"', r"'data_file' is 'a/b'; .*plain file name"),
        *(
            (
                'data_file = "a.bin"',
                f"data_file = {json.dumps(name)}",
                r"'data_file' is .*: ASCII, no slashes, .* quotes",
            )
            for name in (".", "..", "a b", "a\\b", "a'b", 'a"b', "a\nb", "\x7f", "ü")
        ),
        (
            'data_file = "a.bin"',
            'data_file = "decode"',
            r"'data_file' is 'decode'; it must be another name than the dec",
        ),
        ('data_file = "a.bin"', 'data_file = "decoder.zip"', r"'data_file' is 'decoder.zip'; it must be another name"),
        ('payload = "a.bin"', 'payload = "b.bin"', r"'payload' is 'b.bin'; it must be \"a.bin\""),
        ("cpus = 1", "cpus = 1\ntrack = 1", r"'track' is 1; it must be a table"),
        (
            "cpus = 1",
            "cpus = 1\n[track.a]\nmemory_bytes = 1\ncpus = 0",
            r"'track': 'a': 'cpus' is 0; it must be a whole number from 1",
        ),
        ("cpus = 1", "cpus = 1\n[track.a]\ncore = 0", r"'track': 'a': unknown key 'core'; allowed are cpus, "),
        ("cpus = 1", "cpus = 1\n[source]\ncpus = 1", r"'source': 'cpus' is 1; it must be a text"),
        (
            "cpus = 1",
            'cpus = 1\n[dates]\nvalidation_closes = "1"\ntest_set = "x"\ntest_closes = "x"\nwhite_paper = "x"',
            r"'dates.validation_closes' is '1'; it must be a day such as 2027-03-01",
        ),
        ("cpus = 1", "cpus =", r"not a readable TOML file"),
        ("cpus = 1", 'cpus = 1\nextends = "nowhere"', r"'nowhere': not found; give one of clic2021"),
        ("cpus = 1", "cpus = 1\nextends = 1", r"'extends' is 1"),
        ("cpus = 1", 'cpus = 1\nextends = "mine.toml"', r"extends it in turn"),
    ],
)
def test_wrong_files(tmp_path: Path, old: str, new: str, says: str) -> None:
    assert old in GOOD
    path = write(tmp_path, GOOD.replace(old, new))
    with pytest.raises(ClicError, match=says) as caught:
        load_profile(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


@pytest.mark.parametrize("name", ["clic1999", "../rules/clic2025", "nowhere.toml", ""])
def test_unknown_names(name: str) -> None:
    with pytest.raises(ClicError, match="not found; give one of clic2021, "):
        load_profile(name)
