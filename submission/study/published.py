"""Public figures that stand beside ours, each with where it is from. None of them was measured here."""

from dataclasses import dataclass

PAPER_A = "Guo et al., CLIC 2021 (A)"


@dataclass(frozen=True)
class PaperRow:
    """A line of Table 1 of paper A: its MS-SSIM is the authors' variant, neither definition of ours."""

    stage: str
    level: int
    bpp: float
    msssim: float


TABLE_1 = (
    PaperRow("soft-continued", 0, 0.0957, 0.96024),
    PaperRow("soft-continued", 1, 0.1778, 0.97538),
    PaperRow("soft-continued", 2, 0.3182, 0.98478),
    PaperRow("hard", 0, 0.0920, 0.96080),
    PaperRow("hard", 1, 0.1726, 0.97580),
    PaperRow("hard", 2, 0.3117, 0.98511),
)
"""Noise beside our stage a, soft-then-hard beside our stage c, by rising rate."""

TABLE_1_NOTE = (
    "Columns of paper A: its Table 1, additive noise beside our a and soft-then-hard beside our c. Other networks, "
    "images and rates, and an MS-SSIM of the authors' own: to be read down, not across."
)


@dataclass(frozen=True)
class PublicFigure:
    """A figure that somebody reported, in per cent of BD-rate, and how we know of it."""

    source: str
    what: str
    percent: float
    known: str


PUBLIC_FIGURES = (
    PublicFigure(PAPER_A, "soft-then-hard, MS-SSIM", -5.0, "computed from its Table 1, PCHIP over dB"),
    PublicFigure(
        "Guo et al., ICML 2021, arXiv 2104.05168",
        "soft-then-hard and scaled noise on Cheng 2020",
        -8.9,
        "second hand: a reading note; the paper itself was not at hand",
    ),
    PublicFigure(
        "arXiv 2506.08662", "network parts trained again on hard latents", -2.2, "up to; a summary of the paper"
    ),
    PublicFigure(
        "source not known to us",
        "alternating training of a factorised prior",
        -5.6,
        "second hand; its source was not at hand",
    ),
)
