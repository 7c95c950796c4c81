"""Damaged DAGs: whatever the bytes, a walk ends, and with nothing but a DagError."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Generator
from typing import Any

import pytest

from ralnode.dag import cid as cids
from ralnode.dag.errors import DagError
from ralnode.dag.filerange import read_range
from ralnode.dag.listing import list_directory
from ralnode.dag.node import leaf_content, open_node
from ralnode.dag.path import resolve
from ralnode.dag.profile import Profile
from ralnode.dag.walk import Bounds, Need, enumerate_dag
from ralnode.testing.content import Blocks, build_tree, content

RAW = Profile("raw", chunk_bytes=16, max_links=4, hamt_fanout=16, hamt_threshold_bytes=300)
WRAPPED = Profile(
    "wrapped", chunk_bytes=64, max_links=4, raw_leaves=False, cid_version=0, hamt_fanout=16, hamt_threshold_bytes=300
)
TREE = {
    "big": content("big", 900),
    "d/x": content("big", 100),
    "e": b"",
    "l@": b"x",
    "h": None,
    **{f"m/{n}": b"%d" % n for n in range(40)},
}
STEPS_MAX = 20_000
BOUNDS = Bounds(5000, 500)

Walk = Generator[Any, Any, Any]


def damaged(blocks: Blocks, dice: random.Random) -> Blocks:
    """The blocks with up to three nodes changed: a byte, a cut, an insertion, or another node in its place."""
    found = dict(blocks)
    nodes = [key for key in found if cids.codec_of(key) == cids.DAG_PB]
    for _ in range(dice.randint(1, 3)):
        key = dice.choice(nodes)
        data = bytearray(found[key])
        at = dice.randrange(len(data) + 1)
        kind = dice.randrange(4)
        if kind == 0:
            data[at : at + 1] = bytes([dice.randrange(256)])
        elif kind == 1:
            del data[at:]
        elif kind == 2:
            data[at:at] = dice.randbytes(dice.randint(1, 4))
        else:
            data = bytearray(found[dice.choice(nodes)])
        found[key] = bytes(data)
    return found


def finish(walk: Walk, blocks: Blocks) -> None:
    """Drives a walk to its end or its DagError; anything else fails the test."""
    with contextlib.suppress(DagError, StopIteration):
        item = next(walk)
        for _ in range(STEPS_MAX):
            item = walk.send([blocks.get(key) for key in item.keys] if isinstance(item, Need) else [])
        pytest.fail("the walk does not end")


@pytest.mark.parametrize("profile", [RAW, WRAPPED], ids=lambda profile: profile.name)
@pytest.mark.parametrize("seed", range(8))
def test_damage_is_never_more_than_a_dag_error(profile: Profile, seed: int) -> None:
    whole: Blocks = {}
    root = build_tree(whole, TREE, profile).cid
    dice = random.Random(seed)
    for _ in range(25):
        blocks = damaged(whole, dice)
        walks: list[Callable[[], Walk]] = [
            lambda: enumerate_dag(root, BOUNDS),
            lambda: enumerate_dag(root, BOUNDS, strict=True),
            lambda: resolve(root, [b"m", b"7"]),
            lambda: resolve(root, [b"d", b"x"]),
        ]
        for make in walks:
            finish(make(), blocks)
        for key, data in list(blocks.items())[:20]:
            with contextlib.suppress(DagError):
                node = open_node(key, data)
                finish(list_directory(node), blocks)
                finish(read_range(key, node, dice.randrange(1000), dice.randrange(1000)), blocks)
                leaf_content(key, data)
