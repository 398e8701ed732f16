"""A rate in bits per pixel: an exact decimal with one spelling, for arithmetic, folders and tables alike."""

import math
import re
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from harness.errors import ClicError

DECIMALS = 12  # places after the point at most; MOST is the largest rate
MOST = 1000
# Fraction reads all of these, but needs forever for an exponent of nine digits.
_NUMBER = re.compile(r"[0-9./]{1,40}(e[+-]?[0-9]{1,2})?", re.IGNORECASE)


@dataclass(frozen=True, order=True)
class Rate:
    """A rate in bits per pixel as a decimal number, so that "0.30", "0.3" and 0.3 are one rate, spelt `0.3`.

    Made by `Rate.parse`. Raises ClicError for what is not above 0 and at most 1000, or has more than 12 decimals.
    """

    exact: Fraction

    def __post_init__(self) -> None:
        if not 0 < self.exact <= MOST or 10**DECIMALS % self.exact.denominator:
            raise _no_rate(str(self.exact))

    @classmethod
    def parse(cls, rate: "str | float | Fraction | Rate") -> "Rate":
        """The rate that a text such as "0.15" or "1/8", or a number, says. Raises ClicError."""
        if isinstance(rate, Rate):
            return rate
        text = str(rate).strip()
        try:
            exact = Fraction(text) if _NUMBER.fullmatch(text) else Fraction(0)
            return cls(exact)
        except (ValueError, ZeroDivisionError, ClicError):
            raise _no_rate(text) from None

    def __str__(self) -> str:
        """The one spelling: no exponent, no zeros at the end."""
        return f"{Decimal(self.exact.numerator) / Decimal(self.exact.denominator):f}"

    def whole_bytes(self, pixels: int) -> int:
        """The most whole bytes that so many pixels may take at this rate."""
        return math.floor(self.exact * pixels / 8)

    def __float__(self) -> float:
        return float(self.exact)


def _no_rate(text: str) -> ClicError:
    return ClicError(
        f"rate {text!r}: not a positive number up to {MOST}; give bits per pixel as a decimal such as 0.15"
    )
