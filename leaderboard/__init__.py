"""Reads result files; writes tables and the report."""

from leaderboard.archived import archived_boards, archived_rows, context_rows, validation_figures
from leaderboard.errors import LeaderboardError
from leaderboard.report import write_report
from leaderboard.results import Results, read_leaderboard, read_results
from leaderboard.tables import markdown_table, terminal_table

__all__ = [
    "LeaderboardError",
    "Results",
    "archived_boards",
    "archived_rows",
    "context_rows",
    "markdown_table",
    "read_leaderboard",
    "read_results",
    "terminal_table",
    "validation_figures",
    "write_report",
]
