"""Damaged streams and data files against the decoder: each must end in BitstreamError, soon and in little memory.

    python tests/fuzz_decoder.py --minutes 10
"""

import argparse
import resource
import time

import numpy as np
from small_model import photograph, small_model

from decoder.container import pack, unpack
from decoder.errors import BitstreamError
from decoder.image import decode_latent
from submission.encoder import analyse, encode_latent


def damage(data: bytes, rng: np.random.Generator) -> bytes:
    """One to four random edits: flipped bits, cut tails, swapped, repeated or overwritten runs."""
    out = bytearray(data)
    for _ in range(rng.integers(1, 5)):
        at, length = int(rng.integers(len(out) + 1)), int(rng.integers(1, 9))
        kind = rng.integers(5)
        if kind == 0 and at < len(out):
            out[at] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            del out[at:]
        elif kind == 2:
            out[at : at + length] = rng.bytes(length)
        elif kind == 3:
            out[at:at] = out[: length]
        else:
            out[at : at + length] = b"\xff" * length
    return bytes(out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    model, networks = small_model()
    streams = [encode_latent(networks, model, analyse(networks, photograph(h, w)), gain)[0]
               for h, w, gain in ((1, 1, 0), (40, 70, 8), (64, 64, 32))]
    container = pack({"a": streams[0], "b": streams[1]})
    rng = np.random.default_rng(options.seed)
    count = refused = same = 0
    slowest = 0.0
    end = time.monotonic() + 60 * options.minutes
    while time.monotonic() < end:
        original = streams[count % 3] if count % 4 else container
        broken = damage(original, rng)
        begin = time.monotonic()
        try:
            if original is container:
                unpack(broken)  # what it holds is checked stream by stream
            else:
                decode_latent(broken, {0: model})
                assert broken == original, f"seed {options.seed}, case {count}: damage went unnoticed"
            same += 1
        except BitstreamError:
            refused += 1
        slowest = max(slowest, time.monotonic() - begin)
        count += 1
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{count} cases: {refused} refused, {same} unchanged in meaning; slowest {slowest:.2f} s, peak {memory} MB")


if __name__ == "__main__":
    main()
