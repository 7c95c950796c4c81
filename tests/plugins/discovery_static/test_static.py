"""Static peers: what is reported, how often, and that it ends cleanly."""

from __future__ import annotations

import asyncio
import dataclasses
import random

import pytest

from ralnode.api import Address, ConfigError, Hint
from ralnode.testing.fake_identity import FakeIdentity
from ralnode.testing.gossip_lab import make_context
from ralnode_discovery_static import StaticDiscovery, StaticOptions, provide_discovery


def build(known=(), seed=1, **options):
    context = make_context(FakeIdentity("me"), 1, random.Random(seed))
    settings = dataclasses.replace(context.settings, known_peers=tuple(known))
    return StaticDiscovery(dataclasses.replace(context, settings=settings), StaticOptions(**options))


async def reports_of(discovery, count):
    """The first reports; fails if they do not come."""
    heard, enough = [], asyncio.Event()

    def report(hint):
        heard.append(hint)
        if len(heard) >= count:
            enough.set()

    await discovery.start(report, 10090)
    async with asyncio.timeout(30):
        await enough.wait()
    await discovery.stop()
    return heard


async def test_known_peers_and_options_are_reported_once_each_and_again():
    discovery = build(
        [Address("10.0.0.1", 1), Address("nas.lan", 2)], peers=("[fd00::1]:3", "10.0.0.1:1"), interval_seconds=0.001
    )
    heard = await reports_of(discovery, 6)
    names = [Address("10.0.0.1", 1), Address("nas.lan", 2), Address("fd00::1", 3)]
    assert heard[:6] == [Hint(address, "static") for address in names] * 2


async def test_without_peers_nothing_is_reported_and_it_waits_until_cancelled():
    discovery = build()
    heard = []
    await discovery.start(heard.append, 10090)
    waiting = asyncio.create_task(discovery.wait())
    await asyncio.sleep(0)
    assert not waiting.done() and heard == []
    waiting.cancel()
    await asyncio.wait([waiting])
    await discovery.stop()
    await discovery.stop()


async def test_pauses_vary_by_the_jitter_and_follow_the_seed(monkeypatch):
    async def pauses(seed):
        slept = []

        async def sleep(seconds):
            slept.append(seconds)
            if len(slept) == 50:
                raise asyncio.CancelledError

        with monkeypatch.context() as patch:
            patch.setattr("ralnode_discovery_static.discovery.asyncio.sleep", sleep)
            discovery = build([Address("h", 1)], seed)
            await discovery.start(lambda hint: None, 1)
            with pytest.raises(asyncio.CancelledError):
                await discovery.wait()
        return slept

    one, same, other = await pauses(1), await pauses(1), await pauses(2)
    assert one == same != other
    assert all(24 <= seconds <= 36 for seconds in one) and max(one) - min(one) > 6


async def test_failure_of_the_receiver_comes_out_of_wait():
    discovery = build([Address("h", 1)])

    def report(hint):
        raise RuntimeError("full")

    await discovery.start(report, 1)
    with pytest.raises(RuntimeError, match="full"):
        await discovery.wait()
    await discovery.stop()


@pytest.mark.parametrize("peers", [("nas",), ("nas:0",), ("nas:70000",), (":1",), ("10.0.0.1:1", "x y")])
def test_entries_that_are_no_addresses_are_refused_by_name(peers):
    with pytest.raises(ConfigError, match=r"\[discovery.static\] peers"):
        StaticOptions(peers=peers)


@pytest.mark.parametrize("wrong", [{"interval_seconds": 0}, {"jitter_share": 1.0}, {"jitter_share": -0.1}])
def test_impossible_times_are_refused(wrong):
    with pytest.raises(ConfigError):
        StaticOptions(**wrong)


def test_provider_builds_it():
    provider = provide_discovery()
    assert provider.name == "static"
    assert isinstance(
        provider.build(make_context(FakeIdentity("me"), 1, random.Random(1)), provider.options()), StaticDiscovery
    )
