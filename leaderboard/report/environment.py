"""What the templates of all pages share: escaping, and numbers as people read them."""

from jinja2 import Environment, PackageLoader, StrictUndefined

from leaderboard import units


def environment(package: str = "leaderboard.report") -> Environment:
    """A package's templates by name, with everything escaped that comes from data."""
    made = Environment(
        loader=PackageLoader(package),
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
