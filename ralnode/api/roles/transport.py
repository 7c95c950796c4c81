"""The transport role: requests between authenticated peers, and what the node answers to them. IO."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Protocol

from ralnode.api.blockset import BlockSet
from ralnode.api.model import Address, Block, BlockKey, NodeId, Peer, Root


class PeerService(Protocol):
    """What the node answers to authenticated peers. The transport calls these; it never looks inside a body."""

    async def answer_sync(self, peer: NodeId, seen_at: Address, body: bytes) -> bytes: ...

    async def answer_command(self, peer: NodeId, body: bytes) -> bytes: ...

    async def has_block(self, key: BlockKey) -> bool:
        """An index look-up, nothing more."""
        ...

    async def block(self, key: BlockKey) -> bytes | None: ...

    def blocks(self, root: Root, wanted: BlockSet) -> AsyncIterator[Sequence[Block]]:
        """The leaves asked for, ascending by index, those not held left out. Raises NotFoundError for a root unknown here."""
        ...

    def interior(self, root: Root) -> AsyncIterator[Sequence[Block]]:
        """All interior nodes of the source, depth first, each once. Raises NotFoundError if they are not all here."""
        ...


class Transport(Protocol):
    """Requests between authenticated peers. Every failure of the other side is a PeerError or UnavailableError."""

    async def start(self, service: PeerService) -> None:
        """Binds the listener. Raises LocalError when the port is taken."""
        ...

    async def wait(self) -> None:
        """Returns never; raises when the listener fails. Cancelled to stop."""
        ...

    async def stop(self) -> None: ...

    @property
    def port(self) -> int:
        """The port really bound (useful when 0 was asked for)."""
        ...

    async def sync(self, peer: Peer, body: bytes) -> tuple[NodeId, Address, bytes]:
        """POSTs a sync body; returns who answered, at which address, and the answer (at most limits.SYNC_BYTES_MAX)."""
        ...

    async def command(self, peer: Peer, body: bytes) -> bytes: ...

    def fetch_blocks(
        self, peer: Peer, root: Root, keys: Sequence[tuple[int, BlockKey]]
    ) -> AsyncIterator[Sequence[Block]]:
        """Asks one peer, in one request, for leaves (index, expected key), ascending; yields batches of *verified* blocks as
        they come. Blocks the peer does not have are left out. Raises BadBlockError on a wrong or unasked block."""
        ...

    def fetch_interior(self, peer: Peer, root: Root) -> AsyncIterator[Sequence[Block]]:
        """All interior nodes, depth first, each verified against its CID and linked from one that came before it."""
        ...

    async def has_block(self, peer: Peer, key: BlockKey) -> bool:
        """Whether the peer holds it, without its bytes."""
        ...

    async def fetch_block(self, peer: Peer, key: BlockKey) -> bytes | None:
        """One verified block, or None if the peer does not have it."""
        ...

    def traffic(self) -> Mapping[NodeId, tuple[int, int]]:
        """Bytes (received from, sent to) each peer since the start."""
        ...
