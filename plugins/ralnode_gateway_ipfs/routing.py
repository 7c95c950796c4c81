"""Routing V1 (https://specs.ipfs.tech/routing/http-routing-v1/): which nodes have the blocks of a CID, and where.

An empty answer is 200 (IPIP-513); what is not here is 501. Filters are those of IPIP-484.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterable, Mapping
from email.utils import formatdate
from typing import Any, Final

from starlette.types import Scope

from ralnode.api import ClusterStatus, Liveness, NodeControl, NodeStatus, SourceStatus
from ralnode.dag import cid as cids
from ralnode.dag.trustless import GatewayError
from ralnode_gateway_ipfs.answer import Answer
from ralnode_gateway_ipfs.asked import read_headers, read_query
from ralnode_gateway_ipfs.blocks import local_block
from ralnode_gateway_ipfs.options import IpfsOptions

PREFIX: Final = "/routing/v1/"
RECORDS_MAX: Final = 100
_PROTOCOL: Final = "transport-ipfs-gateway-http"
_NDJSON: Final = "application/x-ndjson"
Record = dict[str, Any]


class Routing:
    def __init__(self, node: NodeControl, options: IpfsOptions) -> None:
        self._node = node
        self._options = options

    async def answer(self, scope: Scope) -> Answer:
        """Raises GatewayError 400 or 501."""
        kind, _, text = scope["path"].removeprefix(PREFIX).partition("/")
        if scope["method"] not in ("GET", "HEAD") or kind not in ("providers", "peers") or "/" in text:
            raise GatewayError(501, "only GET /routing/v1/providers/CID and /routing/v1/peers/PEER-ID are served here")
        query, headers = read_query(scope), read_headers(scope)
        found = await (self._providers(text, scope) if kind == "providers" else self._peers(text, scope))
        records = [kept for record in found if (kept := _filtered(record, query)) is not None][:RECORDS_MAX]
        return _encode(records, kind.capitalize(), is_stream=_NDJSON in headers.get("accept", ""))

    async def _providers(self, text: str, scope: Scope) -> list[Record]:
        try:
            cid = cids.parse(text)
        except ValueError as error:
            raise GatewayError(400, str(error)) from None
        key, status = cids.to_key(cid), self._node.status()
        source = next((s for s in status.sources if cids.to_key(cids.parse(s.root)) == key), None)
        is_here = await local_block(self._node, key) is not None
        if source is None and not is_here:
            return []
        holders = [node for node in status.nodes if self._has(node, source, is_here)]
        return self._records(holders, scope)

    def _has(self, node: NodeStatus, source: SourceStatus | None, is_here: bool) -> bool:
        """This node has what it can fetch, too."""
        if node.is_me:
            return is_here or not self._options.no_fetch
        cells = source.stored.get(node.id, "") if source is not None else ""
        return node.liveness is Liveness.ALIVE and cells.strip("0") != ""

    async def _peers(self, text: str, scope: Scope) -> list[Record]:
        try:
            wanted = cids.peer_id(cids.parse_peer_id(text))
        except ValueError as error:
            raise GatewayError(400, str(error)) from None
        status: ClusterStatus = self._node.status()
        return self._records([node for node in status.nodes if node.id == wanted], scope)

    def _records(self, nodes: Iterable[NodeStatus], scope: Scope) -> list[Record]:
        """This node first. A node without an address of a gateway has none in its record."""
        found = []
        for node in sorted(nodes, key=lambda node: not node.is_me):
            host, port = self._gateway_of(node, scope)
            addresses = _addresses(host, port, self._options.tls_port) if port else []
            found.append({"Schema": "peer", "ID": node.id, "Addrs": addresses, "Protocols": [_PROTOCOL]})
        return found

    def _gateway_of(self, node: NodeStatus, scope: Scope) -> tuple[str, int]:
        """Of this node the address at which the client has just reached it."""
        if node.is_me:
            host, port = scope["server"]
            return host, port
        return node.address.rpartition(":")[0].strip("[]"), self._options.peers_port


def _addresses(host: str, port: int, tls_port: int) -> list[str]:
    """Both forms, TLS first: browsers take no other, and plain HTTP is taken by Kubo for private addresses."""
    try:
        version = ipaddress.ip_address(host).version
    except ValueError:
        return []
    name = f"/ip{'4' if version == 4 else '6'}/{host}/tcp"
    return [*([f"{name}/{tls_port}/tls/http"] if tls_port else []), f"{name}/{port}/http"]


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
        "content-type": _NDJSON if is_stream else "application/json",
        "cache-control": f"{lasting}, stale-while-revalidate=172800, stale-if-error=172800",
        "vary": "Accept",
        "last-modified": formatdate(usegmt=True),
    }
    if is_stream:
        return Answer(200, headers, "".join(json.dumps(record) + "\n" for record in records).encode())
    return Answer(200, headers, json.dumps({name: records}).encode())
