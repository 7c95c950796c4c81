"""The body of a sync request or answer: one DAG-CBOR array `[version, type, …]`, strictly bounded.

Unknown trailing elements are ignored, so that fields can be added. What the parts mean is the catalogue's, the
gossip's and the holdings' business; here they are only framed.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from ralnode.api.limits import AUTHORS_MAX, SYNC_BYTES_MAX
from ralnode.api.model import NodeId
from ralnode.api.roles import Versions
from ralnode.core import dagcbor, fields
from ralnode.core.deltas import Delta, Digest, delta_from_list, delta_to_list, pack_digest, unpack_digest

VERSION: Final = 1
TYPE_SYNC: Final = 1
_HEARD: Final = struct.Struct(">32sQ")
NO_VERSIONS: Final = Versions(0, 0)


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
    heard_holdings: Mapping[NodeId, int] = field(default_factory=dict)
    """How far the sender knows other nodes' holdings: news that gossip lost reach everybody by any exchange."""


def encode_sync(body: SyncBody) -> bytes:
    """Raises ValueError if it is larger than limits.SYNC_BYTES_MAX: the caller put too much into it."""
    data = dagcbor.encode(
        [
            VERSION,
            TYPE_SYNC,
            pack_digest(body.digest),
            [delta_to_list(delta) for delta in body.deltas],
            body.gossip,
            body.holdings_since,
            body.holdings,
            list(body.my_versions),
            b"".join(_HEARD.pack(*each) for each in sorted(body.heard_holdings.items())),
        ]
    )
    if len(data) > SYNC_BYTES_MAX:
        raise ValueError(f"the sync body has {len(data)} bytes; at most {SYNC_BYTES_MAX} are allowed")
    return data


def decode_sync(data: bytes) -> SyncBody:
    """Raises ValueError on anything that is not a sync body of a known version."""
    if len(data) > SYNC_BYTES_MAX:
        raise ValueError(f"the sync body has {len(data)} bytes; at most {SYNC_BYTES_MAX} are allowed")
    items = fields.array(dagcbor.decode(data), "the sync body", 8)
    version, kind, digest, deltas, gossip, since, holdings, versions = items[:8]
    if (version, kind) != (VERSION, TYPE_SYNC):
        raise ValueError(f"sync version {version!r}, type {kind!r}: made by another version of ralnode")
    records, held = fields.array(versions, "the versions", 2)[:2]
    return SyncBody(
        digest=unpack_digest(fields.binary(digest, "the digest", SYNC_BYTES_MAX)),
        deltas=tuple(delta_from_list(item) for item in fields.array(deltas, "the deltas", 0, AUTHORS_MAX)),
        gossip=fields.binary(gossip, "the gossip exchange", SYNC_BYTES_MAX // 4),
        holdings_since=fields.integer(since, "holdings_since"),
        holdings=None if holdings is None else fields.binary(holdings, "the holdings", SYNC_BYTES_MAX),
        my_versions=Versions(fields.integer(records, "the version"), fields.integer(held, "the holdings version")),
        heard_holdings=_unpack_heard(items[8]) if len(items) > 8 else {},
    )


def _unpack_heard(value: object) -> Mapping[NodeId, int]:
    data = fields.binary(value, "the holdings versions", AUTHORS_MAX * _HEARD.size)
    if len(data) % _HEARD.size:
        raise ValueError("the holdings versions have a wrong length")
    return {node: version for node, version in _HEARD.iter_unpack(data) if version <= fields.INT_MAX}
