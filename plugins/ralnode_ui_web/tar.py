"""A folder of the cluster as a tar, streamed with bounded memory. Names that would lead out of it are left out."""

from __future__ import annotations

import tarfile
from collections.abc import AsyncIterator
from typing import Final, Protocol, runtime_checkable

from ralnode.api import NodeControl, Reading, RefusedError
from ralnode.dag import cid
from ralnode_ui_web.bounds import FOLDER_DEPTH_MAX

_BLOCK: Final = 512
_END: Final = bytes(2 * _BLOCK)


@runtime_checkable
class OpenFolder(Protocol):
    """What the node's own reader opens beyond `Reading`: its entries without walking the path again."""

    async def child(self, name: str, cid: bytes) -> Reading: ...


async def tar_of(node: NodeControl, top: Reading, name: str) -> AsyncIterator[bytes]:
    """Depth first. What cannot be read cuts the stream off, so that nobody takes it for the whole."""
    yield _head(name, tarfile.DIRTYPE, 0)
    waiting = [(name, top, top.entries())]
    while waiting:
        path, folder, entries = waiting[-1]
        entry = await anext(entries, None)
        if entry is None:
            waiting.pop()
            continue
        child_name, key, _size = entry
        if not child_name or child_name in (".", "..") or "/" in child_name or "\0" in child_name:
            continue
        found, inner = await _opened(node, folder, child_name, key), f"{path}/{child_name}"
        if found.kind == "directory":
            if len(waiting) >= FOLDER_DEPTH_MAX:
                raise RefusedError(f"the folder is more than {FOLDER_DEPTH_MAX} levels deep")
            yield _head(inner, tarfile.DIRTYPE, 0)
            waiting.append((inner, found, found.entries()))
        elif found.kind == "symlink":
            yield _head(inner, tarfile.SYMTYPE, 0, found.target)
        else:
            yield _head(inner, tarfile.REGTYPE, found.size_bytes)
            async for piece in found.read():
                yield piece
            if found.size_bytes % _BLOCK:
                yield bytes(_BLOCK - found.size_bytes % _BLOCK)
    yield _END


async def _opened(node: NodeControl, folder: Reading, name: str, key: bytes) -> Reading:
    if isinstance(folder, OpenFolder):
        return await folder.child(name, key)
    return await node.open(f"/ipfs/{cid.to_text(key)}")


def _head(path: str, kind: bytes, size_bytes: int, target: str = "") -> bytes:
    info = tarfile.TarInfo(path)
    info.type, info.size, info.linkname = kind, size_bytes, target
    info.mode = 0o755 if kind == tarfile.DIRTYPE else 0o644
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
