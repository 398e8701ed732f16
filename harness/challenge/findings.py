"""One reason for a rejection, as all parts of the verification give it."""

from dataclasses import dataclass, fields

from harness.progress import escaped

PART = 500  # letters of a part; file names and words of a stranger's may have more


@dataclass(frozen=True)
class Finding:
    """One reason for a rejection: what, where, what is expected there, how to mend it.

    Each is one line that any terminal or page can show, at most `PART` letters: a stranger's words may be in it.
    """

    what: str
    where: str
    expected: str
    mend: str

    def __post_init__(self) -> None:
        for part in fields(self):
            object.__setattr__(self, part.name, escaped(getattr(self, part.name), PART))

    def __str__(self) -> str:
        """The finding in one line."""
        return f"{self.where}: {self.what}; expected {self.expected}; {self.mend}"
