"""Bodies of forms and of JSON, read whole within bounds. Uploads do not come here: uploading.py streams them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl

from starlette.types import Receive

from ralnode.api import UsageError
from ralnode_ui_web.bounds import BODY_BYTES_MAX, BODY_SECONDS_MAX, FIELDS_MAX

FORM: Final = "application/x-www-form-urlencoded"
JSON: Final = "application/json"


class BodyError(Exception):
    """The body is refused. Nothing was changed."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True, slots=True)
class Form:
    """Fields by name. What is asked for once is taken from the first of that name."""

    fields: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def text(self, name: str, default: str = "") -> str:
        return self.fields.get(name, (default,))[0]

    def texts(self, name: str) -> tuple[str, ...]:
        return self.fields.get(name, ())


async def read_body(receive: Receive, announced: str | None) -> bytes:
    """Raises BodyError."""
    if announced is not None and (not announced.isdigit() or int(announced) > BODY_BYTES_MAX):
        raise BodyError(413, f"A form may have {BODY_BYTES_MAX} bytes.")
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS_MAX):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise BodyError(400, "The request was cut off.")
                body += message.get("body", b"")
                if len(body) > BODY_BYTES_MAX:
                    raise BodyError(413, f"A form may have {BODY_BYTES_MAX} bytes.")
                if not message.get("more_body", False):
                    return bytes(body)
    except TimeoutError:
        raise BodyError(408, f"The form did not come within {BODY_SECONDS_MAX:.0f} s.") from None


def parse_form(body: bytes) -> Form:
    """Raises BodyError."""
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=FIELDS_MAX, errors="strict")
    except ValueError as error:
        raise BodyError(400, f"The form cannot be read: {error}") from error
    return Form(_gathered(pairs))


def parse_json(body: bytes) -> Mapping[str, Any]:
    """An object. Raises BodyError."""
    try:
        table = json.loads(body or b"{}")
    except (ValueError, RecursionError) as error:
        raise BodyError(400, f"The JSON cannot be read: {error}") from error
    if not isinstance(table, dict):
        raise BodyError(400, "The JSON must be an object.")
    return table


def form_of_json(table: Mapping[str, Any]) -> Form:
    """The same fields as a form has: texts, numbers, truth, lists of these. Raises UsageError."""
    return Form(
        {name: tuple(map(_text, value if isinstance(value, list) else [value])) for name, value in table.items()}
    )


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (str, int, float)):
        return str(value)
    raise UsageError(f"{str(value)[:80]!r} is neither text nor number. Nothing was changed")


def _gathered(pairs: list[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for name, value in pairs:
        found[name] = (*found.get(name, ()), value)
    return found
