"""Settings files: what a frozen dataclass allows is read as it is, anything else is named."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import ClicError
from harness.rates import Rate
from harness.settings import Bounds, Positive, Words, read_settings


@dataclass(frozen=True)
class Sample:
    """One field of each kind."""

    name: str
    title: str
    kind: Literal["soft", "hard"]
    steps: Positive
    decay: Annotated[float, Bounds(0, 1)]
    rates: tuple[Rate, ...]
    frozen: bool = False
    parts: tuple[str, ...] = ()
    version: str | Words = "1"


GOOD = 'title = "t"\nkind = "soft"\nsteps = 3\ndecay = 0.5\nrates = ["0.15", "0.30"]\n'


def beside(name: str, folder: Path) -> Path:
    return folder / name


def read(path: Path) -> Sample:
    return read_settings(Sample, path, beside, name=path.stem)


def test_every_kind_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(GOOD)
    rates = (Rate.parse("0.15"), Rate.parse("0.3"))
    assert read(tmp_path / "a.toml") == Sample("a", "t", "soft", 3, 0.5, rates)
    (tmp_path / "b.toml").write_text(
        'extends = "a.toml"\nkind = "hard"\ndecay = 1\nfrozen = true\nparts = ["x", "y"]\n'
    )
    assert read(tmp_path / "b.toml") == Sample("b", "t", "hard", 3, 1, rates, True, ("x", "y"))
    (tmp_path / "c.toml").write_text('extends = "b.toml"\nparts = ["z"]\n')
    assert read(tmp_path / "c.toml").parts == ("z",) and read(tmp_path / "c.toml").frozen
    (tmp_path / "d.toml").write_text(GOOD + 'version = ["cjxl", "-x", "", "-x"]\n')
    assert read(tmp_path / "d.toml").version == Words(["cjxl", "-x", "", "-x"])
    (tmp_path / "d.toml").write_text(GOOD + 'version = "2"\n')
    assert read(tmp_path / "d.toml").version == "2"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("steps = 3", "steps = 0", r"'steps' is 0; it must be a whole number from 1"),
        ("steps = 3", "steps = 3.0", r"'steps' is 3.0; it must be a whole number from 1"),
        ("steps = 3", "steps = true", r"'steps' is True"),
        ("decay = 0.5", "decay = 1.5", r"'decay' is 1.5; it must be a number from 0 up to 1"),
        ("decay = 0.5", "decay = nan", r"'decay' is nan"),
        ("decay = 0.5", 'decay = "0.5"', r"'decay' is '0.5'"),
        ('"soft"', '"loud"', r"'kind' is 'loud'; it must be one of \"soft\", \"hard\""),
        ('"t"', '""', r"'title' is ''; it must be a text that is not empty"),
        ('"0.30"', '"0.150"', r"'rates' is .*different entries"),
        ('"0.30"', "0.30", r"'rates' is .*each a rate in bits per pixel"),
        ('"0.30"', '"0"', r"'rates': rate '0': not a positive number"),
        ("steps = 3", "", r"key 'steps' is missing; add it as a whole number from 1"),
        ("steps = 3", "steps = 3\nname = 'x'", r"unknown key 'name'; allowed are extends, title, kind, steps"),
        ("steps = 3", "steps = 3\nfrozen = 1", r"'frozen' is 1; it must be true or false"),
        ("steps = 3", "steps = 3\nparts = 'x'", r"'parts' is 'x'; it must be a list of different entries"),
        ("steps = 3", "steps = 3\nversion = ''", r"it must be a text that is not empty, or a list of words as \["),
        ("steps = 3", "steps = 3\nversion = []", r"'version' is \[\]; it must be"),
        ("steps = 3", "steps = 3\nversion = ['x', 3]", r"'version' is \['x', 3\]; it must be"),
        ("steps = 3", "steps =", r"not a readable TOML file"),
        ("steps = 3", "steps = 3\nextends = 'gone.toml'", r"gone.toml: not a readable TOML file"),
        ("steps = 3", "steps = 3\nextends = 'a.toml'", r"extends it in turn"),
        ("steps = 3", "steps = 3\nextends = 4", r"'extends' is 4"),
    ],
)
def test_anything_else_is_one_line_with_file_and_key(tmp_path: Path, old: str, new: str, says: str) -> None:
    assert old in GOOD
    (tmp_path / "a.toml").write_text(GOOD.replace(old, new))
    with pytest.raises(ClicError, match=says) as caught:
        read(tmp_path / "a.toml")
    assert "\n" not in str(caught.value) and str(tmp_path) in str(caught.value)


@given(st.floats(), st.floats(allow_nan=False), st.floats(allow_nan=False))
def test_bounds(value: float, low: float, high: float) -> None:
    assert Bounds(low, high).hold(value) == (low <= value <= high and abs(value) < float("inf"))
