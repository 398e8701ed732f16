"""How the evidence is printed: tables of figures, wide enough for all digits where the output is a file."""

from rich.console import Console
from rich.table import Column, Table


def wide_console() -> Console:
    """The terminal, or 120 columns."""
    console = Console()
    if not console.is_terminal:
        console.width = 120
    return console


def figures(name: str, *titles: str) -> Table:
    """A table of names and, under the titles, right-justified figures."""
    return Table(Column(name, no_wrap=True), *(Column(title, justify="right") for title in titles))
