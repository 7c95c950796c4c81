"""HAMT directories: where a name lies, and building the shards of a directory that is too large for one block.

Hash: murmur3-x64-128, its first 64 bits big-endian, log2(fanout) bits a level from the top. (The specification's words
about "least significant bits first" mean the same; the IPIP-499 vectors settle it.)
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

import mmh3

from ralnode.api.model import Block
from ralnode.dag import unixfs
from ralnode.dag.build import Built, make_node
from ralnode.dag.errors import DagError
from ralnode.dag.pb import Link
from ralnode.dag.profile import Profile

_HASH_BITS: Final = 64


def name_hash(name: bytes) -> int:
    """64 bits; the top ones choose the slot in the root shard."""
    return int.from_bytes(mmh3.hash_bytes(name, 0, True)[:8], "little")


def slot(name_hash_value: int, depth: int, fanout: int) -> int:
    """Number of the slot at `depth` (root 0). Raises DagError below the last bit of the hash."""
    bits = fanout.bit_length() - 1
    shift = _HASH_BITS - bits * (depth + 1)
    if shift < 0:
        raise DagError("a HAMT directory is deeper than its hash")
    return name_hash_value >> shift & (fanout - 1)


def prefix_chars(fanout: int) -> int:
    """Hexadecimal digits in front of every link name."""
    return len(f"{fanout - 1:X}")


def build_shards(profile: Profile, entries: Sequence[Link], blocks: list[Block]) -> Built:
    """The HAMT of all `entries` (names distinct); appends its blocks, children before parents."""
    hashed = [(name_hash(entry.name), entry) for entry in entries]
    return _build_shard(profile, hashed, 0, blocks)


def _build_shard(profile: Profile, hashed: list[tuple[int, Link]], depth: int, blocks: list[Block]) -> Built:
    slots: defaultdict[int, list[tuple[int, Link]]] = defaultdict(list)
    for value, entry in hashed:
        slots[slot(value, depth, profile.hamt_fanout)].append((value, entry))
    width = prefix_chars(profile.hamt_fanout)
    links, bitfield = [], 0
    for number in sorted(slots):
        prefix = f"{number:0{width}X}".encode()
        bitfield |= 1 << number
        if len(slots[number]) == 1:
            entry = slots[number][0][1]
            links.append(Link(entry.cid, prefix + entry.name, entry.tsize))
        else:
            below = _build_shard(profile, slots[number], depth + 1, blocks)
            links.append(Link(below.cid, prefix, below.tsize))
    packed_bits = bitfield.to_bytes((bitfield.bit_length() + 7) // 8, "big")
    built, block = make_node(profile, links, unixfs.encode_shard(packed_bits, profile.hamt_fanout), 0)
    blocks.append(block)
    return built
