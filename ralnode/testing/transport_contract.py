"""`TransportContract`: what every transport must do, as a test class. Subclass it and say how one is built.

    class TestMyTransport(TransportContract):
        def build(self, context): return MyTransport(context, MyOptions())
        def identity(self, folder, secret): return open_identity(folder, secret)

pytest with `asyncio_mode = "auto"` runs the rest: two or three transports on loopback, answering from memory.
"""

from __future__ import annotations

import asyncio

import pytest

from ralnode.api import (
    Address,
    LocalError,
    Peer,
    PeerError,
    RalnodeError,
    UnavailableError,
    limits,
)
from ralnode.dag import cid
from ralnode.dag.profile import V1_2025
from ralnode.testing.content import content
from ralnode.testing.memory_peer import raising
from ralnode.testing.store_under_test import make_block
from ralnode.testing.transport_lies_contract import TransportLiesContract
from ralnode.testing.transport_under_test import MakeNode, Node, close, collect, until


class TransportContract(TransportLiesContract):
    """Give it `build` and `identity`; see `TransportUnderTest`."""

    # --- sync and command

    async def test_a_sync_tells_each_side_who_the_other_is(self, us: Node, them: Node) -> None:
        them.service.answer = lambda body: b"answer to " + body
        node, address, answer = await us.transport.sync(them.peer, b"question")
        assert (node, address, answer) == (them.identity.id, them.address, b"answer to question")
        ((peer, seen_at, body),) = them.service.asked.syncs
        assert (peer, seen_at.host, body) == (us.identity.id, "127.0.0.1", b"question")

    async def test_a_peer_whose_id_is_not_known_yet_is_told_by_its_answer(self, us: Node, them: Node) -> None:
        node, _, _ = await us.transport.sync(Peer(None, (them.address,)), b"")
        assert node == them.identity.id

    async def test_bodies_of_the_largest_size_go_both_ways(self, us: Node, them: Node) -> None:
        body = content("sync", limits.SYNC_BYTES_MAX)
        _, _, answer = await us.transport.sync(them.peer, body)
        assert answer == body

    async def test_a_body_that_is_too_large_is_never_sent(self, us: Node, them: Node) -> None:
        with pytest.raises(RalnodeError):
            await us.transport.sync(them.peer, bytes(limits.SYNC_BYTES_MAX + 1))
        assert not them.service.asked.syncs

    async def test_an_answer_that_is_too_large_is_refused(self, us: Node, them: Node) -> None:
        them.service.answer = lambda _: bytes(limits.SYNC_BYTES_MAX + 1)
        with pytest.raises(PeerError):
            await us.transport.sync(them.peer, b"")

    async def test_a_command_is_answered(self, us: Node, them: Node) -> None:
        them.service.answer = lambda body: body[::-1]
        assert await us.transport.command(them.peer, b"abc") == b"cba"
        assert them.service.asked.commands == [(us.identity.id, b"abc")]

    async def test_many_requests_at_once_are_all_answered(self, us: Node, them: Node) -> None:
        answers = await asyncio.gather(*(us.transport.sync(them.peer, b"%d" % number) for number in range(100)))
        assert [answer for _, _, answer in answers] == [b"%d" % number for number in range(100)]

    async def test_a_peers_failure_is_an_error_with_its_reason(self, us: Node, them: Node) -> None:
        them.service.answer = raising(PeerError("this sync is malformed"))
        with pytest.raises(PeerError, match="this sync is malformed"):
            await us.transport.sync(them.peer, b"")
        them.service.answer = raising(UnavailableError("come back later"))
        with pytest.raises(UnavailableError, match="come back later"):
            await us.transport.command(them.peer, b"")
        them.service.answer = bytes
        await us.transport.sync(them.peer, b"")

    # --- whom we talk to

    async def test_nothing_is_sent_to_a_node_that_is_not_the_one_meant(self, us: Node, them: Node, third: Node) -> None:
        meant = Peer(third.identity.id, (them.address,))
        root = await them.service.add(b"data")
        for request in (us.transport.sync(meant, b"secret"), us.transport.command(meant, b"secret")):
            with pytest.raises(UnavailableError):
                await request
        with pytest.raises(UnavailableError):
            await collect(us.transport.fetch_blocks(meant, root, them.service.leaves(root)))
        asked = them.service.asked
        assert not (asked.syncs or asked.commands or asked.streams)

    async def test_nothing_is_exchanged_with_another_cluster(self, us: Node, stranger: Node) -> None:
        for peer in (stranger.peer, Peer(None, (stranger.address,))):
            with pytest.raises(UnavailableError):
                await us.transport.sync(peer, b"secret")
        with pytest.raises(UnavailableError):
            await stranger.transport.sync(us.peer, b"let me in")
        assert not us.service.asked.syncs
        assert not stranger.service.asked.syncs

    async def test_an_address_where_nobody_listens_is_unavailable(self, us: Node, free_address: Address) -> None:
        with pytest.raises(UnavailableError):
            await us.transport.sync(Peer(None, (free_address,)), b"")
        with pytest.raises(UnavailableError):
            await us.transport.fetch_block(Peer(None, ()), make_block(1).key)

    async def test_addresses_are_tried_in_turn(self, us: Node, them: Node, third: Node, free_address: Address) -> None:
        peer = Peer(them.identity.id, (free_address, third.address, them.address))
        _, address, _ = await us.transport.sync(peer, b"")
        assert address == them.address
        assert not third.service.asked.syncs

    # --- blocks

    async def test_leaves_are_fetched_in_batches_that_can_be_stored(self, us: Node, them: Node) -> None:
        root = await them.service.add(content("leaves", 20 * limits.MIB), V1_2025)
        keys = them.service.leaves(root)
        batches = [list(batch) async for batch in us.transport.fetch_blocks(them.peer, root, keys)]
        assert [block.key for batch in batches for block in batch] == [key for _, key in keys]
        assert all(cid.verify(*block) for batch in batches for block in batch)
        assert all(sum(len(block.data) for block in batch) <= limits.PUT_BATCH_BYTES for batch in batches)
        assert all(0 < len(batch) <= limits.PUT_BATCH_BLOCKS for batch in batches)

    async def test_a_peer_says_whether_it_holds_a_block(self, us: Node, them: Node) -> None:
        root = await them.service.add(content("held", 100_000))
        assert await us.transport.has_block(them.peer, root)
        assert not await us.transport.has_block(them.peer, make_block(1).key)
        assert await us.transport.has_block(them.peer, root), "the connection is still good"
        with pytest.raises(UnavailableError):
            await us.transport.has_block(Peer(None, ()), root)

    async def test_some_leaves_can_be_asked_for(self, us: Node, them: Node) -> None:
        root = await them.service.add(content("some", 300_000))
        keys = [pair for pair in them.service.leaves(root) if pair[0] % 3 != 1]
        found = await collect(us.transport.fetch_blocks(them.peer, root, keys))
        assert [block.key for block in found] == [key for _, key in keys]

    async def test_blocks_that_the_peer_does_not_hold_are_left_out(self, us: Node, them: Node) -> None:
        root = await them.service.add(content("holes", 300_000))
        keys = them.service.leaves(root)
        await them.service.storage.delete([key for index, key in keys if index % 2])
        found = await collect(us.transport.fetch_blocks(them.peer, root, keys))
        assert [block.key for block in found] == [key for index, key in keys if index % 2 == 0]

    async def test_a_block_that_repeats_in_a_source_is_fetched_once(self, us: Node, them: Node) -> None:
        root = await them.service.add(bytes(160 * 1024) + b"end")
        keys = them.service.leaves(root)
        assert len({key for _, key in keys}) == 2 < len(keys)
        found = await collect(us.transport.fetch_blocks(them.peer, root, keys))
        assert [block.key for block in found] == [keys[0][1], keys[-1][1]]

    async def test_leaves_with_large_indexes_cost_no_more_than_small_ones(self, us: Node, them: Node) -> None:
        root = await them.service.add(b"small")
        index = limits.LEAVES_PER_SOURCE_MAX - 1
        assert await collect(us.transport.fetch_blocks(them.peer, root, [(index, make_block(1).key)])) == []

    async def test_a_source_unknown_to_the_peer_is_unavailable(self, us: Node, them: Node) -> None:
        block = make_block(1)
        for stream in (
            us.transport.fetch_blocks(them.peer, block.key, [(0, block.key)]),
            us.transport.fetch_interior(them.peer, block.key),
        ):
            with pytest.raises(UnavailableError):
                await collect(stream)

    async def test_interior_nodes_come_depth_first(self, us: Node, them: Node) -> None:
        root = await them.service.add(content("interior", 500_000))
        found = await collect(us.transport.fetch_interior(them.peer, root))
        assert [block.key for block in found] == list(them.service.sources[root].interior)
        assert len(found) > 5

    async def test_a_source_of_one_block_has_no_interior(self, us: Node, them: Node) -> None:
        root = await them.service.add(b"tiny")
        assert await collect(us.transport.fetch_interior(them.peer, root)) == []

    @pytest.mark.parametrize("size_bytes", [0, 1, limits.BLOCK_BYTES_MAX])
    async def test_one_block_is_fetched_or_is_not_there(self, us: Node, them: Node, size_bytes: int) -> None:
        block = make_block(7, size_bytes)
        await them.service.storage.open(lambda keys: None)
        assert await us.transport.fetch_block(them.peer, block.key) is None
        await them.service.storage.put([block])
        assert await us.transport.fetch_block(them.peer, block.key) == block.data

    async def test_traffic_is_counted_for_each_peer(self, us: Node, them: Node, third: Node) -> None:
        root = await them.service.add(content("traffic", 1_000_000))
        await collect(us.transport.fetch_blocks(them.peer, root, them.service.leaves(root)))
        await us.transport.sync(third.peer, bytes(500))
        received, sent = us.transport.traffic()[them.identity.id]
        assert 1_000_000 <= received < 1_020_000
        assert sent < 10_000
        assert us.transport.traffic()[third.identity.id][1] == 500
        assert third.transport.traffic()[us.identity.id][0] == 500
        assert 1_000_000 <= them.transport.traffic()[us.identity.id][1] < 1_020_000

    # --- pace and ends

    async def test_a_slow_consumer_holds_the_sender_back(self, us: Node, them: Node) -> None:
        """96 MiB are there; a consumer that stops after one batch must not make anybody read them all."""
        root = await them.service.add(content("slow", 96 * limits.MIB), V1_2025)
        stream = us.transport.fetch_blocks(them.peer, root, them.service.leaves(root))
        await anext(aiter(stream))
        given = -1
        while given < them.service.asked.batches_given:
            given = them.service.asked.batches_given
            await asyncio.sleep(0.3)  # no event tells that nothing more happens
        assert given * 4 * limits.MIB <= 48 * limits.MIB, "the system's socket buffers hold 10 MiB of it"
        rest = await collect(stream)
        assert sum(len(block.data) for block in rest) + limits.PUT_BATCH_BYTES >= 96 * limits.MIB

    async def test_a_stream_that_is_closed_early_ends_the_work_at_the_sender(self, us: Node, them: Node) -> None:
        root = await them.service.add(content("early", 96 * limits.MIB), V1_2025)
        stream = us.transport.fetch_blocks(them.peer, root, them.service.leaves(root))
        await anext(aiter(stream))
        await close(stream)
        await until(lambda: them.service.asked.streams_ended == 1)
        assert them.service.asked.batches_given * 4 <= 48, "all else is what buffers hold"
        assert (await us.transport.sync(them.peer, b"still there"))[0] == them.identity.id

    async def test_a_cancelled_request_leaves_nothing_behind(self, us: Node, them: Node) -> None:
        root = await them.service.add(content("cancel", 96 * limits.MIB), V1_2025)

        async def fetch() -> None:
            await collect(us.transport.fetch_blocks(them.peer, root, them.service.leaves(root)))

        task = asyncio.create_task(fetch())
        await until(lambda: them.service.asked.batches_given > 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: them.service.asked.streams_ended == 1)
        assert (await us.transport.sync(them.peer, b"still there"))[0] == them.identity.id

    async def test_a_stop_in_the_middle_of_a_transfer_is_an_error_after_what_came(self, us: Node, them: Node) -> None:
        root = await them.service.add(content("stop", 48 * limits.MIB), V1_2025)
        keys = them.service.leaves(root)
        stream = us.transport.fetch_blocks(them.peer, root, keys)
        found = list(await anext(aiter(stream)))
        await asyncio.wait_for(them.transport.stop(), limits.STOP_SECONDS)
        with pytest.raises((PeerError, UnavailableError)):
            async for batch in stream:
                found += batch
        assert 0 < len(found) < len(keys)
        assert all(cid.verify(*block) for block in found)

    async def test_our_own_stop_ends_what_is_running(self, us: Node, them: Node) -> None:
        root = await them.service.add(content("own stop", 48 * limits.MIB), V1_2025)
        stream = us.transport.fetch_blocks(them.peer, root, them.service.leaves(root))
        await anext(aiter(stream))
        await asyncio.wait_for(us.transport.stop(), limits.STOP_SECONDS)
        with pytest.raises((PeerError, UnavailableError)):
            await collect(stream)
        with pytest.raises(UnavailableError):
            await us.transport.sync(them.peer, b"")

    async def test_a_port_that_is_taken_is_our_own_error(self, us: Node, make_node: MakeNode) -> None:
        with pytest.raises(LocalError):
            await make_node("late", port=us.transport.port)

    async def test_a_port_is_free_again_after_the_stop(self, us: Node, them: Node, make_node: MakeNode) -> None:
        port = them.transport.port
        await us.transport.sync(them.peer, b"")
        await them.transport.stop()
        again = await make_node("them", port=port)
        node, _, _ = await us.transport.sync(again.peer, b"")
        assert node == them.identity.id

    async def test_waiting_never_ends_by_itself(self, us: Node) -> None:
        task = asyncio.create_task(us.transport.wait())
        done, _ = await asyncio.wait([task], timeout=0.1)
        assert not done
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
