"""The executor's choices: rarest first, one stream per holder, within the room, away from troubled peers."""

from random import Random

from ralnode.api import Address, BlockSet, Holding, Peer, Plan, Source, Usage, limits
from ralnode.core.events import CopyLinked, Effect, FetchBlocks, FetchEnded
from ralnode.core.fetching import Fetcher
from ralnode.core.holdings import Holdings

ME, ANN, BOB = b"m" * 32, b"a" * 32, b"b" * 32
SOURCE = Source(b"root-1", "film", 100 * limits.MIB, 100, 100 * limits.MIB, 1, 50)
PEERS = {node: Peer(node, (Address("10.0.0.1", 1),)) for node in (ANN, BOB)}
ALL, NONE = BlockSet.full(100), BlockSet()


class Setting:
    """A fetcher that wants everything, with ANN and BOB holding what is said."""

    def __init__(self, *, room_mib: int = 1000, **held: BlockSet) -> None:
        self.holdings = Holdings(ME, 1)
        self.holdings.set_mine(SOURCE.root, Holding(True))
        for name, blocks in held.items():
            self.give(name, blocks)
        self.fetcher = Fetcher(ME, self.holdings, Random(1))
        self.fetcher.usage_measured(Usage(room_mib * limits.MIB, 0))
        self.live = [PEERS[ANN], PEERS[BOB]]

    def give(self, name: str, blocks: BlockSet) -> None:
        node = {"ann": ANN, "bob": BOB}[name]
        theirs = Holdings(node, self.holdings.known_version(node) + 10)
        theirs.set_mine(SOURCE.root, Holding(True, blocks))
        self.holdings.merge(node, theirs.delta(0, lambda root: SOURCE), lambda root: SOURCE)

    def schedule(self, want: BlockSet = ALL, urgent: BlockSet = NONE, now: float = 0.0) -> list[Effect]:
        plan = Plan({SOURCE.root: want}, {SOURCE.root: urgent})
        return self.fetcher.schedule(plan, [SOURCE], self.live, now)


def fetched(effects: list[Effect]) -> dict[bytes, set[int]]:
    return {e.peer.id: set(e.blocks) for e in effects if isinstance(e, FetchBlocks) and e.peer.id}


def test_one_stream_per_holder_and_no_block_twice() -> None:
    setting = Setting(ann=ALL, bob=ALL)
    got = fetched(setting.schedule())
    assert set(got) == {ANN, BOB}
    assert not got[ANN] & got[BOB]
    assert not setting.schedule()


def test_the_rarest_go_first() -> None:
    rare = BlockSet.of([3, 50, 99])
    setting = Setting(ann=ALL, bob=ALL - rare)
    setting.live = [PEERS[ANN]]
    effects = setting.fetcher.schedule(Plan({SOURCE.root: ALL}), [SOURCE], [PEERS[ANN], PEERS[BOB]], 0.0)
    assert fetched(effects)[ANN] == set(rare)


def test_a_block_with_two_copies_waits_for_one_with_one_copy() -> None:
    rare = BlockSet.of(range(10))
    setting = Setting(ann=ALL, bob=ALL - rare)
    first = fetched(setting.schedule(want=ALL))
    assert first[ANN] <= set(rare)
    assert BOB not in first or first[ANN] == set(rare)


def test_urgent_blocks_go_before_others_of_the_same_rarity() -> None:
    urgent = BlockSet.of(range(60, 70))
    setting = Setting(ann=ALL)
    assert fetched(setting.schedule(urgent=urgent))[ANN] == set(urgent)


def test_never_more_than_there_is_room_for() -> None:
    setting = Setting(room_mib=20, ann=ALL, bob=ALL)
    effects = setting.schedule()
    assert sum(map(len, fetched(effects).values())) <= 20
    assert setting.fetcher.room_bytes >= 0


def test_a_full_store_ends_fetching_until_there_is_room() -> None:
    setting = Setting(ann=ALL)
    (effect,) = setting.schedule()
    assert isinstance(effect, FetchBlocks)
    setting.fetcher.ended(FetchEnded(effect.task, "it broke", False, True), 0)
    assert not setting.schedule(now=1000)
    setting.fetcher.usage_measured(Usage(2000 * limits.MIB, 0))
    assert setting.schedule(now=1000)


def test_a_store_full_for_what_was_asked_before_its_use_was_known_is_asked_for_less() -> None:
    """A user's own file came between: the room was thought to be larger than it was."""
    setting = Setting(ann=ALL, room_mib=40)
    (effect,) = setting.schedule()
    assert isinstance(effect, FetchBlocks)
    setting.fetcher.ended(FetchEnded(effect.task, "it broke", False, True), 0)
    setting.fetcher.usage_measured(Usage(40 * limits.MIB, 30 * limits.MIB))
    (less,) = fetched(setting.schedule(now=1000)).values()
    assert 0 < len(less) < 10
    setting.fetcher.ended(FetchEnded(effect.task + 1, "it broke", False, True), 1000)
    setting.fetcher.usage_measured(Usage(40 * limits.MIB, 30 * limits.MIB))
    assert not setting.schedule(now=2000), "nothing has changed"


def test_a_failing_peer_is_left_alone_for_longer_each_time() -> None:
    setting = Setting(ann=ALL)
    now, waits = 0.0, []
    for _ in range(4):
        (effect,) = setting.schedule(now=now)
        assert isinstance(effect, FetchBlocks)
        setting.fetcher.ended(FetchEnded(effect.task, "it broke", False, False), now)
        assert not setting.schedule(now=now)
        waits.append(setting.fetcher.next_retry(now) - now)
        now = setting.fetcher.next_retry(now)
    assert waits == [1, 2, 4, 8]


def test_a_peer_that_sent_wrong_bytes_is_left_alone_for_minutes() -> None:
    setting = Setting(ann=ALL)
    (effect,) = setting.schedule()
    assert isinstance(effect, FetchBlocks)
    setting.fetcher.ended(FetchEnded(effect.task, "it broke", True, False), 0)
    assert not setting.schedule(now=599)


def test_a_peer_that_lacked_what_it_advertised_is_not_asked_again_for_it() -> None:
    setting = Setting(ann=BlockSet.of([1, 2]))
    (effect,) = setting.schedule()
    assert isinstance(effect, FetchBlocks)
    setting.fetcher.blocks_stored(effect.task, BlockSet.of([1]), limits.MIB)
    setting.holdings.add_mine(SOURCE.root, BlockSet.of([1]))
    setting.fetcher.ended(FetchEnded(effect.task, "", False, False), 0)
    assert not setting.schedule()
    setting.give("ann", BlockSet.of([1, 2]))
    assert fetched(setting.schedule())[ANN] == {2}


def test_blocks_of_a_linked_file_are_copied_here_not_fetched() -> None:
    setting = Setting(ann=ALL)
    setting.holdings.set_mine(SOURCE.root, Holding(True, BlockSet(), ALL))
    effects = setting.schedule()
    assert [type(effect) for effect in effects] == [CopyLinked]


def test_nothing_is_fetched_that_is_not_wanted_or_already_here() -> None:
    setting = Setting(ann=ALL)
    setting.holdings.set_mine(SOURCE.root, Holding(True, BlockSet.of(range(50))))
    assert fetched(setting.schedule(want=BlockSet.of(range(40, 60))))[ANN] == set(range(50, 60))


def test_at_most_the_stated_number_of_streams() -> None:
    setting = Setting()
    nodes = [bytes([i]) * 32 for i in range(1, 12)]
    for node in nodes:
        theirs = Holdings(node, 1)
        theirs.set_mine(SOURCE.root, Holding(True, ALL))
        setting.holdings.merge(node, theirs.delta(0, lambda root: SOURCE), lambda root: SOURCE)
    setting.live = [Peer(node, (Address("h", 1),)) for node in nodes]
    assert len(setting.schedule()) == limits.FETCH_TASKS_MAX


def test_a_holder_that_is_nearly_done_gets_its_next_task() -> None:
    setting = Setting(ann=ALL)
    (first,) = setting.schedule()
    assert isinstance(first, FetchBlocks)
    assert not setting.schedule()
    most = first.blocks.first(len(first.blocks) - 10)
    setting.fetcher.blocks_stored(first.task, most, len(most) * limits.MIB)
    setting.holdings.add_mine(SOURCE.root, most)
    (second,) = setting.schedule()
    assert isinstance(second, FetchBlocks)
    assert not second.blocks & first.blocks
    assert not setting.schedule()


def test_a_cancelled_fetch_is_nobodys_fault() -> None:
    setting = Setting(ann=ALL)
    (effect,) = setting.schedule()
    assert isinstance(effect, FetchBlocks)
    setting.fetcher.ended(FetchEnded(effect.task, "cancelled"), 0)
    assert setting.schedule()
