"""A process for tests of the store: it claims and adds candidates without end, and prints what is committed."""

import hashlib
import random
import sys
from itertools import count
from pathlib import Path

from harness.records import Candidate, Key
from harness.store import open_store


def main(folder: Path, first: int) -> None:
    with open_store(folder) as store:
        store.claim([Key("image", "codec", "held")])
        for number in count(first):
            key = Key("image", "codec", str(number))
            if store.claim([key]):
                stream = random.Random(number).randbytes(20_000)
                digest = hashlib.sha256(stream).hexdigest()
                store.add(Candidate(*key, len(stream), digest, "", 0.9, 0.9, 3.5, 0.1, 0.2, "here"), stream)
                print(number, flush=True)


try:
    main(Path(sys.argv[1]), int(sys.argv[2]))
except KeyboardInterrupt:
    sys.exit(0)
