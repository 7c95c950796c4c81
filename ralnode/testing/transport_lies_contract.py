"""The part of `TransportContract` about peers that are members and send wrong things, by mistake or on purpose."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from ralnode.api import BadBlockError, Block, PeerError, UnavailableError
from ralnode.dag import cid
from ralnode.testing.content import content
from ralnode.testing.memory_peer import Tamper
from ralnode.testing.store_under_test import make_block
from ralnode.testing.transport_under_test import Node, TransportUnderTest

_LEAF_COUNT = 40


class TransportLiesContract(TransportUnderTest):
    async def _fetch(self, us: Node, them: Node, *, interior: bool = False) -> tuple[list[Block], Exception]:
        """What came before the error, and the error."""
        root = await them.service.add(content("lies", _LEAF_COUNT * 16 * 1024))
        leaves = us.transport.fetch_blocks(them.peer, root, them.service.leaves(root))
        stream = us.transport.fetch_interior(them.peer, root) if interior else leaves
        found: list[Block] = []
        with pytest.raises((PeerError, UnavailableError)) as caught:
            async for batch in stream:
                found += batch
        assert all(cid.verify(*block) for block in found), "what is yielded is verified, always"
        return found, caught.value

    @pytest.mark.parametrize("interior", [False, True])
    async def test_wrong_bytes_are_noticed_and_what_came_before_is_kept(
        self, us: Node, them: Node, interior: bool
    ) -> None:
        them.service.tamper = _from_batch(2, lambda batch: [Block(key, data[:-1] + b"?") for key, data in batch])
        found, error = await self._fetch(us, them, interior=interior)
        assert isinstance(error, BadBlockError)
        assert len(found) == 8

    @pytest.mark.parametrize("interior", [False, True])
    async def test_a_block_nobody_asked_for_is_refused(self, us: Node, them: Node, interior: bool) -> None:
        them.service.tamper = _from_batch(1, lambda batch: [*batch[:2], make_block(99), *batch[2:]])
        found, error = await self._fetch(us, them, interior=interior)
        assert isinstance(error, BadBlockError)
        assert len(found) == 6

    @pytest.mark.parametrize("interior", [False, True])
    async def test_a_block_that_comes_twice_is_refused(self, us: Node, them: Node, interior: bool) -> None:
        them.service.tamper = lambda batch: [*batch, batch[0]]
        found, error = await self._fetch(us, them, interior=interior)
        assert isinstance(error, BadBlockError)
        assert len(found) == 4

    async def test_interior_nodes_out_of_order_are_refused(self, us: Node, them: Node) -> None:
        them.service.tamper = lambda batch: list(reversed(batch))
        found, error = await self._fetch(us, them, interior=True)
        assert isinstance(error, BadBlockError)
        assert found == []

    async def test_a_leaf_is_no_interior_node(self, us: Node, them: Node) -> None:
        root = await them.service.add(content("lies", _LEAF_COUNT * 16 * 1024))
        key = them.service.leaves(root)[0][1]
        leaf = Block(key, (await them.service.storage.get(key)) or b"")
        them.service.tamper = _from_batch(1, lambda _: [leaf])
        _, error = await self._fetch(us, them, interior=True)
        assert isinstance(error, BadBlockError)

    @pytest.mark.parametrize("interior", [False, True])
    async def test_a_stream_that_breaks_off_is_not_taken_for_whole(self, us: Node, them: Node, interior: bool) -> None:
        def fail(batch: Sequence[Block]) -> Sequence[Block]:
            raise UnavailableError("the disk went away")

        them.service.tamper = _from_batch(2, fail)
        found, error = await self._fetch(us, them, interior=interior)
        assert isinstance(error, PeerError)
        assert not isinstance(error, BadBlockError)
        assert len(found) == 8

    async def test_a_wrong_single_block_is_refused(self, us: Node, them: Node) -> None:
        root = await them.service.add(b"content")
        them.service.tamper = lambda batch: [Block(key, data + b"!") for key, data in batch]
        with pytest.raises(BadBlockError):
            await us.transport.fetch_block(them.peer, root)

    async def test_after_a_lie_the_peer_can_still_be_asked(self, us: Node, them: Node) -> None:
        them.service.tamper = lambda batch: [*batch, batch[0]]
        await self._fetch(us, them)
        assert (await us.transport.sync(them.peer, b""))[0] == them.identity.id


def _from_batch(number: int, change: Tamper) -> Tamper:
    """Changes batches from `number` on."""
    seen = 0

    def tamper(batch: Sequence[Block]) -> Sequence[Block]:
        nonlocal seen
        seen += 1
        return change(batch) if seen > number else list(batch)

    return tamper
