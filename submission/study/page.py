"""The study's page: figures, tables and the sentences that they support in one HTML file, in the report's style."""

from collections.abc import Sequence
from importlib import resources

from markupsafe import Markup

from leaderboard.report.environment import environment
from submission.study.columns import signed
from submission.study.drawing import STYLE, Figure
from submission.study.names import RECONSTRUCTIONS
from submission.study.questions import Answer
from submission.study.sentences import SCOPE, of_interval
from submission.study.table import Table

LAYOUT = """
.plot svg { min-width: 760px; } .drawn { margin-bottom: 2.5rem; } .drawn .scroll { border: 0; }
td:not(.n) { white-space: normal; }
ul.said { padding-left: 1.2rem; max-width: 52rem; color: var(--muted); font-size: 0.9rem; }
.plot svg { background: none; } section > .unit { margin: 1.5rem 0 0.4rem; max-width: 52rem; }
"""


def page(tables: Sequence[Table], figures: Sequence[Figure], answers: Sequence[Answer], said: Sequence[str]) -> str:
    """The whole page, which needs no other file; `said` are the sentences beside the answers."""
    report = resources.files("leaderboard.report").joinpath("templates/report.css").read_text(encoding="utf-8")
    drawn = (
        STYLE.replace("svg {", ".plot svg {").replace("\ntext {", "\n.plot text {").replace(" text.", " .plot text.")
    )
    shown = [
        {
            "name": table.name,
            "title": table.title,
            "sections": table.sections,
            "notes": table.notes,
        }
        for table in tables
    ]
    return (
        environment("submission.study")
        .get_template("study.html.j2")
        .render(
            style=Markup(report + drawn + LAYOUT),
            scope=SCOPE,
            reconstructions=RECONSTRUCTIONS,
            answers=answers,
            others=said,
            signed=signed,
            of_interval=of_interval,
            figures=figures,
            tables=shown,
        )
    )
