"""Reading from a cluster in which no single node has everything: order, ranges, failing and lying holders."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import pytest

from ralnode.api import (
    Address,
    BadBlockError,
    Block,
    BlockKey,
    NodeId,
    NotFoundError,
    Peer,
    Root,
    Source,
    UnavailableError,
    UsageError,
)
from ralnode.api.limits import GIB
from ralnode.dag import cid as cids
from ralnode.dag.profile import Profile
from ralnode.host.blockfinder import BlockFinder
from ralnode.host.dagindex import DagIndex
from ralnode.host.reading import Reader
from ralnode.testing.content import build_tree, content
from ralnode.testing.memory_storage import MemoryStorage

ME, ANN, BOB = b"m" * 32, b"a" * 32, b"b" * 32
SMALL = Profile("small", chunk_bytes=1024, max_links=4)
FILM = content("film", 100_000)
TREE = {"film.bin": FILM, "empty": b"", "deep/er/x.txt": b"hello", "zeros": bytes(20_000)}


class FakeTransport:
    """Serves from a dictionary per node; every fault is a switch."""

    def __init__(self) -> None:
        self.held: dict[NodeId, dict[BlockKey, bytes]] = {ANN: {}, BOB: {}}
        self.down: set[NodeId] = set()
        self.lies: set[NodeId] = set()
        self.asked: dict[NodeId, int] = {ANN: 0, BOB: 0}

    async def fetch_blocks(
        self, peer: Peer, root: Root, keys: Sequence[tuple[int, BlockKey]]
    ) -> AsyncIterator[Sequence[Block]]:
        assert peer.id
        self.asked[peer.id] += len(keys)
        for _index, key in keys:
            data = await self.fetch_block(peer, key)
            if data is not None:
                yield [Block(key, data)]

    async def has_block(self, peer: Peer, key: BlockKey) -> bool:
        return await self.fetch_block(peer, key) is not None

    async def fetch_block(self, peer: Peer, key: BlockKey) -> bytes | None:
        assert peer.id
        if peer.id in self.down:
            raise UnavailableError("it does not answer")
        if peer.id in self.lies:
            raise BadBlockError("these are other bytes")
        return self.held[peer.id].get(key)


@dataclass
class FakeEngine:
    """Who is said to have what."""

    listed: list[Source]
    transport: FakeTransport
    dag_keys: list[BlockKey] = field(default_factory=list)

    @property
    def me(self) -> Peer:
        return Peer(ME, ())

    def sources(self) -> Sequence[Source]:
        return self.listed

    def added_unix_ms(self, root: Root) -> int:
        return [source.root for source in self.listed].index(root)

    def live(self) -> Sequence[NodeId]:
        return [ME, ANN, BOB]

    def peer(self, node: NodeId) -> Peer:
        return Peer(node, (Address("10.0.0.1", 1),))

    def holders_of(self, root: Root, index: int) -> Sequence[Peer]:
        return [self.peer(n) for n in (ANN, BOB) if self.dag_keys[index] in self.transport.held[n]]

    def holders_of_interior(self, root: Root) -> Sequence[Peer]:
        return [self.peer(ANN), self.peer(BOB)]


@dataclass
class Cluster:
    storage: MemoryStorage
    transport: FakeTransport
    engine: FakeEngine
    reader: Reader
    source: Source
    blocks: dict[BlockKey, bytes]

    async def read(self, reference: str, offset: int = 0, length: int | None = None) -> bytes:
        opened = await self.reader.open(reference)
        return b"".join([part async for part in opened.read(offset, length)])


@pytest.fixture
async def cluster() -> Cluster:
    """Interior nodes here; leaves alternate between ANN and BOB."""
    blocks: dict[BlockKey, bytes] = {}
    root = build_tree(blocks, TREE, SMALL).cid
    scratch, storage = MemoryStorage(GIB), MemoryStorage(GIB)
    await scratch.open(lambda keys: None)
    await storage.open(lambda keys: None)
    await scratch.put([Block(key, data) for key, data in blocks.items()])
    source = await DagIndex(scratch).describe(root, "stuff")
    dags = DagIndex(storage)
    dag = await DagIndex(scratch).dag(source)
    await storage.put([Block(key, blocks[key]) for key in dag.interior])
    transport = FakeTransport()
    for index, key in enumerate(dag.leaves):
        transport.held[(ANN, BOB)[index % 2]][key] = blocks[key]
    engine = FakeEngine([source], transport, list(dag.leaves))
    finder = BlockFinder(storage, transport, engine, dags)  # type: ignore[arg-type]
    return Cluster(storage, transport, engine, Reader(finder, engine), source, blocks)  # type: ignore[arg-type]


async def test_a_file_comes_whole_and_in_order_from_several_holders(cluster: Cluster) -> None:
    assert await cluster.read("stuff/film.bin") == FILM
    assert min(cluster.transport.asked.values()) > 30


@pytest.mark.parametrize(
    ("offset", "length"),
    [(0, 1), (1023, 2), (5000, 40_000), (99_999, 10), (100_000, 5), (200_000, 5), (7, None), (0, 0)],
)
async def test_ranges_are_those_of_the_file(cluster: Cluster, offset: int, length: int | None) -> None:
    expected = FILM[offset:] if length is None else FILM[offset : offset + length]
    assert await cluster.read("stuff/film.bin", offset, length) == expected


async def test_a_short_range_asks_only_for_its_blocks(cluster: Cluster) -> None:
    await cluster.read("stuff/film.bin", 50_000, 100)
    assert sum(cluster.transport.asked.values()) == 1


async def test_repeated_blocks_are_fetched_once_per_window_and_read_right(cluster: Cluster) -> None:
    assert await cluster.read("stuff/zeros") == bytes(20_000)
    assert sum(cluster.transport.asked.values()) <= 3


@pytest.mark.parametrize("path", ["stuff/deep/er/x.txt", "stuff//deep/./er/x.txt"])
async def test_paths_lead_through_folders(cluster: Cluster, path: str) -> None:
    assert await cluster.read(path) == b"hello"


async def test_a_cid_works_like_a_name_and_may_have_a_path(cluster: Cluster) -> None:
    text = cids.to_text(cluster.source.root)
    assert await cluster.read(f"{text}/deep/er/x.txt") == b"hello"
    assert await cluster.read(f"/ipfs/{text}/film.bin", 0, 10) == FILM[:10]


async def test_a_leaf_that_is_no_source_is_found_by_asking_everybody(cluster: Cluster) -> None:
    key = cluster.engine.dag_keys[0]
    assert await cluster.read(cids.to_text(key)) == cluster.blocks[key]


async def test_a_folder_lists_its_entries(cluster: Cluster) -> None:
    opened = await cluster.reader.open("stuff")
    assert opened.kind == "directory"
    assert [entry[0] async for entry in opened.entries()] == ["deep", "empty", "film.bin", "zeros"]


async def test_own_blocks_are_not_asked_of_others(cluster: Cluster) -> None:
    await cluster.storage.put([Block(key, data) for key, data in cluster.blocks.items()])
    assert await cluster.read("stuff/film.bin") == FILM
    assert sum(cluster.transport.asked.values()) == 0


async def test_what_is_read_from_others_is_not_kept(cluster: Cluster) -> None:
    before = cluster.storage.usage().used_bytes
    await cluster.read("stuff/film.bin")
    assert cluster.storage.usage().used_bytes == before


@pytest.mark.parametrize("fault", ["down", "lies"])
async def test_another_holder_is_asked_when_one_fails(cluster: Cluster, fault: str) -> None:
    for node in (ANN, BOB):
        cluster.transport.held[node] = dict(cluster.blocks)
    getattr(cluster.transport, fault).add(BOB)
    assert await cluster.read("stuff/film.bin") == FILM


async def test_a_holder_that_lost_what_it_advertised_is_passed_over(cluster: Cluster) -> None:
    everything = dict(cluster.blocks)
    cluster.engine.holders_of = lambda root, index: [cluster.engine.peer(BOB)]  # type: ignore[method-assign]
    cluster.transport.held = {ANN: everything, BOB: {}}
    assert await cluster.read("stuff/film.bin") == FILM


async def test_a_block_out_of_reach_is_an_error_that_names_the_source_and_what_to_do(cluster: Cluster) -> None:
    cluster.transport.down = {ANN, BOB}
    with pytest.raises(UnavailableError, match=r"of 'stuff' cannot be had now.*Start the nodes"):
        await cluster.read("stuff/film.bin")


@pytest.mark.parametrize("reference", ["nothing", "stuff/nothing", "stuff/film.bin/more", "bafyrubbish", ""])
async def test_what_is_not_there_is_said_to_be_not_there(cluster: Cluster, reference: str) -> None:
    with pytest.raises(NotFoundError):
        await cluster.reader.open(reference)


async def test_a_path_that_leads_out_of_its_root_is_refused(cluster: Cluster) -> None:
    with pytest.raises(NotFoundError, match="leads out"):
        await cluster.reader.open("stuff/../../etc/passwd")


async def test_negative_ranges_and_reading_folders_are_usage_errors(cluster: Cluster) -> None:
    with pytest.raises(UsageError):
        await cluster.read("stuff/film.bin", -1)
    with pytest.raises(UsageError, match="directory"):
        await cluster.read("stuff")
    with pytest.raises(UsageError, match="no entries"):
        [e async for e in (await cluster.reader.open("stuff/film.bin")).entries()]


async def test_of_two_sources_with_one_name_the_later_is_read(cluster: Cluster) -> None:
    blocks: dict[BlockKey, bytes] = {}
    root = build_tree(blocks, {"a": b"later"}, SMALL).cid
    await cluster.storage.put([Block(key, data) for key, data in blocks.items()])
    later = await DagIndex(cluster.storage).describe(root, "stuff")
    cluster.engine.listed.append(later)
    assert await cluster.read("stuff/a") == b"later"


async def test_closing_early_stops_fetching(cluster: Cluster) -> None:
    opened = await cluster.reader.open("stuff/film.bin")
    parts = opened.read()
    assert await anext(parts) == FILM[:1024]
    await parts.aclose()  # type: ignore[attr-defined]
