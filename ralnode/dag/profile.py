"""`Profile`: everything that decides which CID a file or folder gets. Named ones are IPIP-499's."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from ralnode.api.limits import BLOCK_BYTES_MAX, KIB, MIB
from ralnode.dag.errors import DagError

_LINK_BYTES: Final = 80
"""Upper bound of one link with its blocksize in a file's node."""
_LEAF_OVERHEAD_BYTES: Final = 32
"""Upper bound of the dag-pb and UnixFS frame round a leaf's content."""
_UNITS: Final = {"": 1, "k": KIB, "kib": KIB, "m": MIB, "mib": MIB}


class HamtRule(StrEnum):
    """What is compared with the threshold to decide whether a directory becomes a HAMT."""

    BLOCK_BYTES = "block-bytes"
    """The serialised basic directory."""
    LINKS_BYTES = "links-bytes"
    """Sum of the lengths of names and CIDs."""


@dataclass(frozen=True, slots=True)
class Profile:
    """Fixed-size chunks, balanced layout, sha2-256. Raises DagError (a ValueError) for parameters that make no sense."""

    name: str = "unixfs-v1-2025"
    chunk_bytes: int = MIB
    max_links: int = 1024
    raw_leaves: bool = True
    cid_version: int = 1
    hamt_fanout: int = 256
    hamt_threshold_bytes: int = 256 * KIB
    hamt_rule: HamtRule = HamtRule.BLOCK_BYTES

    def __post_init__(self) -> None:
        if not 1 <= self.chunk_bytes <= BLOCK_BYTES_MAX - _LEAF_OVERHEAD_BYTES:
            raise DagError(
                f"chunk size {self.chunk_bytes}: must be 1 to {BLOCK_BYTES_MAX - _LEAF_OVERHEAD_BYTES} bytes"
            )
        if not 2 <= self.max_links <= BLOCK_BYTES_MAX // _LINK_BYTES:
            raise DagError(f"max links {self.max_links}: must be 2 to {BLOCK_BYTES_MAX // _LINK_BYTES}")
        if self.cid_version not in (0, 1):
            raise DagError(f"CID version {self.cid_version}: must be 0 or 1")
        if self.hamt_fanout not in (8, 16, 32, 64, 128, 256, 512, 1024):
            raise DagError(f"HAMT fanout {self.hamt_fanout}: must be a power of two from 8 to 1024")
        if not 0 <= self.hamt_threshold_bytes <= MIB:
            raise DagError(f"HAMT threshold {self.hamt_threshold_bytes}: must be 0 to {MIB} bytes")

    @property
    def tag(self) -> str:
        """The same for two profiles exactly when they give the same CIDs."""
        return (
            f"{self.chunk_bytes}-{self.max_links}-{'raw' if self.raw_leaves else 'pb'}-v{self.cid_version}"
            f"-{self.hamt_fanout}-{self.hamt_threshold_bytes}-{self.hamt_rule}"
        )

    def stored_bytes(self, size_bytes: int) -> int:
        """Upper bound of the blocks of one file of `size_bytes`, with what a store needs to find each."""
        leaves = max(1, -(-size_bytes // self.chunk_bytes))
        return size_bytes + leaves * (_LINK_BYTES + _LEAF_OVERHEAD_BYTES + 160) + 512


V1_2025: Final = Profile()
V0_2015: Final = Profile("unixfs-v0-2015", 256 * KIB, 174, False, 0, hamt_rule=HamtRule.LINKS_BYTES)
POC_TOOL: Final = Profile("poc-256k", 256 * KIB, 174, hamt_rule=HamtRule.LINKS_BYTES)
"""What the proof of concept's `generate-sources` made; its node (`POC_NODE`) cut at half the size, so CIDs never met."""
POC_NODE: Final = replace(POC_TOOL, name="poc-128k", chunk_bytes=128 * KIB)

PROFILES: Final = {profile.name: profile for profile in (V1_2025, V0_2015, POC_TOOL, POC_NODE)}


def choose(
    name: str = V1_2025.name,
    *,
    chunk_size: str | None = None,
    max_links: int | None = None,
    raw_leaves: bool | None = None,
) -> Profile:
    """The named profile with single parameters changed, as the command line gives them. Raises DagError."""
    if name not in PROFILES:
        raise DagError(f"profile {name!r} is not known; there are {', '.join(PROFILES)}")
    base = PROFILES[name]
    changed = replace(
        base,
        chunk_bytes=base.chunk_bytes if chunk_size is None else parse_size(chunk_size),
        max_links=base.max_links if max_links is None else max_links,
        raw_leaves=base.raw_leaves if raw_leaves is None else raw_leaves,
    )
    return changed if changed == base else replace(changed, name="custom")


def parse_size(text: str) -> int:
    """`262144`, `256KiB`, `256k`, `1M`, `size-1048576`. Raises DagError."""
    match = re.fullmatch(r"(?:size-)?([0-9]{1,10})([a-z]*)", text.strip().lower())
    if match is None or match[2] not in _UNITS:
        raise DagError(f"size {text!r}: write it as 262144, 256KiB or 1MiB")
    return int(match[1]) * _UNITS[match[2]]
