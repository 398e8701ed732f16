"""One error for result files that cannot be shown."""


class LeaderboardError(ValueError):
    """A result file is missing or not as expected: the message says which, what, and how to mend it."""
