"""Adding by reference: no second copy, cheap to add again, honest about what cannot be linked."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ralnode.api import BlockSet, Holding, UsageError
from ralnode.api.limits import MIB
from ralnode.dag.profile import POC_TOOL, V0_2015, V1_2025, Profile
from ralnode.host.ingest import AddOptions
from ralnode.testing.content import build_file, build_tree, content

LINK = AddOptions(link=True)


@pytest.mark.parametrize("profile", [V1_2025, POC_TOOL], ids=lambda profile: profile.name)
async def test_linked_file_takes_no_room_and_is_read_back(bench, tmp_path: Path, profile: Profile) -> None:
    data = content("film", 9 * MIB + 5)
    (tmp_path / "film").write_bytes(data)
    added = await bench.ingest.add_path(tmp_path / "film", AddOptions(link=True, profile=profile))
    blocks: dict[bytes, bytes] = {}
    assert added.source.root == build_file(blocks, data, profile).cid
    count = added.source.leaf_count
    assert added.holding == Holding(has_interior=True, linked=BlockSet.full(count))
    assert bench.storage.usage().used_bytes == added.source.interior_bytes < 5000
    assert [await bench.storage.get(key) for key in blocks] == list(blocks.values())


async def test_folder_with_everything_in_it_is_linked(bench, tmp_path: Path) -> None:
    top = tmp_path / "t"
    (top / "d").mkdir(parents=True)
    (top / "d" / "x").write_bytes(b"x" * 100)
    (top / "empty").write_bytes(b"")
    (top / "link").symlink_to("d/x")
    (top / "same").write_bytes(b"x" * 100)
    added = await bench.ingest.add_path(top, LINK)
    assert (
        added.source.root == build_tree({}, {"d/x": b"x" * 100, "empty": b"", "link@": b"d/x", "same": b"x" * 100}).cid
    )
    assert len(added.holding.servable) == added.source.leaf_count
    assert len(added.holding.linked) == 2


async def test_profile_with_wrapped_leaves_cannot_be_linked(bench, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"x")
    with pytest.raises(UsageError, match="wrap the content"):
        await bench.ingest.add_path(tmp_path / "x", AddOptions(link=True, profile=V0_2015))
    assert bench.storage.usage().block_count == 0


async def test_unchanged_files_are_not_read_again(bench, tmp_path: Path) -> None:
    top = tmp_path / "t"
    top.mkdir()
    for number in range(50):
        (top / f"{number}").write_bytes(content(f"{number}", 100_000))
    first = await bench.ingest.add_path(top, LINK)
    assert first.reused_bytes == 0
    second = await bench.again().ingest.add_path(top, LINK)
    assert second.source == first.source
    assert second.holding == first.holding
    assert second.reused_bytes == 5_000_000


async def test_changed_file_is_read_again_and_the_others_are_not(bench, tmp_path: Path) -> None:
    top = tmp_path / "t"
    top.mkdir()
    for name in "abc":
        (top / name).write_bytes(content(name, 100_000))
    await bench.ingest.add_path(top, LINK)
    (top / "b").write_bytes(content("new", 100_000))
    os.utime(top / "b", ns=(5, 5))
    again = await bench.again().ingest.add_path(top, LINK)
    tree = {"a": content("a", 100_000), "b": content("new", 100_000), "c": content("c", 100_000)}
    assert again.source.root == build_tree({}, tree).cid
    assert again.reused_bytes == 200_000


async def test_note_about_a_file_whose_blocks_are_gone_is_not_believed(bench, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(content("x", 3 * MIB))
    first = await bench.ingest.add_path(tmp_path / "x", LINK)
    keys = list(await bench.index.leaf_keys(first.source))
    await bench.storage.delete(keys[1:2])
    second = await bench.again().ingest.add_path(tmp_path / "x", LINK)
    assert second.holding == first.holding
    await bench.storage.delete([*keys, first.source.root])
    third = await bench.again().ingest.add_path(tmp_path / "x", LINK)
    assert third.holding == first.holding


async def test_linking_does_not_count_as_having_a_copy(bench, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(content("x", 3 * MIB))
    await bench.ingest.add_path(tmp_path / "x", LINK)
    kept = await bench.again().ingest.add_path(tmp_path / "x", AddOptions())
    assert kept.reused_bytes == 0
    assert kept.holding.owned == BlockSet.full(3)
    assert bench.storage.usage().used_bytes >= 3 * MIB


async def test_linked_file_that_vanishes_is_retracted_when_it_is_read(bench, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(content("x", 3 * MIB))
    added = await bench.ingest.add_path(tmp_path / "x", LINK)
    (tmp_path / "x").unlink()
    keys = list(await bench.index.leaf_keys(added.source))
    assert await bench.storage.get_many(keys) == [None] * 3
    assert set(bench.lost) == set(keys)
