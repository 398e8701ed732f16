"""SSIMULACRA2: how near a decoded photograph is to its original, as people see it; 100 for the same pixels.

J. Sneyers, "SSIMULACRA 2", Cloudinary, 2022-2023, version 2.1, as in libjxl's tool of that name, against whose scores
the tests hold this one. At up to six scales, in the colours XYB, three maps are made: structural similarity, edges that
only the decoded image has, and edges that it has lost. Their means and their means of fourth powers are weighed, and
the sum is bent so that it reads as opinions do: 30 is low quality, 50 medium, 70 high, 90 as good as the original.
"""

from collections.abc import Iterator

import numpy as np
from scipy.ndimage import correlate1d

VERSION = "2.1"  # of the metric; a score of another one is another score
SCALES = 6
SMALLEST = 8  # pixels of a side, below which there is no score
_C2 = 0.0009
_SIGMA = 1.5
_BIAS = 0.0037930732552754493
_ABSORBANCE = np.array(
    [
        [0.30, 0.622, 0.078],
        [0.23, 0.692, 0.078],
        [0.24342268924547819, 0.20476744424496821, 0.5518098665095536],
    ]
)
# A row for each scale, first of X, then of Y, then of B; in a row the three maps' means, then those of fourth powers.
# fmt: off
_WEIGHTS = np.array([
    0, 0.0007376606707406586, 0, 0, 0.0007793481682867309, 0,
    0, 0.0004371155730107379, 0, 1.1041726426657346, 0.00066284834129271, 0.00015231632783718752,
    0, 0.0016406437456599754, 0, 1.8422455520539298, 11.441172603757666, 0,
    0.0007989109436015163, 0.000176816438078653, 0, 1.8787594979546387, 10.94906990605142, 0,
    0.0007289346991508072, 0.9677937080626833, 0, 0.00014003424285435884, 0.9981766977854967, 0.00031949755934435053,
    0.0004550992113792063, 0, 0, 0.0013648766163243398, 0, 0,
    0, 0, 0, 7.466890328078848, 0, 17.445833984131262,
    0.0006235601634041466, 0, 0, 6.683678146179332, 0.00037724407979611296, 1.027889937768264,
    225.20515300849274, 0, 0, 19.213238186143016, 0.0011401524586618361, 0.001237755635509985,
    176.39317598450694, 0, 0, 24.43300999870476, 0.28520802612117757, 0.0004485436923833408,
    0, 0, 0, 34.77906344483772, 44.835625328877896, 0,
    0, 0, 0, 0, 0, 0,
    0, 0.0008680556573291698, 0, 0, 0, 0,
    0, 0.0005313191874358747, 0, 0.00016533814161379112, 0, 0,
    0, 0, 0, 0.0004179171803251336, 0.0017290828234722833, 0,
    0.0020827005846636437, 0, 0, 8.826982764996862, 23.19243343998926, 0,
    95.1080498811086, 0.9863978034400682, 0.9834382792465353, 0.0012286405048278493, 171.2667255897307,
    0.9807858872435379,
    0, 0, 0, 0.0005130064588990679, 0, 0.00010854057858411537,
])
# fmt: on


def ssimulacra2(original: np.ndarray, decoded: np.ndarray) -> float:
    """The score of a decoded image, both uint8 (H, W, 3) in sRGB; NaN where a side is below 8 pixels."""
    if min(original.shape[:2]) < SMALLEST:
        return float("nan")
    features = np.array(list(_features(_linear(original), _linear(decoded))))  # (scales, 3 channels, 6)
    values = features.transpose(1, 0, 2).ravel()  # a small image has fewer scales, and the tool takes the first weights
    total = 0.9562382616834844 * float(values @ _WEIGHTS.ravel()[: len(values)])
    total = (6.248496625763138e-05 * total**2 - 0.020884521182843837 * total + 2.326765642916932) * total
    return 100 - 10 * total**0.6276336467831387


def _features(first: np.ndarray, second: np.ndarray) -> Iterator[np.ndarray]:
    """Of each scale, the norms of the three maps, (3 channels, 6); the last may be of less than the smallest size."""
    for scale in range(SCALES):
        if min(first.shape[:2]) < SMALLEST:
            return
        if scale:
            first, second = _halved(first), _halved(second)
        yield _norms(_xyb(first), _xyb(second))


def _norms(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The means of the three maps and of their fourth powers, the latter's fourth root; (3 channels, 6)."""
    mean1, mean2 = _blurred(first), _blurred(second)
    spread = _blurred(first * first) - mean1 * mean1 + _blurred(second * second) - mean2 * mean2
    shared = _blurred(first * second) - mean1 * mean2
    structure = np.maximum(1 - (1 - (mean1 - mean2) ** 2) * (2 * shared + _C2) / (spread + _C2), 0)
    edges = (1 + np.abs(second - mean2)) / (1 + np.abs(first - mean1)) - 1
    maps = (structure, np.maximum(edges, 0), np.maximum(-edges, 0))
    means = [each.mean(axis=(0, 1)) for each in maps]
    fourths = [(each**4).mean(axis=(0, 1)) ** 0.25 for each in maps]
    return np.stack(means + fourths, axis=1)


def _linear(pixels: np.ndarray) -> np.ndarray:
    """Linear light of 8-bit sRGB, 0 to 1."""
    levels = np.arange(256) / 255
    return np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)[pixels]


def _halved(image: np.ndarray) -> np.ndarray:
    """Means of 2 x 2 pixels, the last row and column repeated where a side is odd."""
    height, width, _ = image.shape
    even = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), "edge")
    return even.reshape(even.shape[0] // 2, 2, even.shape[1] // 2, 2, 3).mean(axis=(1, 3))


def _xyb(linear: np.ndarray) -> np.ndarray:
    """The colours XYB of linear light, moved and stretched so that all are above 0."""
    absorbed = np.cbrt(np.maximum(linear @ _ABSORBANCE.T + _BIAS, 0)) - np.cbrt(_BIAS)
    red, green, blue = np.moveaxis(absorbed, 2, 0)
    x, y = (red - green) / 2, (red + green) / 2
    return np.stack([14 * x + 0.42, y + 0.01, blue - y + 0.55], axis=2)


def _taps() -> np.ndarray:
    """The blur's coefficients: three cosines in place of a Gaussian of standard deviation 1.5, 11 of them.

    D. Charalampidis, "Recursive implementation of the Gaussian filter using truncated cosine functions", IEEE
    Transactions on Signal Processing 64 (2016). The tool runs it as a recursion; what it computes are these.
    """
    radius = round(3.2795 * _SIGMA + 0.2546)
    omega = np.array([1, 3, 5]) * np.pi / (2 * radius)
    p = np.array([1, -1, 1]) / np.tan(omega / 2)
    r = np.array([1, -1, 1]) * p**2 / np.sin(omega)
    rho = np.exp(-((_SIGMA * omega) ** 2) / 2) / radius
    across = np.cross(p, r)
    zeta = np.array([across[0] / across[2], across[1] / across[2], 1])
    wanted = np.array([1, radius**2 - _SIGMA**2, zeta @ rho])
    beta = np.linalg.solve(np.array([p, r, zeta]), wanted)
    return np.asarray(beta @ np.cos(omega[:, None] * np.arange(-radius, radius + 1)))


def _blurred(image: np.ndarray) -> np.ndarray:
    """The image blurred, black around it."""
    taps = _taps()
    rows = correlate1d(image, taps, axis=0, mode="constant")
    return correlate1d(rows, taps, axis=1, mode="constant")
