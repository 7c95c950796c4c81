"""The query of a route as a frozen dataclass, strictly; the same rules as for commands."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar, get_type_hints

from ralnode.api import ConfigError, UsageError
from ralnode.host.options import convert_text, suggest

T = TypeVar("T")


def parse(cls: type[T], query: Mapping[str, str], what: str) -> T:
    """Raises UsageError for an unknown or missing name and for a wrong value."""
    hints = get_type_hints(cls)
    for name in query:
        if name not in hints:
            raise UsageError(f"{what}: unknown parameter {name[:80]!r}{suggest(name[:80], hints)}")
    try:
        values: dict[str, Any] = {name: convert_text(text, hints[name], name, what) for name, text in query.items()}
        for field in dataclasses.fields(cls):  # type: ignore[arg-type]
            if field.default is dataclasses.MISSING and field.name not in values:
                raise UsageError(f"{what}: the parameter {field.name!r} is missing")
        return cls(**values)
    except (ConfigError, ValueError) as error:
        raise UsageError(f"{what}: {error}" if isinstance(error, ValueError) else str(error)) from error
