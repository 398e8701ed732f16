"""Choices that a recipe makes by name: a name alone, or a table of the name and settings beside it."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

T = TypeVar("T")


def open_named(what: str, known: Mapping[str, type[T]], written: str | Mapping[str, Any]) -> T:
    """The object that is written as `"noise"`, or as `{ name = "noise" }` with its settings beside the name.

    `known` are dataclasses by name. Raises ValueError, one line that says what is allowed, for anything else.
    """
    settings = {"name": written} if isinstance(written, str) else dict(written)
    name = settings.pop("name", None)
    kind = known.get(name) if isinstance(name, str) else None
    if kind is None:
        raise ValueError(f"{what} {name!r} is not known; give one of {', '.join(known)}")
    allowed = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    for key in settings:
        if key not in allowed:
            raise ValueError(f"{what} {name!r} has no setting {key!r}; it has {', '.join(allowed) or 'none'}")
    return kind(**settings)
