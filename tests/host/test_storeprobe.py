"""The watchdog's questions reach the store's reading and writing, and leave nothing behind."""

from __future__ import annotations

from ralnode.host.storeprobe import DOCUMENT, KEY, StoreProbe
from ralnode.testing.memory_storage import MemoryStorage


async def test_the_probe_changes_nothing() -> None:
    storage = MemoryStorage(1 << 20)
    await storage.open(lambda keys: None)
    await storage.save_state({b"node/kept": b"1"})
    before = storage.usage()
    await StoreProbe(storage).reads()
    await StoreProbe(storage).writes()
    assert storage.usage() == before
    assert await storage.load_state(b"node/") == {b"node/kept": b"1"}
    assert not await storage.load_state(DOCUMENT)
    assert await storage.get(KEY) is None
