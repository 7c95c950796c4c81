"""`GET /v1/read`, `/v1/list`, `/v1/watch`: files, folders and the status, streamed with bounded memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Final

from ralnode.api import NodeControl, RalnodeError, Reading, RefusedError, UsageError
from ralnode.api.limits import DAG_DEPTH_MAX
from ralnode.dag import cid
from ralnode.host.control.exporting import car_of
from ralnode.host.control.queries import parse
from ralnode.host.control.streams import NDJSON, Answer
from ralnode.host.frames import FRAME_BYTES_MAX, MEDIA_TYPE, Entry, Frame, Tag, check_path, encode, failure, head
from ralnode.host.jsonable import to_jsonable

SYMLINK: Final = "symlink"


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
        try:
            await self._entry(top, "", answer, asked)
            if top.kind == "directory":
                await self._tree(top, answer)
        except RalnodeError as error:
            await answer.end(encode(failure(error)))
            return
        await answer.end(encode(Frame(Tag.END)))

    async def list(self, query: Mapping[str, str], _body: AsyncIterator[bytes], answer: Answer) -> None:
        """A line with the thing itself, then one per entry of a folder, in the order of the DAG."""
        asked = parse(ListQuery, query, "list")
        top = await self._control.open(asked.ref)
        await answer.begin(NDJSON)
        await answer.line(to_jsonable(_entry_of(top, top.name)))
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
        """As `read` would a file: the bytes of a CARv1 with the root that the ENTRY names."""
        asked = parse(ListQuery, query, "export")
        top = await self._control.open(asked.ref)
        await answer.begin(MEDIA_TYPE)
        try:
            await answer.send(encode(Entry("", "file", cid=cid.to_text(top.cid)).encode()))
            async for piece in car_of(self._control, top.cid):
                await _send_data(answer, piece)
            await answer.send(encode(Frame(Tag.FILE_END)))
        except RalnodeError as error:
            await answer.end(encode(failure(error)))
            return
        await answer.end(encode(Frame(Tag.END)))

    async def _tree(self, top: Reading, answer: Answer) -> None:
        """Depth first without recursion; children are opened by path below the root's CID, whatever they are called."""
        base = cid.to_text(top.cid)
        waiting = [("", top.entries())]
        while waiting:
            path, entries = waiting[-1]
            found = await anext(entries, None)
            if found is None:
                waiting.pop()
                continue
            inner = f"{path}/{found[0]}".lstrip("/")
            _check_name(found[0], inner)
            child = await self._control.open(f"{base}/{inner}")
            await self._entry(child, inner, answer)
            if child.kind == "directory":
                if len(waiting) >= DAG_DEPTH_MAX:
                    raise RefusedError(f"the folder is more than {DAG_DEPTH_MAX} levels deep at {inner[:80]!r}")
                waiting.append((inner, child.entries()))

    async def _entry(self, found: Reading, path: str, answer: Answer, part: ReadQuery | None = None) -> None:
        await answer.send(encode(_entry_of(found, path).encode()))
        if found.kind != "file":
            return
        offset, length = (part.offset, part.length) if part else (0, None)
        async for piece in found.read(offset, length):
            await _send_data(answer, piece)
        await answer.send(encode(Frame(Tag.FILE_END)))


async def _send_data(answer: Answer, piece: bytes) -> None:
    for start in range(0, len(piece), FRAME_BYTES_MAX):
        data = piece[start : start + FRAME_BYTES_MAX] if len(piece) > FRAME_BYTES_MAX else piece
        await answer.send(head(Tag.DATA, len(data)) + data)


def _entry_of(found: Reading, path: str) -> Entry:
    size = found.size_bytes if found.kind == "file" else 0
    return Entry(path, found.kind, size, found.target if found.kind == SYMLINK else "", cid=cid.to_text(found.cid))


def _check_name(name: str, path: str) -> None:
    """A folder made by somebody else may hold names that no file system takes, or that lead out of it."""
    try:
        if not name or "/" in name:
            raise UsageError(f"{name!r} is no name")
        check_path(path)
    except UsageError as error:
        raise RefusedError(f"the folder holds an entry that cannot be written to a disk: {error}") from error
