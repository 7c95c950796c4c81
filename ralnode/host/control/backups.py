"""`GET /v1/backup`: what of this node cannot be had again, as one archive. Whoever may ask this can be this node afterwards;
like the join code it is for those who own the machine, and only on the socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping

from ralnode.core import catalogue_state
from ralnode.host.backup.archive import pack
from ralnode.host.backup.collecting import collect
from ralnode.host.control.downloads import Nothing
from ralnode.host.control.ports import ControlNode
from ralnode.host.control.queries import parse
from ralnode.host.control.streams import Answer
from ralnode.host.control.treewriter import TreeWriter
from ralnode.host.frames import MEDIA_TYPE, Entry, Frame, Tag

PIECE_BYTES = 256 * 1024


class Backups:
    def __init__(self, node: ControlNode) -> None:
        self._node = node

    async def backup(self, query: Mapping[str, str], _body: AsyncIterator[bytes], answer: Answer) -> None:
        """Frames, as of a file."""
        parse(Nothing, query, "backup")
        state = await self._node.storage.load_state(catalogue_state.PREFIX)
        contents = await asyncio.to_thread(collect, self._node.origin, state)
        archive = await asyncio.to_thread(pack, contents)
        self._node.say("info", "a backup of this node's identity and catalogue was made")
        await answer.begin(MEDIA_TYPE)
        async with TreeWriter(answer) as writer:
            await writer.frame(Entry("", "file", len(archive)).encode())
            for at in range(0, len(archive), PIECE_BYTES):
                await writer.data(archive[at : at + PIECE_BYTES])
            await writer.frame(Frame(Tag.FILE_END))
