"""One error for everything a person can mend: a sentence that says what, where, and how to mend it."""


class ClicError(Exception):
    """What went wrong, where, and what to do; the command line prints it in one line and exits with 2."""
