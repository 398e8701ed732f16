"""Cells that are not run, since they are identical to others by construction; a test proves each."""

import pandas as pd

IDENTICAL = (
    (
        "noise without zero-centre, trained anew",
        "noise with it",
        "v + u around the mean is y + u: one checkpoint, two evaluations, which table gap has side by side",
        "test_noise_is_the_same_with_and_without_zero_centre",
    ),
    (
        "PSG-1 with any surrogate of unit slope",
        "the same without it",
        "the mean's gradient through the sample is 1 - slope, which is 0",
        "test_with_unit_slope_psg_is_none_bit_for_bit",
    ),
    (
        "bounds of the scale and stopped gradients in F",
        "F without them",
        "a factorised prior has neither scale nor mean",
        "test_bounds_and_stops_change_nothing_in_f",
    ),
    (
        "SUA-A t=1 (split, unit)",
        "noise",
        "the box has the width of a step",
        "test_sua_a_lies_between_noise_and_mixed",
    ),
    (
        "SUA-A t=0 (split, unit)",
        "mixed",
        "the box has no width",
        "test_sua_a_lies_between_noise_and_mixed",
    ),
)


def identical_rows() -> pd.DataFrame:
    """A row for each."""
    return pd.DataFrame(IDENTICAL, columns=["what", "equals", "why", "test"])
