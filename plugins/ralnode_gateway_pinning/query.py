"""`GET /pins?…`: filters, order and paging, from the request to SQL. No IO."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from ralnode.dag import cid as cids
from ralnode_gateway_pinning.model import RefusedRequestError, State, read_cid, read_meta, read_timestamp

LIMIT: Final = 10
LIMIT_MAX: Final = 1000
CIDS_MAX: Final = 10
_MATCHES: Final[Mapping[str, str]] = {
    "exact": "name = ?",
    "iexact": "folded = ?",
    "partial": "instr(name, ?) > 0",
    "ipartial": "instr(folded, ?) > 0",
}


class Query:
    """`where` and `values` for SQL, and `limit`. Raises RefusedRequestError 400 for what is not understood."""

    def __init__(self, asked: Mapping[str, str]) -> None:
        self._parts: list[str] = []
        self.values: list[Any] = []
        self._states(asked.get("status", State.PINNED.value))
        if "cid" in asked:
            self._cids(asked["cid"])
        if "name" in asked:
            self._name(asked["name"], asked.get("match", "exact"))
        for word, sign in (("before", "<"), ("after", ">")):
            if word in asked:
                self._add(f"created_ms {sign} ?", read_timestamp(asked[word], word))
        if "meta" in asked:
            self._meta(asked["meta"])
        self.limit = self._limit(asked.get("limit", str(LIMIT)))

    @property
    def where(self) -> str:
        return " AND ".join(self._parts)

    def _add(self, part: str, *values: Any) -> None:
        self._parts.append(part)
        self.values += values

    def _among(self, column: str, values: list[Any]) -> None:
        self._add(f"{column} IN ({', '.join('?' * len(values))})", *values)

    def _states(self, text: str) -> None:
        try:
            self._among("state", list({State(word).value for word in text.split(",")}))
        except ValueError:
            raise _bad(f"`status` may be {', '.join(State)}, not {text[:80]!r}") from None

    def _cids(self, text: str) -> None:
        words = text.split(",")
        if len(words) > CIDS_MAX:
            raise _bad(f"`cid` may name {CIDS_MAX} CIDs")
        self._among("key", list({cids.to_key(read_cid(word)) for word in words}))

    def _name(self, name: str, match: str) -> None:
        if match not in _MATCHES:
            raise _bad(f"`match` may be {', '.join(_MATCHES)}, not {match[:20]!r}")
        part = _MATCHES[match]
        self._add(part, name.casefold() if match.startswith("i") else name)

    def _meta(self, text: str) -> None:
        try:
            found = read_meta(json.loads(text))
        except (ValueError, RecursionError):
            raise _bad("`meta` is not JSON") from None
        for key, value in found.items():
            self._add("EXISTS (SELECT 1 FROM json_each(meta) WHERE key = ? AND value = ?)", key, value)

    def _limit(self, text: str) -> int:
        if not text.isascii() or not text.isdigit() or not 1 <= int(text[:5]) <= LIMIT_MAX or len(text) > 4:
            raise _bad(f"`limit` must be a number from 1 to {LIMIT_MAX}")
        return int(text)


def _bad(details: str) -> RefusedRequestError:
    return RefusedRequestError(400, "BAD_REQUEST", details)
