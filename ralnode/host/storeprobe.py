"""What the watchdog asks the store, so that each of its threads has to answer; nothing is changed by it."""

from __future__ import annotations

from typing import Final

from ralnode.api import BlockKey, Storage
from ralnode.dag import cid

DOCUMENT: Final = b"node/watchdog"
"""One that never exists."""
KEY: Final[BlockKey] = cid.make(cid.RAW, b"a block for the watchdog to look for")


class StoreProbe:
    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def reads(self) -> None:
        """A document and a list of blocks: a store may keep long lists apart from what is answered at once."""
        await self._storage.load_state(DOCUMENT)
        await self._storage.held([KEY])

    async def writes(self) -> None:
        """Removes what is not there: no byte is written, but the thread that writes has done it."""
        await self._storage.save_state({DOCUMENT: None})
