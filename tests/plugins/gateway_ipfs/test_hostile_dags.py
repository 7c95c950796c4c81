"""DAGs that somebody made to hurt: endless by repetition, too deep, with sizes that are lies. A clear answer, soon."""

import asyncio
import time

import pytest

from ralnode.dag import cid as cids
from ralnode.dag import pb, varint
from ralnode.dag.pb import Link


def add(node, links: list[Link], data: bytes) -> bytes:
    block = pb.encode(links, data)
    key = cids.make(cids.DAG_PB, block)
    node.here[key] = block
    return key


def file_data(*sizes: int) -> bytes:
    return b"\x08\x02\x18" + varint.encode(sum(sizes)) + b"".join(b"\x20" + varint.encode(size) for size in sizes)


def doubled(node, levels: int) -> str:
    """A file of 2^levels bytes in levels + 1 blocks."""
    key, size, tsize = cids.make(cids.RAW, b"x"), 1, 1
    node.here[key] = b"x"
    for _ in range(levels):
        key, size = add(node, [Link(key, b"", min(tsize, (1 << 63) - 1))] * 2, file_data(size, size)), 2 * size
        tsize = 2 * tsize + len(node.here[key])
    return cids.to_text(key)


def nested(node, levels: int) -> str:
    key = cids.make(cids.RAW, b"x")
    node.here[key] = b"x"
    for _ in range(levels):
        key = add(node, [Link(key, b"in", 9)], b"\x08\x01")
    return cids.to_text(key)


@pytest.mark.parametrize("levels", [40, 62])
async def test_a_file_of_endlessly_many_leaves_is_read_where_asked_for(client, node, levels) -> None:
    root, size = doubled(node, levels), 1 << levels
    began = time.monotonic()
    for start in (0, size // 2 + 12345, size - 10):
        answer = await client.ask(f"/ipfs/{root}?filename=x.bin", Range=f"bytes={start}-{start + 9}")
        assert (answer.status, answer.body) == (206, b"x" * 10)
        assert answer.headers["content-range"] == f"bytes {start}-{start + 9}/{size}"
    head = await client.ask(f"/ipfs/{root}?filename=x.bin", "HEAD")
    assert head.headers["content-length"] == str(size)
    assert (await client.ask(f"/ipfs/{root}?filename=x.bin", Range=f"bytes={size}-")).status == 416
    assert len((await client.ask(f"/ipfs/{root}?format=car")).cids) == levels + 1
    assert len((await client.ask(f"/ipfs/{root}?format=car&entity-bytes=0:9")).cids) == levels + 1
    assert time.monotonic() - began < 20


async def test_a_file_larger_than_any_is_refused(client, node) -> None:
    assert (await client.ask(f"/ipfs/{doubled(node, 64)}?filename=x.bin")).status == 422


async def test_what_is_too_deep_is_refused_and_ends_early(client, node) -> None:
    root = nested(node, 300)
    assert (await client.ask(f"/ipfs/{root}{'/in' * 300}")).status == 400
    assert (await client.ask(f"/ipfs/{root}{'/in' * 250}/")).status == 200
    assert not (await client.ask(f"/ipfs/{root}?format=car")).is_whole
    archive = await client.ask(f"/ipfs/{root}?format=tar")
    assert not archive.is_whole or archive.status != 200


@pytest.mark.parametrize(("claimed", "target"), [(3, ""), (9, ""), (9, "?format=tar")])
async def test_a_leaf_of_another_size_than_claimed_is_not_passed_off(client, node, claimed, target) -> None:
    leaf = cids.make(cids.RAW, b"seven b")
    node.here[leaf] = b"seven b"
    root = cids.to_text(add(node, [Link(leaf, b"", 7)], file_data(claimed)))
    answer = await client.ask(f"/ipfs/{root}{target or '?filename=x.bin'}")
    assert not answer.is_whole or answer.status in (422, 503)


@pytest.mark.parametrize("data", [
    b"", b"\x08", b"\x08\x09", b"\x08\x02\x18\x05", b"\x08\x05\x28\x22\x30\x80\x80\x80\x80\x08", b"\x08\x02\x20\x04", b"\xff" * 40,
])  # fmt: skip
@pytest.mark.parametrize("target", ["", "/", "/x", "?format=tar", "?format=car", "/x?format=car"])
async def test_a_malformed_node_is_answered_with_a_reason_in_every_form(client, node, data, target) -> None:
    root = cids.to_text(add(node, [], data))
    answer = await client.ask(f"/ipfs/{root}{target}")
    assert answer.status in (200, 301, 400, 404, 422)
    assert answer.status != 200 or "format=car" in target or data == b"\x08\x02\x18\x05"


@pytest.mark.parametrize("target", [
    "/ipfs/%00", "/ipfs/bafkqaaa/%2e%2e/x", "/ipfs/bafkqaaa/a/../b", "/ipfs/bafkqaaa/x%00y", "/ipfs/b" + "a" * 3000,
    "/ipfs/" + "1" * 60, "/ipfs/Qm" + "1" * 44, "/ipfs/zzzz", "/ipfs/baf\xff", "/ipfs/%ff%fe", "/ipfs//bafkqaaa",
])  # fmt: skip
@pytest.mark.parametrize("form", ["", "?format=raw", "?format=car", "?format=tar"])
async def test_malformed_paths_are_400(client, target, form) -> None:
    assert (await client.ask(target.encode("latin-1").decode("latin-1").replace("\xff", "%FF") + form)).status == 400


async def test_an_endless_file_ends_when_its_reader_has_gone(client, node) -> None:
    root = doubled(node, 62)
    leaf = cids.make(cids.RAW, b"x")
    node.elsewhere[leaf] = node.here.pop(leaf)  # so that reads of it are counted
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(f"GET /ipfs/{root}?filename=x.bin HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    assert await reader.readexactly(1000) == b"x" * 1000
    writer.transport.abort()
    async with asyncio.timeout(20):
        seen = -1
        while seen != node.asked_elsewhere:
            seen = node.asked_elsewhere
            await asyncio.sleep(0.2)
