"""`GET /v1/read`, `/v1/list`, `/v1/watch`: files, folders and the status, streamed with bounded memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass

from ralnode.api import NodeControl, UsageError
from ralnode.dag import cid
from ralnode.host.control.exporting import car_of
from ralnode.host.control.importing import ROOTS_MAX
from ralnode.host.control.queries import parse
from ralnode.host.control.streams import NDJSON, Answer
from ralnode.host.control.treewriter import TreeWriter, entry_of
from ralnode.host.frames import MEDIA_TYPE, Entry, Frame, Tag
from ralnode.host.jsonable import to_jsonable


@dataclass(frozen=True, slots=True)
class ReadQuery:
    ref: str
    """NAME, NAME/path, CID or CID/path."""
    offset: int = 0
    length: int | None = None

    def __post_init__(self) -> None:
        if self.offset < 0 or (self.length is not None and self.length < 0):
            raise ValueError("offset and length must not be negative")


@dataclass(frozen=True, slots=True)
class ListQuery:
    ref: str


@dataclass(frozen=True, slots=True)
class ExportQuery:
    ref: str = ""
    """As of ListQuery; empty: all sources."""


@dataclass(frozen=True, slots=True)
class Nothing:
    pass


class Downloads:
    """The routes that read; `control` is the node's own façade."""

    def __init__(self, control: NodeControl) -> None:
        self._control = control

    async def read(self, query: Mapping[str, str], _body: AsyncIterator[bytes], answer: Answer) -> None:
        """Frames of a file, folder or symlink; a range only of a file."""
        asked = parse(ReadQuery, query, "read")
        top = await self._control.open(asked.ref)
        if (asked.offset or asked.length is not None) and top.kind != "file":
            raise UsageError(f"{asked.ref!r} is a {top.kind}; only files have ranges. Leave --offset and --length out")
        await answer.begin(MEDIA_TYPE)
        async with TreeWriter(answer) as writer:
            await writer.entry(top, "", asked.offset, asked.length)
            if top.kind == "directory":
                await writer.below(top)

    async def list(self, query: Mapping[str, str], _body: AsyncIterator[bytes], answer: Answer) -> None:
        """A line with the thing itself, then one per entry of a folder, in the order of the DAG."""
        asked = parse(ListQuery, query, "list")
        top = await self._control.open(asked.ref)
        await answer.begin(NDJSON)
        await answer.line(to_jsonable(entry_of(top, top.name)))
        if top.kind == "directory":
            async for name, key, size_bytes in top.entries():
                await answer.line({"path": name, "cid": cid.to_text(key), "size_bytes": size_bytes})
        await answer.end()

    async def watch(self, query: Mapping[str, str], _body: AsyncIterator[bytes], answer: Answer) -> None:
        """The status now and after every change, a line each, until the client hangs up."""
        parse(Nothing, query, "watch")
        await answer.begin(NDJSON)
        await answer.line(to_jsonable(self._control.status()))
        async for _ in self._control.changes():
            await answer.line(to_jsonable(self._control.status()))
        await answer.end()

    async def export(self, query: Mapping[str, str], _body: AsyncIterator[bytes], answer: Answer) -> None:
        """As `read` would a file: the bytes of a CARv1 with the root that the ENTRY names, or with those of all sources."""
        asked = parse(ExportQuery, query, "export")
        roots = [(await self._control.open(asked.ref)).cid] if asked.ref else _all_roots(self._control)
        await answer.begin(MEDIA_TYPE)
        async with TreeWriter(answer) as writer:
            await writer.frame(Entry("", "file", cid=cid.to_text(roots[0]) if len(roots) == 1 else "").encode())
            async for piece in car_of(self._control, roots):
                await writer.data(piece)
            await writer.frame(Frame(Tag.FILE_END))


def _all_roots(control: NodeControl) -> Sequence[bytes]:
    roots = [source.root for source in control.sources()]
    if not 0 < len(roots) <= ROOTS_MAX:
        raise UsageError(f"there are {len(roots)} sources; a CAR file can name 1 to {ROOTS_MAX}")
    return roots
