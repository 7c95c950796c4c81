"""Reading files and folders of the cluster: by name, by CID, by a path below either; whole or a range, verified, in order.

Memory is bounded: of a file at most two windows are held at a time, the one being handed out and the one being fetched.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from typing import Final

from ralnode.api import NotFoundError, Reading, Source, UnavailableError, UsageError
from ralnode.api.limits import BLOCK_BYTES_MAX, MIB
from ralnode.core.engine import Engine
from ralnode.dag import cid as cids
from ralnode.dag.errors import DagError, MissingBlockError, PathError
from ralnode.dag.filerange import Piece, Pieces, read_range
from ralnode.dag.listing import Entries, list_directory
from ralnode.dag.node import leaf_content
from ralnode.dag.path import Resolved, resolve, split_path
from ralnode.dag.unixfs import Kind
from ralnode.host.blockfinder import BlockFinder, Wanted
from ralnode.host.driving import drive, stream

WINDOW_BYTES: Final = 8 * MIB
_WINDOW_PIECES: Final = 128
_KINDS: Final = {Kind.DIRECTORY: "directory", Kind.SHARD: "directory", Kind.SYMLINK: "symlink"}


class Reader:
    """Opens what a reference names."""

    def __init__(self, finder: BlockFinder, engine: Engine) -> None:
        self._finder = finder
        self._engine = engine

    async def open(self, reference: str) -> Reading:
        """`NAME`, `NAME/path`, `CID`, `CID/path`; a name goes before a CID. Raises NotFoundError, UsageError,
        UnavailableError when a block on the way is out of reach."""
        source, root, rest = self._look_up(reference)
        try:
            path = split_path(rest)
            found = await drive(resolve(root, path), _Getter(self._finder, source).get)
        except MissingBlockError as error:
            raise UnavailableError(f"{reference!r} cannot be opened now: {error}") from error
        except PathError as error:
            raise NotFoundError(f"{reference!r}: {error}") from error
        except DagError as error:
            raise NotFoundError(f"{reference!r} is no file or folder that ralnode can read: {error}") from error
        name = path[-1].decode("utf-8", "surrogateescape") if path else source.name if source else cids.to_text(root)
        return DagReading(self._finder, source, found, name)

    def _look_up(self, reference: str) -> tuple[Source | None, bytes, str]:
        named = self._by_name(reference)
        if named is not None:
            return named[0], named[0].root, named[1]
        text, _, rest = reference.removeprefix("/ipfs/").partition("/")
        try:
            root = cids.parse(text)
        except ValueError:
            raise NotFoundError(
                f"nothing here is called {reference!r}, and it is no CID. `ralnode ls` shows what there is"
            ) from None
        return self._by_root(root), root, rest

    def _by_name(self, reference: str) -> tuple[Source, str] | None:
        """The longest name that the reference is, or begins with; of two alike the one added last."""
        fitting = [s for s in self._engine.sources() if reference == s.name or reference.startswith(s.name + "/")]
        if not fitting:
            return None
        best = max(fitting, key=lambda s: (len(s.name), self._engine.added_unix_ms(s.root)))
        return best, reference[len(best.name) + 1 :]

    def _by_root(self, root: bytes) -> Source | None:
        key = cids.to_key(root)
        return next((source for source in self._engine.sources() if cids.to_key(source.root) == key), None)


class DagReading:
    """`Reading` of ralnode.api over one opened node of a DAG."""

    def __init__(self, finder: BlockFinder, source: Source | None, found: Resolved, name: str) -> None:
        node = found.node
        self.name = name
        self.cid = found.cid
        self.kind = _KINDS.get(node.kind, "file")
        self.size_bytes = node.size_bytes if node.is_file else 0
        self.target = node.data.decode("utf-8", "surrogateescape") if node.kind == Kind.SYMLINK else ""
        self._node = node
        self._getter = _Getter(finder, source)

    async def read(self, offset: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """See `Reading`. Raises UsageError for what is no file, or a negative range."""
        if self.kind != "file":
            raise UsageError(f"{self.name!r} is a {self.kind}, it has no bytes to read")
        if offset < 0 or (length is not None and length < 0):
            raise UsageError("offset and length must not be negative")
        wanted = self.size_bytes if length is None else length
        pieces = stream(read_range(self.cid, self._node, offset, wanted), self._getter.get)
        try:
            async with aclosing(_windows(pieces)) as windows:
                async for content in self._ahead(windows):
                    yield content
        except MissingBlockError as error:
            raise UnavailableError(f"{self.name!r} cannot be read on: {error}") from error
        except DagError as error:
            raise NotFoundError(f"{self.name!r} is malformed: {error}") from error

    async def _ahead(self, windows: AsyncIterator[list[Piece]]) -> AsyncIterator[bytes]:
        """Fetches one window while the one before it is handed out."""
        under_way: asyncio.Task[list[bytes]] | None = None
        try:
            async for window in windows:
                following = asyncio.create_task(self._contents(window))
                if under_way is not None:
                    before, under_way = under_way, following
                    for content in await before:
                        yield content
                under_way = following
            for content in await under_way if under_way is not None else []:
                yield content
        finally:
            if under_way is not None:
                under_way.cancel()
                await asyncio.wait([under_way])

    async def _contents(self, window: Sequence[Piece]) -> list[bytes]:
        keys = [piece.key for piece in window if piece.key is not None]
        blocks = iter(await self._getter.blocks(keys))
        return [_cut(piece, next(blocks) if piece.key is not None else None) for piece in window]

    async def entries(self) -> AsyncIterator[tuple[str, bytes, int]]:
        """See `Reading`. Names that are not UTF-8 come with surrogate escapes. Raises UsageError for what is no directory."""
        if self.kind != "directory":
            raise UsageError(f"{self.name!r} is a {self.kind}, it has no entries")
        try:
            async for batch in stream(list_directory(self._node), self._getter.get):
                assert isinstance(batch, Entries)
                for entry in batch.entries:
                    yield entry.name.decode("utf-8", "surrogateescape"), entry.cid, entry.tsize
        except MissingBlockError as error:
            raise UnavailableError(f"{self.name!r} cannot be listed now: {error}") from error
        except DagError as error:
            raise NotFoundError(f"{self.name!r} is malformed: {error}") from error

    async def child(self, name: str, cid: bytes) -> DagReading:
        """What `entries` has named, opened without walking the path to it again: for whoever reads a whole tree."""
        try:
            found = await drive(resolve(cid, []), self._getter.get)
        except MissingBlockError as error:
            raise UnavailableError(f"{name!r} cannot be opened now: {error}") from error
        except DagError as error:
            raise NotFoundError(f"{name!r} is no file or folder that ralnode can read: {error}") from error
        return DagReading(self._getter.finder, self._getter.source, found, name)


class _Getter:
    """Blocks for walks and windows, all of one source."""

    def __init__(self, finder: BlockFinder, source: Source | None) -> None:
        self.finder = finder
        self.source = source

    async def get(self, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        return await self.blocks(keys)

    async def blocks(self, keys: Sequence[bytes]) -> list[bytes]:
        return await self.finder.get(Wanted(self.source, keys)) if keys else []


async def _windows(batches: AsyncIterator[Pieces | object]) -> AsyncGenerator[list[Piece], None]:
    """Pieces gathered to windows of about WINDOW_BYTES of stored blocks."""
    window: list[Piece] = []
    size = 0
    async for batch in batches:
        assert isinstance(batch, Pieces)
        for piece in batch.pieces:
            block_bytes = min(piece.block_bytes, BLOCK_BYTES_MAX)
            if window and (size + block_bytes > WINDOW_BYTES or len(window) >= _WINDOW_PIECES):
                yield window
                window, size = [], 0
            window.append(piece)
            size += block_bytes
    if window:
        yield window


def _cut(piece: Piece, block: bytes | None) -> bytes:
    """The part of the leaf's content. Raises DagError when a parent has lied about its size."""
    if piece.key is None or block is None:
        return piece.data[piece.start : piece.stop]
    content = leaf_content(piece.key, block)
    if len(content) != piece.content_bytes:
        raise DagError(f"{cids.to_text(piece.key)} has {len(content)} bytes, its parent says {piece.content_bytes}")
    return content if piece.stop - piece.start == len(content) else content[piece.start : piece.stop]
