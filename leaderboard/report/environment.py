"""What the templates of all pages share: escaping, and numbers as people read them."""

from jinja2 import Environment, PackageLoader, StrictUndefined

from leaderboard import units


def environment() -> Environment:
    """Templates by name, with everything escaped that comes from data."""
    made = Environment(
        loader=PackageLoader("leaderboard.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "fixed": units.fixed,
        "integer": units.integer,
        "rate": units.rate_name,
        "used": units.budget_used,
        "db": lambda msssim: units.fixed(units.decibels(msssim), 2),
    }
    return made
