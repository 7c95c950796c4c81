"""Pulling from a gateway: by CAR, block by block, and on from where it stopped; and gateways that lie or fail."""

import asyncio
import random
import threading
import time

import pytest

from ralnode.api import (
    BadBlockError,
    NotFoundError,
    PeerError,
    RefusedError,
    StorageFullError,
    UnavailableError,
    UsageError,
)
from ralnode.api.limits import BLOCK_BYTES_MAX
from ralnode.dag import car, pb
from ralnode.dag import cid as cids
from ralnode.dag.pb import Link
from ralnode.dag.profile import choose
from ralnode.dag.unixfs import Kind
from ralnode.host.dagindex import strange_bounds


def node_of(kind: Kind, links: list[tuple[bytes, bytes, int]], sizes: list[int] | None = None) -> tuple[bytes, bytes]:
    """(key, block) of a node with any links, whatever they claim."""
    varint = lambda n: bytes([n]) if n < 128 else bytes([n & 127 | 128]) + varint(n >> 7)  # noqa: E731
    data = b"\x08" + varint(kind)
    if sizes is not None:
        data += b"\x18" + varint(sum(sizes)) + b"".join(b"\x20" + varint(size) for size in sizes)
    block = pb.encode([Link(cid, name, size) for cid, name, size in links], data)
    return cids.make(cids.DAG_PB, block), block


class TestWhole:
    async def test_one_car_brings_all_of_it(self, origin, store, film) -> None:
        origin.serve(film)
        added = await store.pull(origin.url, film.root, name="film", copies=3, priority=2)
        assert (len(origin.asked_cars), origin.asked_blocks) == (1, [])
        source = added.source
        assert (source.name, source.size_bytes, source.leaf_count, source.copies, source.priority) == (
            "film", len(film.content), 30, 3, 2,
        )  # fmt: skip
        assert len(added.holding.owned) == 30
        assert await store.holds(film)
        last = store.progress[-1]
        assert last.bytes_done == last.bytes_total == sum(map(len, film.blocks.values()))

    async def test_a_gateway_without_cars_gives_block_by_block_several_at_once(self, origin, store, film) -> None:
        origin.serve(film)
        origin.makes_cars = False
        origin.before = lambda _handler, _path: time.sleep(0.02) is not None
        added = await store.pull(origin.url, film.root)
        assert sorted(origin.asked_blocks) == sorted(film.blocks), "each once"
        assert 1 < origin.at_once_max <= 8
        assert added.source.name == cids.to_text(film.root)

    async def test_a_folder_with_files_in_another_profile(self, origin, store, tools) -> None:
        old = choose("unixfs-v0-2015", chunk_size="4096", max_links=3)
        files = {name: tools.file(random.Random(name).randbytes(size), old) for name, size in (("a", 50_000), ("b", 1))}
        folder = origin.serve(tools.folder({**files, "empty": tools.file(b"")}))
        added = await store.pull(origin.url, folder.root)
        assert (added.source.is_directory, added.source.size_bytes) == (True, 50_001)
        assert await store.holds(folder)
        origin.makes_cars = False
        single = origin.serve(files["a"])
        assert cids.is_v0(single.root)
        added = await store.pull(origin.url, single.root)
        assert added.source.root == single.root
        assert set(origin.asked_blocks).isdisjoint(folder.blocks), "what is here is not asked for"

    @pytest.mark.parametrize("data", [b"", b"one block"])
    async def test_a_single_block_and_one_inside_its_cid(self, origin, store, tools, data) -> None:
        made = origin.serve(tools.file(data))
        assert (await store.pull(origin.url, made.root)).source.size_bytes == len(data)
        inline = bytes((1, cids.RAW, 0, 5)) + b"hello"
        assert (await store.pull(origin.url, inline)).source.leaf_count == 0

    async def test_no_cookie_comes_back_and_connections_are_used_again(self, origin, store, film) -> None:
        origin.serve(film)
        origin.makes_cars = False
        peers = set()

        def before(handler, _path) -> bool:
            peers.add(handler.client_address)
            handler.extra = handler.send_header
            return False

        origin.before = before
        await store.pull(origin.url, film.root)
        assert not any("cookie" in each or "authorization" in each for each in origin.headers)
        assert {each["accept"].partition(";")[0] for each in origin.headers} == {
            "application/vnd.ipld.car", "application/vnd.ipld.raw",
        }  # fmt: skip
        assert len(peers) <= 10, "the refused CAR, and one for each thread"


class TestResume:
    async def test_a_car_that_breaks_off_is_followed_by_what_is_missing(self, origin, store, film) -> None:
        origin.serve(film)
        origin.cut_cars_after = 60_000
        await store.pull(origin.url, film.root)
        assert await store.holds(film)
        assert len(origin.asked_cars) <= 8, "of all, and of each node that had not come"
        assert len(origin.asked_blocks) == len(set(origin.asked_blocks)) <= 4, "of the node that was broken off in"

    async def test_an_interrupted_pull_goes_on_and_asks_for_nothing_twice(self, origin, store, film) -> None:
        origin.serve(film)
        origin.makes_cars = False
        leaves = [key for key in film.blocks if cids.codec_of(key) == cids.RAW]
        gone = {key: origin.blocks.pop(key) for key in leaves[20:]}
        with pytest.raises(NotFoundError, match="has no such block"):
            await store.pull(origin.url, film.root)
        found = zip(film.blocks, await store.storage.get_many(list(film.blocks)), strict=True)
        here = {key for key, block in found if block is not None}
        assert len(here) >= len(film.blocks) - 10 - 8, "but for those that were under way when it failed"
        origin.blocks.update(gone)
        origin.asked_blocks.clear()
        await store.pull(origin.url, film.root)
        assert here.isdisjoint(origin.asked_blocks)
        assert await store.holds(film)

    async def test_a_pull_that_is_cancelled_ends_at_once_and_keeps_what_came(self, origin, store, film) -> None:
        origin.serve(film)
        origin.makes_cars = False
        leaves = [key for key in film.blocks if cids.codec_of(key) == cids.RAW]
        reached, go_on = asyncio.Event(), threading.Event()
        loop = asyncio.get_running_loop()

        def twist(key: bytes, data: bytes) -> bytes:
            if key == leaves[20]:
                loop.call_soon_threadsafe(reached.set)
                go_on.wait(30)
            return data

        origin.twist = twist
        task = asyncio.create_task(store.pull(origin.url, film.root))
        await asyncio.wait_for(reached.wait(), 20)
        began = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert time.monotonic() - began < 20
        go_on.set()
        assert sum(block is not None for block in await store.storage.get_many(list(film.blocks))) >= 12


class TestLies:
    async def test_bytes_that_do_not_hash_are_never_stored(self, origin, store, film) -> None:
        origin.serve(film)
        bad = list(film.blocks)[15]
        origin.twist = lambda key, data: b"x" + data[1:] if key == bad else data
        with pytest.raises(BadBlockError, match="do not hash"):
            await store.pull(origin.url, film.root)
        assert await store.storage.get(bad) is None
        here = [(key, await store.storage.get(key)) for key in film.blocks]
        assert all(cids.verify(key, data) for key, data in here if data is not None)

    async def test_a_car_full_of_other_things_leaves_nothing(self, origin, store, film, tools) -> None:
        origin.serve(film)
        junk = [random.Random(n).randbytes(100) for n in range(12_000)]
        body = car.encode_header([film.root]) + b"".join(car.encode_section(cids.make(cids.RAW, d), d) for d in junk)

        def before(handler, path) -> bool:
            if "format=car" not in path:
                return False
            handler.answer(200, body, Content_Type="application/vnd.ipld.car")
            return True

        origin.before = before
        await store.pull(origin.url, film.root)
        assert store.storage.usage().block_count == len(film.blocks)

    @pytest.mark.parametrize("body", [
        b"", b"\0" * 100_000, b"junk", car.encode_header([cids.make(cids.RAW, b"x")]) + b"\0" * 100_000, b"\xff" * 20,
    ], ids=["empty", "empty sections", "junk", "empty sections behind a header", "endless varint"])  # fmt: skip
    async def test_nonsense_instead_of_a_car_is_passed_over(self, origin, store, film, body) -> None:
        origin.serve(film)

        def before(handler, path) -> bool:
            if "format=car" in path:
                handler.answer(200, body, Content_Type="application/vnd.ipld.car")
            return "format=car" in path

        origin.before = before
        await store.pull(origin.url, film.root)
        assert await store.holds(film)

    async def test_a_block_that_is_too_large_is_refused_before_it_is_read(self, origin, store, tools) -> None:
        origin.makes_cars = False
        made = origin.serve(tools.file(b"small"))
        origin.twist = lambda _key, data: data + bytes(BLOCK_BYTES_MAX)
        with pytest.raises(PeerError, match="more than"):
            await store.pull(origin.url, made.root)

    async def test_a_few_blocks_that_lead_to_endlessly_many_leaves_are_refused_soon(
        self, origin, store, monkeypatch
    ) -> None:
        """60 nodes, each with two links to the one before: 2^60 leaves."""
        monkeypatch.setattr("ralnode.host.dagindex.STRANGE_REVISITS_MAX", 2000)
        key, block = cids.make(cids.RAW, b"x"), b"x"
        origin.blocks[key] = block
        size = 1
        for _ in range(60):
            key, block = node_of(Kind.FILE, [(key, b"", len(block)), (key, b"", len(block))], [size, size])
            origin.blocks[key] = block
            size *= 2
        began = time.monotonic()
        with pytest.raises(RefusedError, match="more than"):
            await store.pull(origin.url, key)
        assert time.monotonic() - began < 40

    async def test_a_dag_that_is_too_deep_is_refused(self, origin, store) -> None:
        key, block = cids.make(cids.RAW, b"x"), b"x"
        origin.blocks[key] = block
        for _ in range(300):
            key, block = node_of(Kind.DIRECTORY, [(key, b"in", len(block))])
            origin.blocks[key] = block
        with pytest.raises(RefusedError, match="deep"):
            await store.pull(origin.url, key)

    async def test_sizes_that_do_not_add_up_are_refused(self, origin, store) -> None:
        leaf = cids.make(cids.RAW, b"four")
        origin.blocks[leaf] = b"four"
        key, block = node_of(Kind.FILE, [(leaf, b"", 4)], [5])
        origin.blocks[key] = block
        with pytest.raises(RefusedError, match="4 bytes"):
            await store.pull(origin.url, key)

    async def test_other_codecs_are_refused_before_anything_is_asked(self, origin, store) -> None:
        with pytest.raises(UsageError, match="codec 0x71"):
            await store.pull(origin.url, cids.make(cids.DAG_CBOR, b"\xa0"))
        assert origin.headers == []

    async def test_a_hash_that_is_not_known_is_refused(self, origin, store) -> None:
        odd = bytes((1, cids.RAW, 0x11, 20)) + bytes(20)  # sha1
        origin.blocks[odd] = b"anything"
        with pytest.raises(BadBlockError):
            await store.pull(origin.url, odd)


class TestTrouble:
    async def test_a_node_that_is_full_says_so(self, origin, make_store, film) -> None:
        origin.serve(film)
        with pytest.raises(StorageFullError):
            await make_store(40_000).pull(origin.url, film.root)

    async def test_a_gateway_that_is_busy_is_asked_again_when_it_says(self, origin, store, film) -> None:
        origin.serve(film)
        origin.makes_cars = False
        refusals = iter([b"7", b"99999", b"junk"])

        def before(handler, path) -> bool:
            after = next(refusals, None) if "format=raw" in path else None
            if after is not None:
                handler.answer(429, b"later", Retry_After=after.decode())
            return after is not None

        origin.before = before
        await store.pull(origin.url, film.root)
        assert store.slept[0] == 7.0
        assert store.slept[1] == 60.0, "30 s at most, doubled"
        assert await store.holds(film)

    async def test_one_that_stays_busy_or_away_is_given_up(self, origin, store, film) -> None:
        origin.before = lambda handler, _path: handler.answer(503, b"") is None
        with pytest.raises(UnavailableError, match="status 503"):
            await store.pull(origin.url, film.root)
        with pytest.raises(UnavailableError, match="does not answer"):
            await store.pull("http://127.0.0.1:1", film.root)
        assert len(store.slept) < 20

    async def test_what_is_no_gateway_is_told(self, origin, store, film) -> None:
        origin.before = lambda handler, _path: handler.answer(403, b"") is None
        with pytest.raises(RefusedError, match="is it a trustless gateway"):
            await store.pull(origin.url, film.root)

    async def test_redirects_are_followed_but_not_for_ever(self, make_origin, store, film) -> None:
        home = make_origin()
        home.serve(film)
        near = make_origin(before=lambda handler, path: handler.answer(307, b"", Location=home.url + path) is None)
        await store.pull(near.url, film.root)
        round_about = make_origin(before=lambda handler, path: handler.answer(301, b"", Location=path) is None)
        with pytest.raises(PeerError, match="redirects more than 5 times"):
            await store.pull(round_about.url, cids.make(cids.RAW, b"other"))
        for location in ("ftp://x/", "http://a b/", "http://user:secret@x/"):
            odd = make_origin(before=lambda handler, _path, to=location: handler.answer(302, b"", Location=to) is None)
            with pytest.raises(PeerError, match="which is no address"):
                await store.pull(odd.url, cids.make(cids.RAW, b"other"))

    async def test_a_certificate_must_be_trusted_unless_told(self, make_origin, store, film, tmp_path, given) -> None:
        origin = make_origin(tls=given(tmp_path))
        origin.serve(film)
        with pytest.raises(RefusedError, match="--insecure"):
            await store.pull(origin.url, film.root)
        assert store.storage.usage().block_count == 0
        await store.pull(origin.url, film.root, insecure=True)
        assert await store.holds(film)

    async def test_tls_is_not_left_by_a_redirect(self, make_origin, store, film, tmp_path, given) -> None:
        plain = make_origin()
        plain.serve(film)
        secure = make_origin(
            tls=given(tmp_path),
            before=lambda handler, path: handler.answer(302, b"", Location=plain.url + path) is None,
        )
        with pytest.raises(PeerError, match="away from TLS"):
            await store.pull(secure.url, film.root, insecure=True)
        assert plain.headers == []


def test_bounds_grow_with_the_node() -> None:
    assert strange_bounds(0).leaf_count == 1 << 20
    assert strange_bounds(1 << 40).leaf_count < 10_000_000
