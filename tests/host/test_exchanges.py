"""Exchanges of state with peers: every one ends, in an answer or a reason."""

import asyncio
from typing import Any

import pytest

from ralnode.api import Address, Peer, PeerError, UnavailableError
from ralnode.core.events import ReplySync, SyncAnswered, SyncFailed, SyncRequested, SyncWith
from ralnode.host import exchanges as module
from ralnode.host.exchanges import Exchanges

HERE = Address("192.0.2.9", 9)
NODE = bytes(32)


def made(bench: Any) -> Exchanges:
    return Exchanges(bench.transport, bench.inbox, bench.tasks)


async def test_an_exchange_that_this_node_began_comes_back_as_an_event(bench: Any) -> None:
    bench.holder.answer = lambda body: body + b"!"
    made(bench).begin(SyncWith(bench.peer, b"hello"))
    (answered,) = await bench.until(SyncAnswered)
    assert (answered.asked, answered.peer, answered.body) == (bench.peer, bench.peer.id, b"hello!")


async def test_a_failed_exchange_comes_back_with_its_reason(bench: Any) -> None:
    stranger = Peer(bytes(31) + b"\x09", ())
    made(bench).begin(SyncWith(stranger, b"hello"))
    assert await bench.until(SyncFailed) == [SyncFailed(stranger, "cannot reach the peer")]


async def test_a_peer_that_never_answers_is_given_up(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SYNC_SECONDS_MAX", 0.01)
    bench.transport.before_batch = asyncio.Event().wait
    made(bench).begin(SyncWith(bench.peer, b"hello"))
    (failed,) = await bench.until(SyncFailed)
    assert failed.reason.startswith("no answer within")


async def test_a_fault_of_the_transport_plugin_ends_the_node(bench: Any) -> None:
    async def broken() -> None:
        raise ZeroDivisionError

    bench.transport.before_batch = broken
    made(bench).begin(SyncWith(bench.peer, b"hello"))
    while not bench.failures:
        await asyncio.sleep(0)
    assert isinstance(bench.failures.pop(), ZeroDivisionError)


async def test_a_request_waits_for_the_engines_answer(bench: Any) -> None:
    exchanges = made(bench)
    answers = [asyncio.create_task(exchanges.answer(NODE, HERE, bytes([n]))) for n in range(3)]
    asked = [event for event in await bench.until(SyncRequested) if isinstance(event, SyncRequested)]
    while len(asked) < 3:
        asked += await bench.inbox.take(1.0)
    assert [(each.peer, each.seen_at, each.body) for each in asked] == [(NODE, HERE, bytes([n])) for n in range(3)]
    for each in reversed(asked):
        exchanges.reply(ReplySync(each.request, b"re" + each.body))
    assert await asyncio.gather(*answers) == [b"re\x00", b"re\x01", b"re\x02"]


async def test_a_malformed_request_is_the_peers_fault(bench: Any) -> None:
    exchanges = made(bench)
    answer = asyncio.create_task(exchanges.answer(NODE, HERE, b"junk"))
    (asked,) = await bench.until(SyncRequested)
    exchanges.reply(ReplySync(asked.request, b"", refusal="no CBOR"))
    with pytest.raises(PeerError, match="no CBOR"):
        await answer


async def test_a_request_that_was_given_up_is_forgotten(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SYNC_SECONDS_MAX", 0.01)
    exchanges = made(bench)
    with pytest.raises(UnavailableError, match="try again"):
        await exchanges.answer(NODE, HERE, b"x")
    (asked,) = await bench.until(SyncRequested)
    exchanges.reply(ReplySync(asked.request, b"late"))
    exchanges.reply(ReplySync(12345, b"never asked"))


async def test_a_client_that_hangs_up_leaves_nothing_behind(bench: Any) -> None:
    exchanges = made(bench)
    answer = asyncio.create_task(exchanges.answer(NODE, HERE, b"x"))
    (asked,) = await bench.until(SyncRequested)
    answer.cancel()
    await asyncio.wait([answer])
    exchanges.reply(ReplySync(asked.request, b"late"))
