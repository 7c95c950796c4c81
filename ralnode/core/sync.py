"""The body of a sync request or answer: one DAG-CBOR array `[version, type, …]`, strictly bounded.

Two types: everything, and only the sender's own holdings, which is all that most news are about. Unknown trailing elements are ignored, so that fields can be added. What the parts mean is the catalogue's, the
gossip's and the holdings' business; here they are only framed.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from ralnode.api.limits import AUTHORS_MAX, SYNC_BYTES_MAX
from ralnode.api.model import NodeId
from ralnode.api.roles import Versions
from ralnode.core import dagcbor, fields
from ralnode.core.deltas import (
    Delta,
    Digest,
    PackedDigest,
    delta_from_list,
    delta_to_list,
    pack_digest,
    unpack_digest,
)

VERSION: Final = 1
TYPE_SYNC: Final = 1
TYPE_HOLDINGS: Final = 2
_HEARD: Final = struct.Struct(">32sQ")
NO_VERSIONS: Final = Versions(0, 0)


class PackedVersions(dict[NodeId, int]):
    """How far holdings are known, with the bytes that it travels as: equal ones are compared without a look inside.
    Nobody may change it."""

    def __init__(self, versions: Mapping[NodeId, int] = MappingProxyType({}), packed: bytes | None = None) -> None:
        super().__init__(versions)
        if packed is None:
            packed = b"".join(_HEARD.pack(*each) for each in sorted(versions.items()))
        self.packed: Final = packed


@dataclass(frozen=True, slots=True)
class SyncBody:
    """The same shape in both directions; deltas may travel in either."""

    digest: Digest = field(default_factory=dict)
    deltas: tuple[Delta, ...] = ()
    gossip: bytes = b""
    """`Gossip.exchange()`, at most SYNC_BYTES_MAX / 4."""
    holdings_since: int = 0
    """Request: the version of your holdings that I know; answer with what came after."""
    holdings: bytes | None = None
    """The sender's holdings after the version that was asked for; None when there is nothing to say."""
    my_versions: Versions = NO_VERSIONS
    """The sender's own."""
    heard_holdings: PackedVersions = field(default_factory=PackedVersions)
    """How far the sender knows everybody's holdings: news that gossip lost reach everybody by any exchange."""
    only_holdings: bool = False
    """Digest, deltas, gossip and heard_holdings do not travel."""


def encode_sync(body: SyncBody) -> bytes:
    """Raises ValueError if it is larger than limits.SYNC_BYTES_MAX: the caller put too much into it."""
    data = dagcbor.encode(_holdings_fields(body) if body.only_holdings else _fields(body))
    if len(data) > SYNC_BYTES_MAX:
        raise ValueError(f"the sync body has {len(data)} bytes; at most {SYNC_BYTES_MAX} are allowed")
    return data


def _holdings_fields(body: SyncBody) -> list[object]:
    return [VERSION, TYPE_HOLDINGS, body.holdings_since, body.holdings, list(body.my_versions)]


def _fields(body: SyncBody) -> list[object]:
    return [
        VERSION,
        TYPE_SYNC,
        pack_digest(body.digest),
        [delta_to_list(delta) for delta in body.deltas],
        body.gossip,
        body.holdings_since,
        body.holdings,
        list(body.my_versions),
        body.heard_holdings.packed,
    ]


def decode_sync(
    data: bytes, mine: Callable[[], Digest] = dict, heard: Callable[[], PackedVersions] = PackedVersions
) -> SyncBody:
    """Raises ValueError on anything that is not a sync body of a known version. `mine`, `heard`: what is known here, asked
    for only if needed; if the same bytes come, these very objects are in the result, which saves reading them."""
    if len(data) > SYNC_BYTES_MAX:
        raise ValueError(f"the sync body has {len(data)} bytes; at most {SYNC_BYTES_MAX} are allowed")
    items = fields.array(dagcbor.decode(data), "the sync body", 5)
    if items[:2] == [VERSION, TYPE_HOLDINGS]:
        return SyncBody(only_holdings=True, **_read_holdings(*items[2:5]))
    if items[:2] != [VERSION, TYPE_SYNC]:
        raise ValueError(f"sync version {items[0]!r}, type {items[1]!r}: made by another version of ralnode")
    digest, deltas, gossip, *about_holdings = fields.array(items, "the sync body", 8)[2:8]
    return SyncBody(
        digest=_read_digest(digest, mine()),
        deltas=tuple(delta_from_list(item) for item in fields.array(deltas, "the deltas", 0, AUTHORS_MAX)),
        gossip=fields.binary(gossip, "the gossip exchange", SYNC_BYTES_MAX // 4),
        heard_holdings=_read_heard(items[8], heard()) if len(items) > 8 else PackedVersions(),
        **_read_holdings(*about_holdings),
    )


def _read_holdings(since: object, holdings: object, versions: object) -> dict[str, Any]:
    records, held = fields.array(versions, "the versions", 2)[:2]
    return {
        "holdings_since": fields.integer(since, "holdings_since"),
        "holdings": None if holdings is None else fields.binary(holdings, "the holdings", SYNC_BYTES_MAX),
        "my_versions": Versions(fields.integer(records, "the version"), fields.integer(held, "the holdings version")),
    }


def _read_digest(value: object, mine: Digest) -> Digest:
    data = fields.binary(value, "the digest", SYNC_BYTES_MAX)
    return mine if isinstance(mine, PackedDigest) and mine.packed == data else unpack_digest(data)


def _read_heard(value: object, mine: PackedVersions) -> PackedVersions:
    data = fields.binary(value, "the holdings versions", AUTHORS_MAX * _HEARD.size)
    if mine.packed == data:
        return mine
    if len(data) % _HEARD.size:
        raise ValueError("the holdings versions have a wrong length")
    known = {node: version for node, version in _HEARD.iter_unpack(data) if version <= fields.INT_MAX}
    return PackedVersions(known, data)
