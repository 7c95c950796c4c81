"""The hashing that planners share, so that every node and every planner ranks blocks and nodes in the same way.

A block's key is made from (source root, index), a node's salt from its id; mixed they give a uniform 64-bit `draw`, and
divided by the node's weight a `distance`: the block goes to the nearest nodes, and each gets a share in proportion to its
weight (weighted rendezvous hashing). Only integers and IEEE + × ÷ are used, no logarithm of a mathematics library, so
results are equal to the last bit on every machine; golden vectors in the tests pin them. Pure, no state.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

Keys: TypeAlias = npt.NDArray[np.uint64]
"""One 64-bit number per block."""

Distances: TypeAlias = npt.NDArray[np.float64]

_MASK: Final = (1 << 64) - 1
_STEP: Final = 0x9E3779B97F4A7C15
"""2^64 / golden ratio: the increment of SplitMix64 (Steele, Lea, Flood 2014)."""
_MIX_1: Final = 0xBF58476D1CE4E5B9
_MIX_2: Final = 0x94D049BB133111EB
_DRAW_1: Final = 0xFF51AFD7ED558CCD
_DRAW_2: Final = 0xC4CEB9FE1A85EC53
"""The multipliers of MurmurHash3's 64-bit finaliser."""

_LIFT_BITS: Final = 12
_FIXED: Final = 1 << 100
"""One, in the fixed-point arithmetic of the table below."""


def hash64(data: bytes) -> int:
    """64 bits of BLAKE2b: how a root or a node id becomes a number."""
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")


def mix64(value: int) -> int:
    """SplitMix64's finaliser: a bijection of 64-bit numbers in which every bit depends on every bit."""
    value &= _MASK
    value = (value ^ value >> 30) * _MIX_1 & _MASK
    value = (value ^ value >> 27) * _MIX_2 & _MASK
    return value ^ value >> 31


def block_key(root: bytes, index: int) -> int:
    """The key of one block; `block_keys` gives the same numbers for many."""
    return mix64(hash64(root) + (index + 1) * _STEP)


def block_keys(seeds: Keys | np.uint64, indexes: Keys) -> Keys:
    """Keys of many blocks; a seed is the `hash64` of a root, one for all or one per block."""
    keys = indexes + np.uint64(1)
    keys *= np.uint64(_STEP)
    keys += seeds
    keys ^= keys >> np.uint64(30)
    keys *= np.uint64(_MIX_1)
    keys ^= keys >> np.uint64(27)
    keys *= np.uint64(_MIX_2)
    keys ^= keys >> np.uint64(31)
    return keys


def node_salt(node_id: bytes) -> int:
    """What a node is mixed in as."""
    return hash64(node_id)


def draw(key: int, salt: int) -> int:
    """A uniform 64-bit number for one block and one node (its upper bits are the good ones)."""
    value = (key ^ salt) * _DRAW_1 & _MASK
    return (value ^ value >> 32) * _DRAW_2 & _MASK


def draws(keys: Keys, salts: Keys | np.uint64) -> Keys:
    """`draw` for many: one row per salt, or a flat array when `salts` is a single number."""
    drawn = np.bitwise_xor(keys, salts[:, np.newaxis] if isinstance(salts, np.ndarray) else salts)
    drawn *= np.uint64(_DRAW_1)
    drawn ^= drawn >> np.uint64(32)
    drawn *= np.uint64(_DRAW_2)
    return drawn


def distance(key: int, salt: int, weight: int) -> float:
    """How far a block is from a node of this weight (> 0): about -ln(1 - u) / weight with u the draw over 2^64.

    It grows with the draw, so one node orders blocks by draw and by distance alike.
    """
    drawn = draw(key, salt)
    return float(drawn >> 11) * (2.0**-53 / weight) * float(_lift()[drawn >> 64 - _LIFT_BITS])


def scales(weights: Iterable[int]) -> Distances:
    """The weights (each > 0) in the form that `distances` takes."""
    return np.array([2.0**-53 / weight for weight in weights], dtype=np.float64)


def distances(keys: Keys, salts: Keys, node_scales: Distances) -> Distances:
    """`distance` for many: row n holds those from node n, column b those of block b. Takes 24 bytes per pair while it
    runs, so hand in a few thousand blocks at a time."""
    drawn = draws(keys, salts)
    lift = _lift().take((drawn >> np.uint64(64 - _LIFT_BITS)).view(np.int64))
    drawn >>= np.uint64(11)
    found = drawn.view(np.int64) * node_scales[:, np.newaxis]
    found *= lift
    return found


@functools.cache
def _lift() -> Distances:
    """-ln(1 - u) / u in the middle of each of 4,096 steps of u: 1.0001 at the first, 9.0 at the last.

    Multiplying u by its step's entry keeps the order of all u (the entries grow) and is within 0.04 % of the logarithm
    for u < 0.9 and 0.3 % for u < 0.99; larger draws are hardly ever the nearest. ln is summed up in fixed point from
    ln((j + 1) / j) = 2 artanh(1 / (2j + 1)).
    """
    steps = 1 << _LIFT_BITS
    logarithms = [0]
    for j in range(1, 2 * steps):
        logarithms.append(logarithms[-1] + 2 * _artanh_of_inverse(2 * j + 1))
    entries = []
    for odd in range(1, 2 * steps, 2):
        minus_ln = logarithms[2 * steps - 1] - logarithms[2 * steps - 1 - odd]
        entries.append(minus_ln * 2 * steps / (odd * _FIXED))
    table = np.array(entries)
    table.flags.writeable = False
    return table


def _artanh_of_inverse(odd: int) -> int:
    """artanh(1 / odd) = Σ 1 / (k · odd^k) over odd k, in units of 1 / _FIXED."""
    power, total, k = _FIXED // odd, 0, 1
    while power:
        total += power // k
        power //= odd * odd
        k += 2
    return total
