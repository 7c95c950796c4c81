"""The membership table as bytes, for push/pull over the transport: `[1, rows, fingerprint]`. The first row is the sender's own.

Row: [alive record, signature, host hint, state, age in seconds, left record, signature].
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import cbor2

from ralnode.api import Liveness
from ralnode_gossip_swim.membership import is_specified
from ralnode_gossip_swim.options import EXCHANGE_BYTES_MAX, EXCHANGE_DEPTH_MAX, HOST_BYTES_MAX, MEMBERS_MAX
from ralnode_gossip_swim.records import Alive, Left, Signed, read_alive, read_left
from ralnode_gossip_swim.roster import Entry

_VERSION: Final = 1
_STATES: Final = (Liveness.ALIVE, Liveness.SUSPECT, Liveness.DEAD, Liveness.LEFT)
_CODES: Final = {state: code for code, state in enumerate(_STATES)}
_AGE_SECONDS_MAX: Final = 2**40


class Row(NamedTuple):
    signed: Signed
    claim: Alive
    host: str
    state: Liveness
    age_seconds: float
    """Since it was found dead or left."""
    left: Signed | None
    leaving: Left | None


class Table(NamedTuple):
    rows: list[Row]
    fingerprint: int | None
    """Of the sender's living nodes."""


def write(mine: Signed, left: Signed | None, entries: Iterable[Entry], fingerprint: int, now: float) -> bytes:
    """At most EXCHANGE_BYTES_MAX: rows that do not fit are left out, the living come first."""
    own = Liveness.ALIVE if left is None else Liveness.LEFT
    rows = [cbor2.dumps(_fields(mine, "", own, 0, left))]
    size = len(rows[0]) + 32
    for entry in sorted(entries, key=lambda entry: not entry.is_live):
        row = cbor2.dumps(_row(entry, now))
        size += len(row)
        if size > EXCHANGE_BYTES_MAX:
            break
        rows.append(row)
    head = b"\x83" + cbor2.dumps(_VERSION) + b"\x9a" + len(rows).to_bytes(4, "big")
    return head + b"".join(rows) + cbor2.dumps(fingerprint)


def read(data: bytes) -> Table:
    """Raises ValueError when anything in it is malformed."""
    if len(data) > EXCHANGE_BYTES_MAX:
        raise ValueError("larger than allowed")
    try:
        items = cbor2.loads(data, max_depth=EXCHANGE_DEPTH_MAX, allow_indefinite=False)
    except cbor2.CBORError as error:
        raise ValueError(f"not CBOR: {error}") from error
    if type(items) is not list or len(items) < 2 or items[0] != _VERSION or type(items[1]) is not list:
        raise ValueError("not a membership table of this version")
    if not 1 <= len(items[1]) <= MEMBERS_MAX + 1:
        raise ValueError("bad count of rows")
    fingerprint = items[2] if len(items) > 2 and type(items[2]) is int else None
    return Table([_read_row(item) for item in items[1]], fingerprint)


def _row(entry: Entry, now: float) -> list[Any]:
    hint = "" if is_specified(entry.claim.host) else entry.host
    state = Liveness.DEAD if entry.disputed else entry.liveness
    age = 0 if entry.is_live else max(0, int(now - entry.since))
    return _fields(entry.signed, hint, state, age, entry.left)


def _fields(signed: Signed, host: str, state: Liveness, age: int, left: Signed | None) -> list[Any]:
    return [*signed, host, _CODES[state], age, *(left or (None, None))]


def _read_row(item: Any) -> Row:
    if type(item) is not list or len(item) < 7:
        raise ValueError("bad row")
    record, signature, host, code, age, left_record, left_signature = item[:7]
    if type(host) is not str or len(host) > HOST_BYTES_MAX:
        raise ValueError("bad host")
    if type(code) is not int or not 0 <= code < len(_STATES):
        raise ValueError("bad state")
    if type(age) is not int or not 0 <= age <= _AGE_SECONDS_MAX:
        raise ValueError("bad age")
    signed = _signed(record, signature)
    left = _signed(left_record, left_signature) if left_record is not None else None
    if (left is None) == (_STATES[code] is Liveness.LEFT):
        raise ValueError("state and left record disagree")
    claim = read_alive(signed.record)
    leaving = read_left(left.record) if left is not None else None
    if leaving is not None and leaving.id != claim.id:
        raise ValueError("left record of another node")
    return Row(signed, claim, host, _STATES[code], age, left, leaving)


def _signed(record: object, signature: object) -> Signed:
    if type(record) is not bytes or type(signature) is not bytes or len(signature) != 64:
        raise ValueError("bad record or signature")
    return Signed(record, signature)
