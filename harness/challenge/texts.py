"""Bytes that are written as text inside a file: base64, base85, hexadecimal digits, escapes of a program's source."""

import base64
import binascii
import re
from collections.abc import Callable, Iterator

LETTERS = 200  # of a run; shorter ones hold no picture
# Lines of a run may each be a literal of their own, as formatters leave them.
_BETWEEN = rb"""(?:\\[nr]|[\s"']|b(?=["']))*+"""
_RUNS: dict[str, tuple[re.Pattern[bytes], Callable[[bytes], bytes]]] = {
    "hexadecimal": (
        re.compile(rb"(?:[0-9a-fA-F]{24,}+" + _BETWEEN + rb")++[0-9a-fA-F]*+"),
        lambda run: bytes.fromhex(run[: len(run) // 2 * 2].decode()),
    ),
    "escapes": (
        re.compile(rb"(?:(?:\\x[0-9a-fA-F]{2}){8,}+" + _BETWEEN + rb")++"),
        lambda run: bytes.fromhex(run.replace(b"\\x", b"").decode()),
    ),
    "base64": (
        re.compile(rb"(?:[A-Za-z0-9+/_-]{24,}+" + _BETWEEN + rb")++[A-Za-z0-9+/_-]*+"),
        lambda run: base64.b64decode(run.translate(bytes.maketrans(b"-_", b"+/")) + b"=" * (-len(run) % 4)),
    ),
    "base85": (
        re.compile(
            rb"(?:[0-9A-Za-z!#$%&()*+\-;<=>?@^_`{|}~]{24,}+" + _BETWEEN + rb")++[0-9A-Za-z!#$%&()*+\-;<=>?@^_`{|}~]*+"
        ),
        lambda run: base64.b85decode(run[: len(run) // 5 * 5]),
    ),
    "ascii85": (re.compile(rb"<~[!-uz\s]+?~>"), lambda run: base64.a85decode(run, adobe=True)),
}


def written_as_text(content: bytes) -> Iterator[tuple[str, bytes]]:
    """What the runs of such letters in a file stand for, with what each is and where it begins.

    A run of one kind may be one of another kind too, and is then given as both.
    """
    for kind, (pattern, decode) in _RUNS.items():
        for found in pattern.finditer(content):
            if len(found[0]) < LETTERS:
                continue
            run = found[0] if kind == "ascii85" else re.sub(_BETWEEN, b"", found[0])
            try:
                yield f"{kind} at byte {found.start()}", decode(run)
            except (ValueError, binascii.Error):
                continue  # it only looked so
