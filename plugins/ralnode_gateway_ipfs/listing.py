"""A directory as a page, written while it is read. Its sizes are those of the links: no child is opened for them.

Which dag-pb children are folders is looked up, for the first 5,000 of them and in this node's store alone: rclone wants their
links to end with a slash. Folders with something in them are interior nodes, which every node has of the cluster's sources.
"""

from __future__ import annotations

import asyncio
import hashlib
from html import escape
from typing import Final
from urllib.parse import quote

from ralnode.api import UnavailableError
from ralnode.api.limits import MIB
from ralnode.dag import cid as cids
from ralnode.dag.errors import DagError
from ralnode.dag.listing import Entries, Entry, list_directory
from ralnode.dag.node import open_node
from ralnode.dag.path import Resolved
from ralnode.dag.unixfs import Kind
from ralnode_gateway_ipfs.answer import Body, CutShortError
from ralnode_gateway_ipfs.asked import Asked, escape_path
from ralnode_gateway_ipfs.blocks import View
from ralnode_gateway_ipfs.policy import style_only

LISTING_CACHE: Final = "public, max-age=604800, stale-while-revalidate=2678400"
"""Of pages that another release may write in another way."""
LOOKED_INTO_MAX: Final = 5000
_AT_ONCE: Final = 16
"""Blocks in memory: 32 MiB at most."""
_STYLE: Final = (
    ":root{color-scheme:light dark;--soft:#6b6b6b}@media(prefers-color-scheme:dark){:root{--soft:#a0a0a0}}"
    "body{font:16px/1.5 sans-serif;margin:2em;overflow-wrap:anywhere}h1{font-size:1.3em}td{padding:.1em 1em .1em 0}"
    ".ipfs-hash{color:var(--soft);font-size:.8em;white-space:nowrap}"
)
LISTING_POLICY: Final = style_only(_STYLE)
_TEMPLATE: Final = hashlib.sha256(b"2" + _STYLE.encode()).hexdigest()[:16]
"""Changes when the page looks different."""


def listing_etag(cid: bytes) -> str:
    return f'"DirIndex-{_TEMPLATE}_CID-{cids.to_text(cid)}"'


async def write_listing(view: View, asked: Asked, found: Resolved) -> Body:
    """HTML in pieces. Raises CutShortError."""
    path = "/" + asked.path.strip("/")
    title = escape(path.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))
    yield (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Index of {title}</title>'
        f"<style>{_STYLE}</style></head><body><h1>Index of {_breadcrumbs(asked)}</h1>\n<table>\n"
    ).encode()
    if asked.names:
        yield f'<tr><td><a href="{escape(escape_path(path))}/..">..</a></td></tr>\n'.encode()
    opened = 0
    try:
        async for batch in view.stream(list_directory(found.node)):
            assert isinstance(batch, Entries)
            for start in range(0, len(batch.entries), 500):
                part = batch.entries[start : start + 500]
                folders, opened = await _folders(view, part, opened)
                yield "".join(_row(path, entry, entry.cid in folders) for entry in part).encode()
    except (DagError, UnavailableError) as error:
        raise CutShortError(str(error)) from error
    yield b"</table></body></html>\n"


async def _folders(view: View, entries: list[Entry], opened: int) -> tuple[set[bytes], int]:
    """CIDs of those that are directories, as far as this is known without asking other nodes."""
    wanted = list({entry.cid for entry in entries if cids.codec_of(entry.cid) == cids.DAG_PB})
    wanted = wanted[: max(0, LOOKED_INTO_MAX - opened)]
    found: set[bytes] = set()
    for start in range(0, len(wanted), _AT_ONCE):
        part = wanted[start : start + _AT_ONCE]
        blocks = await asyncio.gather(*(view.local(cids.to_key(cid)) for cid in part))
        found.update(cid for cid, block in zip(part, blocks, strict=True) if block and _is_folder(cid, block))
    return found, opened + len(wanted)


def _is_folder(cid: bytes, block: bytes) -> bool:
    try:
        return open_node(cids.to_key(cid), block).kind in (Kind.DIRECTORY, Kind.SHARD)
    except DagError:
        return False


def _breadcrumbs(asked: Asked) -> str:
    href = f"/ipfs/{cids.to_text(asked.root)}"
    parts = [f'/ipfs/<a href="{href}">{cids.to_text(asked.root)}</a>']
    for name in asked.names:
        href += "/" + quote(name, safe="")
        parts.append(f'<a href="{href}">{_shown(name)}</a>')
    return "/".join(parts)


def _row(path: str, entry: Entry, is_folder: bool) -> str:
    href = escape(escape_path(path)) + "/" + quote(entry.name, safe="") + ("/" if is_folder else "")
    cid = cids.to_text(entry.cid)
    # The name is escaped twice: once as part of a file name in a URL, once as a value of a query.
    of_hash = f"/ipfs/{cid}?filename={quote(quote(entry.name, safe=''), safe='')}"
    return (
        f'<tr><td><a href="{href}">{_shown(entry.name)}</a></td>'
        f'<td><a class="ipfs-hash" translate="no" href="{of_hash}">{cid[:4]}…{cid[-4:]}</a></td>'
        f"<td>{_size(entry.tsize)}</td></tr>\n"
    )


def _shown(name: bytes) -> str:
    return escape(name.decode("utf-8", "replace"))


def _size(size_bytes: int) -> str:
    for unit, scale in (("GiB", 1024 * MIB), ("MiB", MIB), ("KiB", 1024)):
        if size_bytes >= scale:
            return f"{size_bytes / scale:.1f} {unit}"
    return f"{size_bytes} B"
