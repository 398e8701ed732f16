"""One reason for a rejection, as all parts of the verification give it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One reason for a rejection: what, where, what is expected there, how to mend it."""

    what: str
    where: str
    expected: str
    mend: str

    def __str__(self) -> str:
        """The finding in one line."""
        return f"{self.where}: {self.what}; expected {self.expected}; {self.mend}"
