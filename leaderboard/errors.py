"""One error for result files that cannot be shown."""

from harness.errors import ClicError


class LeaderboardError(ClicError):
    """A result file is missing or not as expected: the message says which, what, and how to mend it."""
