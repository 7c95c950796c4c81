"""Routing V1 (https://specs.ipfs.tech/routing/http-routing-v1/): which nodes have the blocks of a CID, and where.

An empty answer is 200 (IPIP-513); what is not here is 501. Filters are those of IPIP-484.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable, Mapping, Sequence
from email.utils import formatdate
from typing import Any, Final

from starlette.types import Scope

from ralnode.api import GatewayStatus, NodeControl, NodeInfo
from ralnode.dag import cid as cids
from ralnode.dag.trustless import GatewayError
from ralnode_gateway_ipfs.answer import Answer
from ralnode_gateway_ipfs.asked import prefers, read_headers, read_query
from ralnode_gateway_ipfs.options import IpfsOptions

PREFIX: Final = "/routing/v1/"
RECORDS_MAX: Final = 100
HOSTS_MAX: Final = 4
"""Of one node, in two forms each: Kubo takes ten addresses of a peer."""
_PROTOCOL: Final = "transport-ipfs-gateway-http"
_JSON: Final = "application/json"
_NDJSON: Final = "application/x-ndjson"
Record = dict[str, Any]


class Routing:
    def __init__(self, node: NodeControl, options: IpfsOptions, listening: Callable[[], GatewayStatus]) -> None:
        self._node = node
        self._options = options
        self._listening = listening

    async def answer(self, scope: Scope) -> Answer:
        """Raises GatewayError 400 or 501."""
        kind, _, text = scope["path"].removeprefix(PREFIX).partition("/")
        if scope["method"] not in ("GET", "HEAD") or kind not in ("providers", "peers") or "/" in text:
            raise GatewayError(501, "only GET /routing/v1/providers/CID and /routing/v1/peers/PEER-ID are served here")
        query, headers = read_query(scope), read_headers(scope)
        found = await (self._providers(text, scope) if kind == "providers" else self._peers(text, scope))
        records = [kept for record in found if (kept := _filtered(record, query)) is not None][:RECORDS_MAX]
        return _encode(records, kind.capitalize(), is_stream=prefers(headers.get("accept", ""), _NDJSON, _JSON))

    async def _providers(self, text: str, scope: Scope) -> list[Record]:
        try:
            cid = cids.parse(text)
        except ValueError as error:
            raise GatewayError(400, str(error)) from None
        holders = self._node.holders(cid)
        if holders is None:  # no root, but maybe a block of some source: clients ask for each that they miss
            holders = await self._block_holders(cids.to_key(cid))
            if not holders:
                return []
        me, *others = self._node.nodes()
        having = {holder.id for holder in holders}
        # This node has what it can fetch, too.
        named = [me] if me.id in having or not self._options.no_fetch else []
        return [self._record(node, scope) for node in [*named, *(node for node in others if node.id in having)]]

    async def _block_holders(self, key: bytes) -> Sequence[NodeInfo]:
        if cids.identity_data(key) is not None:
            return self._node.nodes()[:1]  # it is in the CID
        return await self._node.block_holders(key)

    async def _peers(self, text: str, scope: Scope) -> list[Record]:
        try:
            wanted = cids.parse_peer_id(text)
        except ValueError as error:
            raise GatewayError(400, str(error)) from None
        return [self._record(node, scope) for node in self._node.nodes() if node.id == wanted]

    def _record(self, node: NodeInfo, scope: Scope) -> Record:
        """A node that says nothing of a gateway has no address in its record."""
        if node.id == self._node.nodes()[0].id:
            addresses = self._own_addresses(node, scope)
        else:
            addresses = _addresses([a.host for a in node.addresses], node.gateway_port, node.gateway_tls_port)
        return {"Schema": "peer", "ID": cids.peer_id(node.id), "Addrs": addresses, "Protocols": [_PROTOCOL]}

    def _own_addresses(self, me: NodeInfo, scope: Scope) -> list[str]:
        """First the one at which the client has just reached this node; the others only if it listens there."""
        found = self._listening()
        others = [address.host for address in me.addresses] if me.gateway_port else []
        return _addresses([scope["server"][0], *others], found.port, found.tls_port)


def _addresses(hosts: Sequence[str], port: int, tls_port: int) -> list[str]:
    """Both forms, plain HTTP first: Helia takes only the first one, and nobody trusts a certificate that a node signed
    itself. Browsers, which take nothing but TLS, filter by it."""
    names = [name for host in dict.fromkeys(hosts) if (name := _name_of(host))][:HOSTS_MAX]
    secure = [f"{name}/tcp/{tls_port}/tls/http" for name in names if tls_port]
    return [f"{name}/tcp/{port}/http" for name in names if port] + secure


def _name_of(host: str) -> str:
    """How a multiaddr begins; empty for what none can have."""
    try:
        return f"/ip{'4' if ipaddress.ip_address(host).version == 4 else '6'}/{host}"
    except ValueError:
        return f"/dns/{host}" if host and "/" not in host else ""


def _filtered(record: Record, query: Mapping[str, str]) -> Record | None:
    """IPIP-484: `!x` takes away, `x` keeps only what has it, `unknown` keeps a record that says nothing."""
    protocols = _words(query.get("filter-protocols", ""))
    if protocols and not (
        set(protocols) & {p.lower() for p in record["Protocols"]} or _keeps_silent(record, protocols)
    ):
        return None
    words = _words(query.get("filter-addrs", ""))
    if not words:
        return record
    if not record["Addrs"]:
        return record if "unknown" in words else None
    refused = {word[1:] for word in words if word.startswith("!")}
    wanted = {word for word in words if not word.startswith("!")}
    kept = [a for a in record["Addrs"] if not refused & _parts(a) and (not wanted or wanted & _parts(a))]
    return {**record, "Addrs": kept} if kept else None


def _keeps_silent(record: Record, words: list[str]) -> bool:
    return not record["Protocols"] and "unknown" in words


def _parts(address: str) -> set[str]:
    return set(address.split("/"))


def _words(text: str) -> list[str]:
    return [word.strip().lower() for word in text.split(",")[:32] if word.strip()]


def _encode(records: list[Record], name: str, *, is_stream: bool) -> Answer:
    lasting = "public, max-age=300" if records else "public, max-age=15"
    headers = {
        "content-type": _NDJSON if is_stream else _JSON,
        "cache-control": f"{lasting}, stale-while-revalidate=172800, stale-if-error=172800",
        "vary": "Accept",
        "last-modified": formatdate(usegmt=True),
    }
    if is_stream:
        return Answer(200, headers, "".join(json.dumps(record) + "\n" for record in records).encode())
    return Answer(200, headers, json.dumps({name: records}).encode())
