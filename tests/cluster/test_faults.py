"""Real processes on a LAN that fails: they find each other, survive being split in two, fetch over a bad cable, outlive a power cut.

Times are shortened by configuration (ralnode/testing/lan/nodes.py). What is awaited has a generous limit; nothing is slept for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from random import Random
from typing import Any

import pytest

from ralnode.cli.client import NodeClient
from ralnode.host.frames import Tag
from ralnode.testing.lan.nodes import LanNode, LanNodes, live_names

pytestmark = pytest.mark.timeout(240)  # four nodes on a busy machine with two cores; a quiet one needs a twentieth

SETTLE_SECONDS = 90.0
MB = 1_000_000


def add(node: LanNode, name: str, size_bytes: int) -> str:
    """A new file of noise, by `ralnode add` on that machine; its SHA-256."""
    data = Random(name).randbytes(size_bytes)
    file = node.folder / name
    file.write_bytes(data)
    out = node.folder / f"{name}.out"
    assert node.wait(node.run([*node.program, "add", str(file)], out)) == 0, out.read_text()
    file.unlink()
    return hashlib.sha256(data).hexdigest()


def read(node: LanNode, name: str) -> str:
    """The SHA-256 of the whole file as this node reads it from its own blocks and the others'."""
    digest = hashlib.sha256()
    for frame in NodeClient([node.socket]).frames("/v1/read", {"ref": name}):
        if frame.tag == Tag.DATA:
            digest.update(frame.payload)
    return digest.hexdigest()


def source(node: LanNode, name: str) -> dict[str, Any]:
    """As its status tells of it; empty while it does not know it."""
    status = node.status() or {"sources": []}
    return next((each for each in status["sources"] if each["name"] == name), {})


def has_two_copies(node: LanNode, name: str) -> bool:
    """As this node sees it."""
    histogram = source(node, name).get("histogram")
    return bool(histogram) and histogram[0] == histogram[1] == 0


def await_two_copies(nodes: LanNodes, node: LanNode, name: str) -> None:
    nodes.lan.until(lambda: has_two_copies(node, name), SETTLE_SECONDS, f"two copies of {name} as {node.name} sees it")


def await_alive(nodes: LanNodes, node: LanNode, others: Sequence[LanNode]) -> None:
    """Until it believes exactly these alive."""
    names = {each.name for each in others}
    nodes.lan.until(
        lambda: live_names(node.status() or {"nodes": []}) == names, SETTLE_SECONDS, f"{node.name} to see {names} alone"
    )


def test_they_find_each_other_by_mdns_and_keep_two_copies_of_a_file(four: LanNodes) -> None:
    digest = add(four[1], "found", 12 * MB)
    four.await_whole(SETTLE_SECONDS, len(four[1].status()["sources"]))  # type: ignore[index]
    assert "known_peers" not in four[1].config.read_text()
    for node in four.all:
        assert has_two_copies(node, "found")
        assert read(node, "found") == digest


def test_a_network_split_in_two_goes_on_on_both_sides_and_is_one_again_when_it_heals(four: LanNodes) -> None:
    before = add(four[1], "before", 6 * MB)
    four.await_whole(SETTLE_SECONDS)
    left, right = (four[1], four[2]), (four[3], four[4])
    four.lan.split([1, 2], [3, 4])
    for side in (left, right):
        for node in side:
            await_alive(four, node, side)
    digests = {"before": before, "left": add(four[1], "left", 5 * MB), "right": add(four[3], "right", 5 * MB)}
    for side, name, other in ((left, "left", "right"), (right, "right", "left")):
        for node in side:
            await_two_copies(four, node, name)
            assert source(node, other) == {}, "nothing came through the cut"
        assert read(side[1], name) == digests[name]
    assert four.lan.stats()["cut"] > 0
    four.lan.heal()
    four.await_whole(SETTLE_SECONDS, len(four[1].status()["sources"]) + 1)  # type: ignore[index]
    for node in four.all:
        for name, digest in digests.items():
            assert has_two_copies(node, name)
            assert read(node, name) == digest, f"{name} on {node.name}"


def test_a_file_is_read_whole_over_a_cable_that_loses_a_fifth_and_is_slow(four: LanNodes) -> None:
    """The file was added while the cable was pulled, so news, metadata and blocks all have to come over the bad one."""
    far = four[4]
    four.lan.link(4, up=False)
    digest = add(four[1], "far", MB)
    await_two_copies(four, four[1], "far")
    assert source(far, "far") == {}
    lost = four.lan.stats()["lost"]
    four.lan.loss(4, 0.2)
    four.lan.delay(4, 0.03)
    four.lan.heal()
    four.lan.until(lambda: bool(source(far, "far")), SETTLE_SECONDS, "the news of far")
    assert read(far, "far") == digest
    assert four.lan.stats()["lost"] > lost


def test_copies_on_a_machine_that_lost_its_power_are_made_again_by_the_others(four: LanNodes) -> None:
    digest = add(four[3], "precious", 8 * MB)
    four.await_whole(SETTLE_SECONDS)
    me = next(each for each in four[2].status()["nodes"] if each["is_me"])  # type: ignore[index]
    assert me["stored_count"] > 0, "it has something to lose"
    four[2].kill()
    others = [four[1], four[3], four[4]]
    for node in others:
        await_alive(four, node, others)
    four.await_whole(SETTLE_SECONDS)
    for node in others:
        assert has_two_copies(node, "precious")
        assert read(node, "precious") == digest
    four[2].start(four.secret)
    four.await_whole(SETTLE_SECONDS)
    assert read(four[2], "precious") == digest
