"""`Ingest`: the entry points for adding content, for the control socket and for whatever seeds a folder.

    local tree / upload  →  jobs  →  hash in threads  →  DAG in a thread  →  store, note checkpoints  →  Source, Holding
       sources.py            pipeline.py  hashing.py      assembly.py          storing.py, checkpoints.py

Several jobs are under way at once, and the sum of what they hold is bounded, whatever the size of the content. Nothing is
published here: the caller gets a `Source` whose blocks are all durable.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final

from ralnode.api import LocalError, Storage, UsageError
from ralnode.api.limits import COPIES_MAX, NAME_BYTES_MAX
from ralnode.dag.profile import V1_2025, Profile
from ralnode.host.dagindex import DagIndex
from ralnode.host.ingest.adding import Adder, Adding
from ralnode.host.ingest.checkpoints import Checkpoints
from ralnode.host.ingest.localtree import ENTRY_BYTES, Totals, measure, resolve, scan
from ralnode.host.ingest.model import FILE, Added, AddOptions, Item, Report, UploadEntry, UploadFile
from ralnode.host.ingest.sources import Hash, Jobs, item_of, local_jobs, uploaded_jobs
from ralnode.host.ingest.unpublished import Unpublished

_THREADS: Final = 2
"""SHA-256 and reads of the disk leave the interpreter to others; two keep a disk and a core busy."""


def _silent(_progress: object) -> None:
    """Nobody wants to know how far it is."""


class Ingest:
    """One per node. Adds may run beside each other; each takes its own bounded memory."""

    def __init__(self, storage: Storage, index: DagIndex, unpublished: Unpublished | None = None) -> None:
        self.unpublished = unpublished or Unpublished()
        """For whoever adds, pulls or imports: hold its `work` until the source is published."""

        self._storage = storage
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="ingest")
        self._adder = Adder(storage, index, self._threads)

    def close(self) -> None:
        """After the last add has ended or was cancelled."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def add_path(self, path: Path, options: AddOptions, report: Report = _silent) -> Added:
        """Adds a local file or folder. Goes on where an interrupted add of the same files stopped.

        Raises UsageError, NotFoundError, LocalError (cannot be read, was changed meanwhile), StorageFullError before
        anything is stored."""
        _check(options)
        top = await asyncio.to_thread(resolve, path)
        totals = await self._adder.in_thread(partial(measure, top, options.profile, hidden=options.hidden))
        adding = self._of_path(options.name or _name_of(path, top), top, totals, options, report)
        added = await self._run(adding)
        if added is None:  # what an earlier add left has gone from the store
            await adding.checkpoints.forget(_files(top, options))
            added = await self._run(adding, reuse=False)
        if added is None:
            raise LocalError(f"cannot add {path}: blocks of it vanished from the store while it was added. Try again.")
        return added

    async def add_tree(
        self,
        name: str,
        entries: AsyncIterator[UploadEntry],
        announced: Totals,
        options: AddOptions,
        report: Report = _silent,
    ) -> Added:
        """Adds what a client uploads: depth-first, a single entry with an empty path for a file by itself. `announced`
        is made with `uploaded_totals`.

        Raises UsageError, StorageFullError before anything is stored, LocalError."""
        if options.link:
            raise UsageError(
                "cannot add an upload by reference: there is no file here to refer to. Nothing was stored."
            )
        _check(options)
        checkpoints = Checkpoints(self._storage, options.profile, link=False, name=name)

        async def here_bytes() -> int:
            return announced.here_bytes

        def jobs(hashing: Hash, _reuse: bool) -> Jobs:
            return uploaded_jobs(entries, options.profile, checkpoints, hashing)

        adding = Adding(
            name, options, checkpoints, announced.content_bytes, announced.stored_bytes, jobs, here_bytes, report
        )
        added = await self._run(adding)
        if added is None:
            await checkpoints.forget_used()
            raise LocalError(f"cannot add {name}: what an earlier upload had left here is gone. Send all of it again.")
        return added

    async def resume_offsets(self, files: Sequence[UploadFile], profile: Profile = V1_2025) -> list[int]:
        """How much of each file, from its beginning, need not be sent again: 0, a part, or all of it."""
        checkpoints = Checkpoints(self._storage, profile, link=False)
        items = [
            item_of(UploadEntry("", FILE, file.size_bytes, origin=file.origin, mtime_ns=file.mtime_ns))
            for file in files
        ]
        async with self.unpublished.work():
            offsets = [await checkpoints.here_bytes(item) for item in items]
            if any(offsets):
                self.unpublished.expect()
        return offsets

    async def _run(self, adding: Adding, *, reuse: bool = True) -> Added | None:
        async with self.unpublished.work():
            return await self._adder.run(adding, reuse=reuse)

    def _of_path(self, name: str, top: Path, totals: Totals, options: AddOptions, report: Report) -> Adding:
        checkpoints = Checkpoints(self._storage, options.profile, link=options.link, name=name)

        async def here_bytes() -> int:
            return sum([await checkpoints.here_bytes(item) for item in _files(top, options)])

        def jobs(hashing: Hash, reuse: bool) -> Jobs:
            items = scan(top, hidden=options.hidden)
            return local_jobs(items, options.profile, checkpoints if reuse else None, hashing)

        needed = totals.linked_bytes if options.link else totals.stored_bytes
        return Adding(name, options, checkpoints, totals.content_bytes, needed, jobs, here_bytes, report)


def uploaded_totals(content_bytes: int, entry_count: int, profile: Profile = V1_2025, here_bytes: int = 0) -> Totals:
    """What an upload comes to. `content_bytes` of all files; of these `here_bytes` are known from `resume_offsets`."""
    stored = profile.stored_bytes(content_bytes) + entry_count * (ENTRY_BYTES + profile.stored_bytes(0))
    return Totals(content_bytes, stored, 0, entry_count, here_bytes)


def _files(top: Path, options: AddOptions) -> list[Item]:
    return [item for item in scan(top, hidden=options.hidden) if item.kind == FILE]


def _check(options: AddOptions) -> None:
    if options.link and not options.profile.raw_leaves:
        raise UsageError(
            f"cannot add by reference with profile {options.profile.name}: its blocks wrap the content, so they do not "
            "lie in the file as they are. Leave --link out, or choose a profile with raw leaves. Nothing was stored."
        )
    if not 1 <= options.copies <= COPIES_MAX:
        raise UsageError(
            f"cannot add with {options.copies} copies: from 1 to {COPIES_MAX} copies can be kept. Nothing was stored."
        )
    try:
        name_bytes = len(options.name.encode())
    except UnicodeEncodeError:
        raise UsageError(
            f"{options.name!r} cannot be the name of a source: it is no text. Nothing was stored."
        ) from None
    if name_bytes > NAME_BYTES_MAX:
        raise UsageError(f"the name of a source has at most {NAME_BYTES_MAX} bytes. Nothing was stored.")


def _name_of(path: Path, top: Path) -> str:
    """The last part of what the user wrote; bytes that are no UTF-8 are replaced, since a record holds text."""
    name = path.name if path.name not in ("", "..") else top.name
    return os.fsencode(name).decode("utf-8", "replace") or "root"
