"""A file or a tree as a tar archive, written while it is read. No entry can lie outside of the archive's folder."""

from __future__ import annotations

import posixpath
import tarfile
from typing import Final

from ralnode.api import UnavailableError
from ralnode.api.limits import DAG_DEPTH_MAX
from ralnode.dag import cid as cids
from ralnode.dag.errors import DagError
from ralnode.dag.listing import Entries, list_directory
from ralnode.dag.path import Resolved, read_node
from ralnode.dag.unixfs import Kind
from ralnode_gateway_ipfs.answer import Body, CutShortError
from ralnode_gateway_ipfs.blocks import View
from ralnode_gateway_ipfs.files import read_file
from ralnode_gateway_ipfs.ranges import Span

_RECORD: Final = 512
_ENTRIES_MAX: Final = 1_000_000
_MODES: Final = {tarfile.DIRTYPE: 0o755, tarfile.REGTYPE: 0o644, tarfile.SYMTYPE: 0o777}


async def write_tar(view: View, found: Resolved) -> Body:
    """Raises CutShortError."""
    name = cids.to_text(found.cid)
    try:
        async for piece in _entry(view, found, name, name, 0):
            yield piece
    except (DagError, UnavailableError) as error:
        raise CutShortError(str(error)) from error
    yield bytes(2 * _RECORD)


async def _entry(view: View, found: Resolved, name: str, top: str, depth: int) -> Body:
    if depth > DAG_DEPTH_MAX:
        raise DagError(f"a tree is more than {DAG_DEPTH_MAX} deep")
    node = found.node
    if node.kind in (Kind.DIRECTORY, Kind.SHARD):
        children = await _children(view, found, name, top)
        yield _head(name, tarfile.DIRTYPE)
        for child_name, cid in children:
            child = await view.drive(read_node(cid))
            async for piece in _entry(view, child, child_name, top, depth + 1):
                yield piece
    elif node.kind == Kind.SYMLINK:
        yield _head(name, tarfile.SYMTYPE, target=node.data.decode("utf-8", "surrogateescape"))
    else:
        yield _head(name, tarfile.REGTYPE, node.size_bytes)
        async for piece in read_file(view, found, Span(0, node.size_bytes)):
            yield piece
        yield bytes(-node.size_bytes % _RECORD)


async def _children(view: View, found: Resolved, name: str, top: str) -> list[tuple[str, bytes]]:
    """All names are checked before anything of the folder is written. Raises DagError."""
    children: list[tuple[str, bytes]] = []
    async for batch in view.stream(list_directory(found.node)):
        assert isinstance(batch, Entries)
        for entry in batch.entries:
            path = posixpath.normpath(f"{name}/{entry.name.decode('utf-8', 'surrogateescape')}")
            if not path.startswith(top + "/") or "\0" in path:
                raise DagError("an entry of the directory has a name that leads out of it")
            children.append((path, entry.cid))
        if len(children) > _ENTRIES_MAX:
            raise DagError(f"a directory has more than {_ENTRIES_MAX} entries: too many for a tar")
    return children


def _head(name: str, kind: bytes, size_bytes: int = 0, target: str = "") -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname, info.mode = kind, size_bytes, target, _MODES[kind]
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
