"""Blocks on their way in virtual time: from holders, from a user's file here, counted, deleted. Every fetch ends once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ralnode.api import Block, BlockKey, BlockSet, Held, StorageError
from ralnode.core import events as ev
from ralnode.core.events import Effect
from ralnode.dag import cid
from ralnode.testing.world import Machine, Shell


@dataclass(slots=True)
class _Stream:
    effect: ev.FetchBlocks | ev.CopyLinked
    holder: Machine
    holder_run: int
    places: dict[BlockKey, list[int]]
    """What is still to come, and where it stands in the source."""
    reserved_bytes: int


class SimulatedFetches:
    """Of one node, for one run of it."""

    def __init__(self, node: Shell) -> None:
        self._node = node
        self._streams: dict[int, _Stream] = {}

    def carry(self, effect: Effect) -> None:
        match effect:
            case ev.FetchBlocks() | ev.CopyLinked():
                self._begin(effect)
            case ev.CancelFetch():
                self._cancel(effect.task)
            case ev.FetchInterior():
                self._begin_interior(effect)
            case ev.LocateBlocks():
                self._node.later(self._node.world.timings.locate_seconds, self._node.locate, effect.source)
            case ev.DropSource():
                self._node.later(self._node.world.timings.save_seconds, self._drop, effect)
            case _:
                raise AssertionError(f"an effect that the simulator does not know: {effect}")

    # --- leaves -----------------------------------------------------------------------------------------------------

    def _begin(self, effect: ev.FetchBlocks | ev.CopyLinked) -> None:
        node, world = self._node, self._node.world
        holder, reason, seconds = (
            (node, "", 0.0) if isinstance(effect, ev.CopyLinked) else world.dial(node, effect.peer)
        )
        if holder is None:
            node.later(seconds, node.tell, ev.FetchEnded(effect.task, reason))
            return
        places = self._places(effect)
        size_bytes = sum(map(world.contents.size_of, places))
        try:
            node.disk.reserve(size_bytes)
        except StorageError as error:
            node.later(0.0, node.tell, ev.FetchEnded(effect.task, str(error), full=True))
            return
        self._streams[effect.task] = _Stream(effect, holder, holder.run, places, size_bytes)
        world.counters["fetches"] += 1
        node.later(seconds, self._step, effect.task)

    def _places(self, effect: ev.FetchBlocks | ev.CopyLinked) -> dict[BlockKey, list[int]]:
        """Key -> places in the source, of what is not owned yet; what is owned is reported at once."""
        leaves = self._node.world.contents.of(effect.source.root).leaves
        places: dict[BlockKey, list[int]] = {}
        owned = []
        for index in effect.blocks:
            if self._node.disk.held(leaves[index]) is Held.OWNED:
                owned.append(index)
            else:
                places.setdefault(leaves[index], []).append(index)
        if owned:
            told = ev.BlocksStored(effect.task, effect.source.root, BlockSet.of(owned), 0)
            self._node.later(0.0, self._node.tell, told)
        return places

    def _step(self, task: int) -> None:
        """The next few blocks, then the next step, or the end."""
        stream, node, timings = self._streams.get(task), self._node, self._node.world.timings
        if stream is None:
            return
        if stream.holder.run != stream.holder_run or not node.world.can_talk(node, stream.holder):
            node.later(timings.timeout_seconds, self._end, task, "the connection was lost")
            return
        batch = list(stream.places)[: timings.batch_blocks]
        come, is_bad = self._receive(stream.holder, batch)
        try:
            size_bytes = self._store(stream, come)
        except StorageError as error:
            self._end(task, str(error), full=True)
            return
        for key in batch:
            del stream.places[key]
        if is_bad:
            self._end(task, "bytes that do not hash to their CID", peer_fault=True)
        elif not stream.places:
            self._end(task, "")
        else:
            node.later(size_bytes / timings.bytes_per_second, self._step, task)

    def _receive(self, holder: Machine, keys: Sequence[BlockKey]) -> tuple[list[Block], bool]:
        """The good blocks up to the first bad one, and whether there was one."""
        come: list[Block] = []
        for key in keys:
            data = holder.serve(key)
            if data is not None and not cid.verify(key, data):
                return come, True
            if data is not None:
                come.append(Block(key, data))
        return come, False

    def _store(self, stream: _Stream, blocks: Sequence[Block]) -> int:
        node, effect = self._node, stream.effect
        if not blocks:
            return 0
        stream.reserved_bytes -= node.disk.put(blocks, stream.reserved_bytes)
        size_bytes = sum(node.world.contents.size_of(block.key) for block in blocks)
        indexes = BlockSet.of(index for block in blocks for index in stream.places[block.key])
        node.world.counters["blocks_copied" if stream.holder is node else "blocks_fetched"] += len(blocks)
        node.world.counters["bytes_fetched"] += 0 if stream.holder is node else size_bytes
        node.usage_changed()
        node.tell(ev.BlocksStored(effect.task, effect.source.root, indexes, size_bytes))
        return size_bytes

    def _end(self, task: int, reason: str, *, peer_fault: bool = False, full: bool = False) -> None:
        stream = self._streams.pop(task, None)
        if stream is None:
            return
        self._node.disk.release(stream.reserved_bytes)
        self._node.usage_changed()
        self._node.tell(ev.FetchEnded(task, reason, peer_fault=peer_fault, full=full))

    def _cancel(self, task: int) -> None:
        self._node.later(0.0, self._end, task, "cancelled")

    # --- interior nodes ---------------------------------------------------------------------------------------------

    def _begin_interior(self, effect: ev.FetchInterior) -> None:
        holder, reason, seconds = self._node.world.dial(self._node, effect.peer)
        if holder is None:
            self._node.later(seconds, self._interior_failed, effect, reason)
        else:
            self._node.later(2 * seconds, self._interior, effect, holder, holder.run)

    def _interior(self, effect: ev.FetchInterior, holder: Machine, run: int) -> None:
        node, source = self._node, effect.source
        if holder.run != run or not node.world.can_talk(node, holder):
            node.later(node.world.timings.timeout_seconds, self._interior_failed, effect, "the connection was lost")
            return
        served = holder.serve_interior(source)
        if served is None:
            self._interior_failed(effect, "the peer does not have all interior nodes")
        elif not all(cid.verify(key, data) for key, data in served):
            self._interior_failed(effect, "bytes that do not hash to their CID", peer_fault=True)
        else:
            try:
                node.disk.put([Block(key, data) for key, data in served])
            except StorageError as error:
                self._interior_failed(effect, str(error))
                return
            node.usage_changed()
            node.tell(ev.InteriorStored(source.root))

    def _interior_failed(self, effect: ev.FetchInterior, reason: str, *, peer_fault: bool = False) -> None:
        assert effect.peer.id is not None
        self._node.tell(ev.InteriorFailed(effect.source.root, effect.peer.id, reason, peer_fault))

    # --- removal ----------------------------------------------------------------------------------------------------

    def _drop(self, effect: ev.DropSource) -> None:
        """Once nothing of this source is being stored. What the catalogue has by then stays, the source too if a user
        has added it again meanwhile."""
        root, node = effect.source.root, self._node
        if any(stream.effect.source.root == root for stream in self._streams.values()):
            node.later(node.world.timings.timeout_seconds, self._drop, effect)
            return
        kept_sources = {source.root for source in (*effect.kept, *node.sources())}
        if root in {source.root for source in node.sources()}:
            return
        contents = [node.world.contents.of(kept) for kept in sorted(kept_sources - {root})]
        kept = {key for content in contents for key in (*content.leaves, *content.interior)}
        mine = node.world.contents.of(root)
        going = [key for key in dict.fromkeys((*mine.leaves, *mine.interior)) if key not in kept]
        node.world.watch.deleting(node, effect.source, going)
        node.disk.delete(going)
        node.usage_changed()
