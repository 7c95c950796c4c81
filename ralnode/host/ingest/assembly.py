"""`Assembly`: takes hashed parts in their order and makes the DAG: interior blocks, links into files, checkpoints.

One call at a time, in a thread unless it `is_quick`. Knows no store: it says what has to be stored, and what may be noted
once it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from ralnode.api import Block, FileSlice, UsageError
from ralnode.api.limits import MIB
from ralnode.dag.build import Built, FileBuilder, Leaf, make_symlink
from ralnode.dag.errors import DagError
from ralnode.dag.profile import Profile
from ralnode.dag.tree import TreeBuilder
from ralnode.host.ingest.hashing import Part
from ralnode.host.ingest.model import DIRECTORY, FILE, SYMLINK, Item

CHECKPOINT_BYTES: Final = 64 * MIB
"""Content between two checkpoints inside a file. An interruption costs this and what was being stored."""
_QUICK_LINKS: Final = 2048
_QUICK_LEAVES: Final = 32


@dataclass(slots=True)
class LinkedRun:
    """Leaves that lie behind each other in a file."""

    item: Item
    slices: list[FileSlice]


@dataclass(slots=True)
class Checkpoint:
    """Leaves `number * leaves_per_checkpoint(profile)` and following of a file that is not finished."""

    item: Item
    number: int
    leaves: list[Leaf]


@dataclass(slots=True)
class Output:
    """To be stored, and then noted."""

    blocks: list[Block] = field(default_factory=list)
    runs: list[LinkedRun] = field(default_factory=list)
    checkpoints: list[Checkpoint] = field(default_factory=list)
    finished: list[tuple[Item, Built]] = field(default_factory=list)
    known: list[Item] = field(default_factory=list)
    """Files that were finished by an earlier add."""
    file_count: int = 0
    content_bytes: int = 0
    reused_bytes: int = 0


def leaves_per_checkpoint(profile: Profile) -> int:
    return max(1, CHECKPOINT_BYTES // profile.chunk_bytes)


class _OpenFile:
    __slots__ = ("builder", "item", "leaf_count", "slices", "waiting")

    def __init__(self, item: Item, profile: Profile) -> None:
        self.item = item
        self.builder = FileBuilder(profile)
        self.leaf_count = 0
        self.waiting: list[Leaf] = []
        """Since the last checkpoint."""
        self.slices: list[FileSlice] = []
        """Not handed out yet."""


class Assembly:
    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._per_checkpoint = leaves_per_checkpoint(profile)
        self._tree = TreeBuilder(profile)
        self._top: Built | None = None
        """When a single file is added."""
        self._file: _OpenFile | None = None

    def take(self, parts: Sequence[Part]) -> Output:
        """Raises UsageError for names or an order of entries that cannot be."""
        output = Output()
        try:
            for part in parts:
                self._take(part, output)
        except DagError as error:
            raise UsageError(f"cannot add this tree: {error}. Nothing was published.") from error
        return output

    def is_quick(self, parts: Sequence[Part]) -> bool:
        """Whether `take` is done sooner than a thread could begin with it: the middle of a file. At most one node of
        2,048 links is made then, in 2 ms."""
        if self._profile.max_links > _QUICK_LINKS or len(parts) > 1:
            return False
        return all(part.item.kind == FILE and not part.is_last and len(part.leaves) <= _QUICK_LEAVES for part in parts)

    def finish(self) -> tuple[Built, Output]:
        """What was added, and the last blocks of it."""
        if self._top is not None:
            return self._top, Output()
        try:
            built, blocks = self._tree.finish()
        except DagError as error:
            raise UsageError(f"cannot add this tree: {error}. Nothing was published.") from error
        return built, Output(blocks=blocks)

    def _take(self, part: Part, output: Output) -> None:
        item = part.item
        output.content_bytes += part.content_bytes
        if item.kind == DIRECTORY:
            output.blocks += self._tree.add_directory(item.path)
        elif item.kind == SYMLINK:
            built, block = make_symlink(self._profile, item.target)
            output.blocks.append(block)
            self._entry(item, built, output)
        elif part.known is not None:
            output.reused_bytes += part.content_bytes
            output.known.append(item)
            output.file_count += 1
            self._entry(item, part.known, output)
        else:
            self._leaves(part, output)

    def _entry(self, item: Item, built: Built, output: Output) -> None:
        if item.path:
            output.blocks += self._tree.add(item.path, built)
        else:
            self._top = built

    def _leaves(self, part: Part, output: Output) -> None:
        file = self._file
        if file is None or file.item is not part.item:
            file = self._file = _OpenFile(part.item, self._profile)
        output.blocks += part.blocks
        output.reused_bytes += part.content_bytes if part.is_resumed else 0
        file.slices += part.slices
        for leaf in part.leaves:
            output.blocks += file.builder.add(leaf)
            file.leaf_count += 1
            if not part.is_resumed:
                self._count(file, leaf, output)
        if part.is_last:
            self._end(file, output)

    def _count(self, file: _OpenFile, leaf: Leaf, output: Output) -> None:
        """Slices are handed out with the checkpoint that they belong to, so that its blocks are durable before it is."""
        file.waiting.append(leaf)
        if len(file.waiting) == self._per_checkpoint:
            number = file.leaf_count // self._per_checkpoint - 1
            output.checkpoints.append(Checkpoint(file.item, number, file.waiting))
            file.waiting = []
            self._hand_out(file, output)

    def _end(self, file: _OpenFile, output: Output) -> None:
        self._hand_out(file, output)
        built, blocks = file.builder.finish()
        output.blocks += blocks
        output.finished.append((file.item, built))
        output.file_count += 1
        self._entry(file.item, built, output)
        self._file = None

    @staticmethod
    def _hand_out(file: _OpenFile, output: Output) -> None:
        if file.slices:
            output.runs.append(LinkedRun(file.item, file.slices))
            file.slices = []
