"""`Reader`: brings blocks from segments and linked files, and lets out only what verifies, or did a short while ago.

A block that does not verify may merely have moved while it was read (a segment was rewritten, a deleted record punched
out): the index is asked again before it is called bad.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, TypeAlias

from ralnode.api import BlockKey
from ralnode.api.limits import KIB, MIB
from ralnode.dag import cid
from ralnode_storage_sqlite.changes import Found
from ralnode_storage_sqlite.index import LinkedFile, Place
from ralnode_storage_sqlite.losses import Losses
from ralnode_storage_sqlite.parts import Parts
from ralnode_storage_sqlite.segments import segment_path

_JOB_BYTES: Final = 4 * MIB
"""Read by one thread at a stretch: long enough to stream, short enough to share out."""
_SPAN_BYTES: Final = MIB
"""Read by one call; small neighbours come together, a large block alone (and so without copying it)."""
_GAP_BYTES: Final = 16 * KIB
"""Rather read so much for nothing than ask once more."""
_ATTEMPTS: Final = 4

Piece: TypeAlias = tuple[BlockKey, Place]
Judge: TypeAlias = "Callable[[Piece, bytes], Outcome]"


@dataclass(frozen=True, slots=True)
class Job:
    """Pieces of one file, ascending. `linked` is the file's row if it is a user's."""

    file: int
    pieces: Sequence[Piece]
    linked: LinkedFile | None = None


@dataclass(slots=True)
class Outcome:
    good: dict[BlockKey, bytes] = field(default_factory=dict)
    bad: list[Found] = field(default_factory=list)
    changed: list[LinkedFile] = field(default_factory=list)
    """Files that are no longer what was linked."""

    def add(self, other: Outcome) -> None:
        self.good |= other.good
        self.bad += other.bad
        self.changed += other.changed


class Reader:
    """Losses that it finds are recorded and reported before it answers."""

    def __init__(self, parts: Parts, losses: Losses) -> None:
        self._index = parts.index
        self._disk = parts.disk
        self._folder = parts.home.segments
        self._threads = parts.threads
        self._losses = losses
        self._verified = parts.verified

    async def read(self, keys: Iterable[BlockKey]) -> dict[BlockKey, bytes]:
        """The verified bytes of those that are held."""
        places = await self._index.places(self._losses.without_banned(keys))
        good, _ = await self.read_at(places)
        return good

    async def read_at(
        self, places: Mapping[BlockKey, Place], *, from_platter: bool = False
    ) -> tuple[dict[BlockKey, bytes], list[BlockKey]]:
        """The verified bytes of blocks at known places, and the keys that turned out to be lost."""
        good: dict[BlockKey, bytes] = {}
        lost: list[BlockKey] = []
        for _ in range(_ATTEMPTS):
            outcome = await self._read_places(places, from_platter)
            good |= outcome.good
            for file in outcome.changed:
                lost += await self._losses.drop_file(file)
            if not outcome.bad:
                break
            now = await self._index.places([bad.key for bad in outcome.bad])
            lost += await self._losses.quarantine([bad for bad in outcome.bad if now.get(bad.key) == bad.place])
            old = {bad.key: bad.place for bad in outcome.bad}
            places = {key: place for key, place in now.items() if place != old[key]}
        return good, lost

    async def _read_places(self, places: Mapping[BlockKey, Place], from_platter: bool) -> Outcome:
        linked_ids = {-place.file for place in places.values() if place.is_linked}
        linked = await self._index.linked_files(linked_ids) if linked_ids else {}
        jobs = [
            Job(job.file, job.pieces, linked.get(-job.file))
            for job in _jobs(places)
            if job.file > 0 or -job.file in linked  # else: forgotten since the look-up
        ]
        outcome = Outcome()
        for part in await asyncio.gather(*(self._threads.read(self._do, job, from_platter) for job in jobs)):
            outcome.add(part)
        return outcome

    # --- in a thread

    def _do(self, job: Job, from_platter: bool) -> Outcome:
        path = job.linked.path if job.linked else segment_path(self._folder, job.file)
        try:
            descriptor = self._disk.open_to_read(path)
        except OSError as error:
            return self._unreachable(job, str(error.strerror))
        try:
            if job.linked and self._disk.stamp(descriptor) != job.linked.stamp:
                return Outcome(changed=[job.linked])
            return self._read_job(descriptor, job, from_platter)
        finally:
            self._disk.close(descriptor)

    def _read_job(self, descriptor: int, job: Job, from_platter: bool) -> Outcome:
        pieces = job.pieces
        judge = _judge if from_platter or job.linked else partial(self._judge_unless_known, self._verified.epoch)
        start = pieces[0][1].offset
        length = pieces[-1][1].offset + pieces[-1][1].length - start
        if from_platter:
            self._disk.drop_cache(descriptor, start, length)
        if len(pieces) > 1:
            self._disk.will_read(descriptor, start, length)
        outcome = Outcome()
        for span in _spans(pieces):
            outcome.add(self._read_span(descriptor, span, judge))
        if from_platter:
            self._disk.drop_cache(descriptor, start, length)
        return outcome

    def _read_span(self, descriptor: int, span: Sequence[Piece], judge: Judge) -> Outcome:
        start = span[0][1].offset
        end = span[-1][1].offset + span[-1][1].length
        try:
            data = self._disk.read(descriptor, end - start, start)
        except OSError as error:
            if len(span) == 1:
                return Outcome(bad=[Found(*span[0], f"cannot be read: {error.strerror}")])
            return _together(self._read_span(descriptor, [piece], judge) for piece in span)
        if len(span) == 1:
            return judge(span[0], data)
        view = memoryview(data)[: end - start]
        return _together(judge(piece, _cut(view, piece[1], start)) for piece in span)

    def _judge_unless_known(self, epoch: int, piece: Piece, data: bytes) -> Outcome:
        key, place = piece
        if len(data) == place.length and self._verified.has(place):
            return Outcome(good={key: data})
        outcome = _judge(piece, data)
        if outcome.good:
            self._verified.add([place], epoch)
        return outcome

    @staticmethod
    def _unreachable(job: Job, why: str) -> Outcome:
        if job.linked:
            return Outcome(changed=[job.linked])
        return Outcome(bad=[Found(key, place, f"cannot be read: {why}") for key, place in job.pieces])


def within_bytes(pieces: Sequence[Piece], limit_bytes: int) -> Sequence[Piece]:
    """As many of the first pieces as the limit allows, one at least."""
    size_bytes = 0
    for count, (_, place) in enumerate(pieces):
        size_bytes += place.length
        if count and size_bytes > limit_bytes:
            return pieces[:count]
    return pieces


def _cut(view: memoryview, place: Place, start: int) -> bytes:
    return bytes(view[place.offset - start : place.offset - start + place.length])


def _judge(piece: Piece, data: bytes) -> Outcome:
    key, place = piece
    if cid.verify(key, data):
        return Outcome(good={key: data})
    return Outcome(bad=[Found(key, place, "cut off" if len(data) < place.length else "does not match its CID")])


def _together(outcomes: Iterable[Outcome]) -> Outcome:
    total = Outcome()
    for outcome in outcomes:
        total.add(outcome)
    return total


def _jobs(places: Mapping[BlockKey, Place]) -> list[Job]:
    """By file and offset, in stretches of about _JOB_BYTES."""
    jobs: list[Job] = []
    stretch: list[Piece] = []
    size_bytes = 0
    for piece in sorted(places.items(), key=lambda item: item[1]):
        place = piece[1]
        if stretch and (place.file != stretch[0][1].file or size_bytes + place.length > _JOB_BYTES):
            jobs.append(Job(stretch[0][1].file, stretch))
            stretch, size_bytes = [], 0
        stretch.append(piece)
        size_bytes += place.length
    if stretch:
        jobs.append(Job(stretch[0][1].file, stretch))
    return jobs


def _spans(pieces: Sequence[Piece]) -> Iterable[Sequence[Piece]]:
    """What to read in one call each."""
    span: list[Piece] = []
    for piece in pieces:
        place = piece[1]
        if span:
            last, first = span[-1][1], span[0][1]
            gap_bytes = place.offset - last.offset - last.length
            if not 0 <= gap_bytes <= _GAP_BYTES or place.offset + place.length - first.offset > _SPAN_BYTES:
                yield span
                span = []
        span.append(piece)
    if span:
        yield span
