"""The CID of a local file or folder, without a node: the same cutting and hashing as an add, and nothing is stored."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final

from ralnode.dag.build import Built
from ralnode.dag.profile import Profile
from ralnode.host.ingest.assembly import Assembly
from ralnode.host.ingest.hashing import JOB_BYTES, JOB_ITEMS, Hasher, Part, Span
from ralnode.host.ingest.localtree import resolve, scan
from ralnode.host.ingest.model import FILE, Item

_THREADS: Final = 4
_JOBS_AHEAD: Final = 8
"""Of JOB_BYTES each: what is held at once."""


def built_of(path: Path, profile: Profile, advanced: Callable[[int], None], *, hidden: bool) -> Built:
    """Raises LocalError, NotFoundError, UsageError. `advanced(bytes)` as the work goes on."""
    assembly, hasher = Assembly(profile), Hasher(profile, link=profile.raw_leaves)
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="hash") as pool:
        waiting: deque[Future[list[Part]]] = deque()
        try:
            for job in _jobs(scan(resolve(path), hidden=hidden), profile):
                waiting.append(pool.submit(hasher.run, job))
                if len(waiting) >= _JOBS_AHEAD:
                    _take(assembly, waiting.popleft().result(), advanced)
            while waiting:
                _take(assembly, waiting.popleft().result(), advanced)
        finally:
            for left in waiting:
                left.cancel()
    return assembly.finish()[0]


def _take(assembly: Assembly, parts: Sequence[Part], advanced: Callable[[int], None]) -> None:
    assembly.take(parts)
    advanced(sum(part.content_bytes for part in parts))


def _jobs(items: Iterator[Item], profile: Profile) -> Iterator[list[Span]]:
    """Spans of whole chunks, gathered to jobs."""
    job_bytes = max(1, JOB_BYTES // profile.chunk_bytes) * profile.chunk_bytes
    job: list[Span] = []
    size_bytes = 0
    for item in items:
        for span in _spans(item, job_bytes):
            job.append(span)
            size_bytes += span.length
            if size_bytes >= job_bytes or len(job) >= JOB_ITEMS:
                yield job
                job, size_bytes = [], 0
    if job:
        yield job


def _spans(item: Item, job_bytes: int) -> Iterator[Span]:
    size = item.stamp.size_bytes
    if item.kind != FILE or not size:
        yield Span(item)
        return
    for start in range(0, size, job_bytes):
        length = min(job_bytes, size - start)
        yield Span(item, start, length, start + length == size)
