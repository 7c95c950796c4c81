"""`POST /v1/add`, `/v1/add-offsets`, `/v1/add-path`, `/v1/add-from`, `/v1/import`: content in, NDJSON progress and the result out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ralnode.api import RalnodeError, UsageError
from ralnode.api.limits import COPIES_MAX
from ralnode.dag import cid
from ralnode.dag.errors import DagError
from ralnode.dag.profile import V1_2025, choose
from ralnode.host.answers import AddedAnswer, AddProgress
from ralnode.host.control.entries import Take, UploadStream
from ralnode.host.control.importing import CarImport
from ralnode.host.control.ports import ControlNode
from ralnode.host.control.queries import parse
from ralnode.host.control.streams import JSON, NDJSON, Answer
from ralnode.host.errortable import error_table
from ralnode.host.ingest import Added, AddOptions, Progress, UploadFile
from ralnode.host.ingest.ingest import uploaded_totals
from ralnode.host.ingest.model import Report
from ralnode.host.jsonable import to_jsonable
from ralnode.host.pulling import GatewayAddress, GatewayClient, Pull

PROGRESS_SECONDS: Final = 0.2
"""Between two lines of progress."""

OFFSETS_BYTES_MAX: Final = 4 << 20
"""256 files with paths of 4 KiB, escaped."""

FILES_ASKED_MAX: Final = 1024


@dataclass(frozen=True, slots=True)
class AddQuery:
    """What all ways of adding can be told."""

    name: str = ""
    copies: int | None = None
    priority: int = 0
    profile: str = V1_2025.name
    chunk_size: str | None = None
    max_links: int | None = None
    raw_leaves: bool | None = None
    content_bytes: int = 0
    here_bytes: int = 0
    """Of `content_bytes`, what is here of an earlier, interrupted upload."""
    entry_count: int = 0
    hidden: bool = False
    path: str = ""
    url: str = ""
    """Of a gateway, and `cid` what to pull from it."""
    cid: str = ""
    insecure: bool = False
    """Take any certificate."""

    def __post_init__(self) -> None:
        if self.copies is not None and not 1 <= self.copies <= COPIES_MAX:
            raise ValueError(f"copies = {self.copies}: from 1 to {COPIES_MAX} copies can be kept")
        if min(self.content_bytes, self.here_bytes, self.entry_count) < 0:
            raise ValueError("sizes must not be negative")
        if not self.name.isprintable() or len(self.name.encode("utf-8", "replace")) > 1024:
            raise ValueError(f"name = {self.name[:80]!r}: must be printable and at most 1,024 bytes")

    def options(self, default_copies: int, *, link: bool = False) -> AddOptions:
        """Raises UsageError for parameters of the cut that make no sense."""
        cut = {"chunk_size": self.chunk_size, "max_links": self.max_links, "raw_leaves": self.raw_leaves}
        try:
            profile = choose(self.profile, **cut)  # type: ignore[arg-type]
        except DagError as error:
            raise UsageError(str(error)) from error
        copies = default_copies if self.copies is None else self.copies
        return AddOptions(self.name, profile, link, self.hidden, copies, self.priority)


class Uploads:
    """The routes that add: content becomes durable first, then it is published."""

    def __init__(self, node: ControlNode, take: Take) -> None:
        self._node = node
        self._take = take

    async def add(self, query: Mapping[str, str], body: AsyncIterator[bytes], answer: Answer) -> None:
        """Frames in (see frames.py)."""
        asked = parse(AddQuery, query, "add")
        options = asked.options(self._node.default_copies)
        announced = uploaded_totals(asked.content_bytes, asked.entry_count, options.profile, asked.here_bytes)
        name, stream = asked.name or "upload", UploadStream(body, self._take)

        def work(report: Report) -> Awaitable[list[Added]]:
            return _listed(self._node.ingest.add_tree(name, stream.entries(), announced, options, report))

        await self._tell(answer, work)

    async def add_path(self, query: Mapping[str, str], _body: AsyncIterator[bytes], answer: Answer) -> None:
        """By reference to a file or folder that this node can read."""
        asked = parse(AddQuery, query, "add-path")
        if not asked.path.startswith("/"):
            raise UsageError("add-path: the path must be absolute")
        options = asked.options(self._node.default_copies, link=True)
        path = Path(asked.path)
        await self._tell(answer, lambda report: _listed(self._node.ingest.add_path(path, options, report)))

    async def import_car(self, query: Mapping[str, str], body: AsyncIterator[bytes], answer: Answer) -> None:
        """The bytes of a CARv1 or CARv2 in; `content_bytes` is the size of the file."""
        asked = parse(AddQuery, query, "import")
        options = asked.options(self._node.default_copies)

        def work(report: Report) -> Awaitable[list[Added]]:
            return CarImport(self._node.storage, self._node.dag, options, asked.content_bytes, report).run(body)

        await self._tell(answer, work)

    async def add_from(self, query: Mapping[str, str], _body: AsyncIterator[bytes], answer: Answer) -> None:
        """Pulls `cid` from the gateway at `url`. What has come when it fails stays, and the same request goes on from there."""
        asked = parse(AddQuery, query, "add-from")
        address, options = GatewayAddress.parse(asked.url), asked.options(self._node.default_copies)
        try:
            root = cid.parse(asked.cid)
        except ValueError as error:
            raise UsageError(f"add-from: {error}") from None
        client = GatewayClient(address, insecure=asked.insecure)

        async def work(report: Report) -> list[Added]:
            pull = Pull(self._node.storage, self._node.dag, client, options, report)
            try:
                return [await pull.run(root)]
            finally:
                pull.close()

        await self._tell(answer, work)

    async def offsets(self, query: Mapping[str, str], body: AsyncIterator[bytes], answer: Answer) -> None:
        """`{"files": [[origin, size, mtime_ns], …]}` in, `{"offsets": […]}` out: what of each file is here already."""
        asked = parse(AddQuery, query, "add-offsets")
        files = _files(await _whole(body))
        offsets = await self._node.ingest.resume_offsets(files, asked.options(1).profile)
        await answer.begin(JSON)
        await answer.end(json.dumps({"offsets": offsets}).encode())

    async def _tell(self, answer: Answer, work: Callable[[Report], Awaitable[list[Added]]]) -> None:
        """Runs the work; a line of progress now and then, at last one per source, or one with the error."""
        latest = Progress()

        def report(progress: Progress) -> None:
            nonlocal latest
            latest = progress

        await answer.begin(NDJSON)
        async with self._node.ingest.unpublished.work():
            await self._follow(answer, asyncio.ensure_future(work(report)), lambda: latest)
        await answer.end()

    async def _follow(self, answer: Answer, job: asyncio.Future[list[Added]], progress: Callable[[], Progress]) -> None:
        try:
            told: Progress | None = None
            while not job.done():
                if progress() != told:
                    told = progress()
                    await answer.line({"progress": _progress(told)})
                await asyncio.wait([job], timeout=PROGRESS_SECONDS)
            for added in job.result():
                await self._node.publish(added.source, added.holding)
                await answer.line({"result": to_jsonable(_answer_of(added))})
        except RalnodeError as error:
            await answer.line(error_table(error))
        except (OSError, ValueError, TypeError, LookupError, ArithmeticError) as error:
            fault = RalnodeError(f"this is a fault of ralnode ({type(error).__name__}: {error}); see the node's log")
            await answer.line(error_table(fault))
            raise
        finally:
            job.cancel()
            await asyncio.gather(job, return_exceptions=True)


async def _listed(work: Awaitable[Added]) -> list[Added]:
    return [await work]


def _progress(progress: Progress) -> dict[str, Any]:
    return dict(to_jsonable(AddProgress(progress.bytes_done, progress.bytes_total, progress.files_done)))


def _answer_of(added: Added) -> AddedAnswer:
    source = added.source
    return AddedAnswer(
        root=cid.to_text(source.root),
        name=source.name,
        size_bytes=source.size_bytes,
        leaf_count=source.leaf_count,
        copies=source.copies,
        is_directory=source.is_directory,
        is_linked=bool(added.holding.linked),
        reused_bytes=added.reused_bytes,
    )


async def _whole(body: AsyncIterator[bytes]) -> bytes:
    data = bytearray()
    async for piece in body:
        data += piece
        if len(data) > OFFSETS_BYTES_MAX:
            raise UsageError(f"add-offsets: more than {OFFSETS_BYTES_MAX} bytes")
    return bytes(data)


def _files(data: bytes) -> list[UploadFile]:
    try:
        rows = json.loads(data)["files"]
        files = [UploadFile(origin, size_bytes, mtime_ns) for origin, size_bytes, mtime_ns in rows]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise UsageError(f"add-offsets: malformed: {error}") from error
    if len(files) > FILES_ASKED_MAX or not all(_is_plain(file) for file in files):
        raise UsageError(f"add-offsets: malformed, or more than {FILES_ASKED_MAX} files")
    return files


def _is_plain(file: UploadFile) -> bool:
    numbers_fit = all(type(number) is int for number in (file.size_bytes, file.mtime_ns))
    return isinstance(file.origin, str) and numbers_fit and file.size_bytes >= 0
