"""In which numbers the synthesis computes: float32, or bfloat16 where the processor has it, which is faster.

Symbols are integers and do not depend on it. Pixels do, by at most 2 of 255 steps.
"""

from pathlib import Path

FLOAT32, BF16 = "float32", "bf16"
PRECISIONS = (FLOAT32, BF16)
FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}  # of x86 and of Arm, as Linux names them


def has_bf16() -> bool:
    """Whether the processor multiplies bfloat16; False where the system does not say. Emulated, it would be slow."""
    try:
        return not FLAGS.isdisjoint(Path("/proc/cpuinfo").read_text().split())
    except OSError:
        return False


def in_bf16(precision: str) -> bool:
    """Whether what asks for a precision is computed in bfloat16 here. Raises ValueError for another precision."""
    if precision not in PRECISIONS:
        raise ValueError(f"no precision {precision!r}; there are {', '.join(PRECISIONS)}")
    return precision == BF16 and has_bf16()
