"""The decoder's one error."""


class BitstreamError(ValueError):
    """A stream or data file that cannot be decoded; the message says what is wrong with it."""
