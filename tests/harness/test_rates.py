"""A rate: one number, one spelling, whatever way it was written."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import ClicError
from harness.files import as_json
from harness.rates import DECIMALS, MOST, Rate

UNITS = 10**DECIMALS
STEPS = st.one_of(st.integers(1, MOST * UNITS), st.integers(1, MOST * 1000).map(lambda n: n * UNITS // 1000))


@pytest.mark.parametrize("written", ["0.30", "0.3", ".3", "3e-1", "3/10", " 0.3 ", 0.3, Fraction(3, 10)])
def test_one_rate_has_one_spelling(written: str | float | Fraction) -> None:
    rate = Rate.parse(written)
    assert rate == Rate.parse("0.3") and hash(rate) == hash(Rate.parse("0.3")) and str(rate) == "0.3"
    assert rate.exact == Fraction(3, 10) and float(rate) == 0.3 and Rate.parse(rate) is rate


@given(STEPS)
def test_spelling_reads_back_exactly(steps: int) -> None:
    rate = Rate.parse(Fraction(steps, UNITS))
    text = str(rate)
    assert Rate.parse(text) == rate and Fraction(text) == Fraction(steps, UNITS)
    assert "e" not in text.lower() and (text == text.rstrip("0") or "." not in text) and not text.endswith(".")
    assert Rate.parse(f"{Decimal(text):.{DECIMALS}f}") == rate


@given(STEPS, STEPS)
def test_rates_are_ordered_as_numbers(one: int, other: int) -> None:
    rates = sorted(Rate.parse(Fraction(steps, UNITS)) for steps in (one, other))
    assert [rate.exact * UNITS for rate in rates] == sorted((one, other))


@pytest.mark.parametrize(
    "written",
    ["", "0", "-0.1", "nan", "inf", "fast", "1/0", "1/3", "1001", "1e-13", "1e-999999999", "9" * 50, "0x1", "1_0", 0.0],
)
def test_what_is_no_rate(written: str | float) -> None:
    with pytest.raises(ClicError, match=r"^rate '.*': not a positive number up to 1000; give bits per pixel") as caught:
        Rate.parse(written)
    assert "\n" not in str(caught.value)


def test_a_fraction_without_decimals_is_refused() -> None:
    with pytest.raises(ClicError, match="rate '1/3'"):
        Rate(Fraction(1, 3))


def test_a_rate_is_a_text_in_json() -> None:
    assert as_json({"rates": (Rate.parse("0.30"),)}) == '{\n  "rates": [\n    "0.3"\n  ]\n}\n'
