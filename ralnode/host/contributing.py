"""What a plugin of this node brings: files as a stream (the page's uploads), DAGs to be pulled from a gateway (pins).
Stored first, then published.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from ralnode.api import Content, UsageError
from ralnode.dag import cid
from ralnode.host.control.ports import ControlNode
from ralnode.host.ingest import Added, AddOptions, UploadFile
from ralnode.host.ingest.ingest import uploaded_totals
from ralnode.host.ingest.model import FILE, UploadEntry
from ralnode.host.pulling import GatewayAddress, GatewayClient, Pull

_COPIES_MAX = 16


class Contributions:
    """One per node."""

    def __init__(self, node: ControlNode) -> None:
        self._node = node

    async def add(self, content: Content, pieces: AsyncIterator[bytes]) -> Mapping[str, Any]:
        """See `NodeControl.add`."""
        options = self._options(content)
        entry = UploadEntry(
            path="",
            kind=FILE,
            size_bytes=content.size_bytes,
            origin=content.origin,
            mtime_ns=content.mtime_ns,
            offset=content.offset,
            chunks=pieces,
        )
        announced = uploaded_totals(content.size_bytes, 1, options.profile, content.offset)
        async with self._node.ingest.unpublished.work():
            added = await self._node.ingest.add_tree(content.name, _one(entry), announced, options)
            return await self._published(added)

    async def pull(self, url: str, root: bytes, name: str) -> Mapping[str, Any]:
        """See `NodeControl.pull`."""
        client = GatewayClient(GatewayAddress.parse(url))
        options = AddOptions(name, copies=self._node.default_copies)
        work = Pull(self._node.storage, self._node.dag, client, options, lambda _progress: None)
        try:
            async with self._node.ingest.unpublished.work():
                return await self._published(await work.run(root))
        finally:
            work.close()

    async def _published(self, added: Added) -> Mapping[str, Any]:
        await self._node.publish(added.source, added.holding)
        source = added.source
        return {
            "root": cid.to_text(source.root),
            "name": source.name,
            "size_bytes": source.size_bytes,
            "leaf_count": source.leaf_count,
        }

    async def resume_offset(self, content: Content) -> int:
        """See `NodeControl.resume_offset`."""
        if not content.origin:
            return 0
        file = UploadFile(content.origin, content.size_bytes, content.mtime_ns)
        (offset,) = await self._node.ingest.resume_offsets([file], self._options(content).profile)
        return offset

    def _options(self, content: Content) -> AddOptions:
        copies = self._node.default_copies if content.copies is None else content.copies
        if not 1 <= copies <= _COPIES_MAX:
            raise UsageError(f"copies = {copies}: from 1 to {_COPIES_MAX} copies can be kept. Nothing was stored")
        if not content.name or not content.name.isprintable():
            raise UsageError(f"{content.name[:80]!r} cannot be the name of a source. Nothing was stored")
        if content.size_bytes < 0 or not 0 <= content.offset <= content.size_bytes:
            raise UsageError("the sizes of this upload make no sense. Nothing was stored")
        return AddOptions(content.name, copies=copies)


async def _one(entry: UploadEntry) -> AsyncIterator[UploadEntry]:
    yield entry
