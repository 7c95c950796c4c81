"""How an error travels: as JSON on the control socket, in frames, and between nodes as the answer to a command."""

from __future__ import annotations

from typing import Any

from ralnode.api import errors
from ralnode.api.errors import PeerError, RalnodeError


def error_table(error: Exception) -> dict[str, Any]:
    """What is sent: `error` (the message), `exit_code`, `class`."""
    code = getattr(error, "exit_code", 1)
    return {"error": str(error) or type(error).__name__, "exit_code": code, "class": type(error).__name__}


def is_error(table: Any) -> bool:
    return isinstance(table, dict) and isinstance(table.get("error"), str) and "exit_code" in table


def error_of(table: Any) -> RalnodeError:
    """The error of such a table, as the class it had there; a PeerError when it is none."""
    if not is_error(table):
        return PeerError(f"the answer makes no sense: {str(table)[:200]!r}")
    kind = getattr(errors, str(table.get("class")), None)
    if isinstance(kind, type) and issubclass(kind, RalnodeError):
        return kind(table["error"])
    error = RalnodeError(table["error"])
    if isinstance(table["exit_code"], int):
        error.exit_code = table["exit_code"]
    return error
