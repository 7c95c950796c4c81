"""What the command `leftovers` answers; as host/answers.py, for `--json` and for people. Imports nothing, so that the command
line starts quickly."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LeftoverLine:
    """What one add or pull has left that broke off."""

    kind: str
    """add or pull."""
    name: str
    origin: str
    """A path of it, or the CID that is pulled."""
    age_seconds: float
    """Since its last sign of life."""
    block_count: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class LeftoversAnswer:
    """Blocks in a node's store that no source names. The counts are of all, `works` the largest 50."""

    node: str
    state: str
    """idle (never counted since the start), counting, deleting, done or failed."""
    works: tuple[LeftoverLine, ...]
    block_count: int
    size_bytes: int
    other_count: int
    """Of `block_count`: nothing tells what they come from."""
    other_bytes: int
    unix_ms: int
    """The node's clock."""
    deleted_count: int = 0
    deleted_bytes: int = 0
    remark: str = ""
    """Why the counts are not the whole truth, why not all was deleted, or why it failed."""
