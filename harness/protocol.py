"""The name under which codecs that were written for version 0.1.0 import `Encoding`."""

from harness.codecs.protocol import Encoding

__all__ = ["Encoding"]
