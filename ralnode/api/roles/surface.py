"""The gateway and ui roles, and what they may ask of the node they live in. IO, optional services."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

from ralnode.api.model import BlockKey, NodeInfo, Root, Source
from ralnode.api.status import ClusterStatus, GatewayStatus


class Reading(Protocol):
    """An open file, directory or symlink of the cluster."""

    name: str
    cid: bytes
    kind: str
    """file, directory or symlink."""
    size_bytes: int
    target: str
    """Of a symlink; else empty."""

    def read(self, offset: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """Verified bytes in order, memory bounded. Raises UnavailableError when no live node has a block."""
        ...

    def entries(self) -> AsyncIterator[tuple[str, bytes, int]]:
        """Of a directory: (name, CID, cumulative size) in the order of the DAG."""
        ...


class NodeControl(Protocol):
    """What a gateway or ui may ask of the node it lives in."""

    def status(self) -> ClusterStatus: ...

    def sources(self) -> Sequence[Source]: ...

    def nodes(self) -> Sequence[NodeInfo]:
        """This node first, then the peers that are believed alive."""
        ...

    def holders(self, root: Root) -> Sequence[NodeInfo] | None:
        """Those of `nodes` that have content of a source, as copies of their own or by reference; `root` in either version
        of its CID. None: there is no such source."""
        ...

    def was_removed(self, root: Root) -> bool:
        """Whether there was such a source and a user has removed it."""
        ...

    async def block_holders(self, key: BlockKey) -> Sequence[NodeInfo]:
        """Those of `nodes` that hold this block of any source; they are asked, all at once."""
        ...

    def changes(self) -> AsyncIterator[None]:
        """Yields when the status has changed, at most twice a second."""
        ...

    async def block(self, key: BlockKey, *, local_only: bool = False) -> bytes | None: ...

    async def blocks(
        self, keys: Sequence[BlockKey], *, root: bytes | None = None, local_only: bool = False
    ) -> Sequence[bytes]:
        """All of them in this order, verified, 16 MiB at most. `root` is a hint: the source that they are part of, whose
        holders are asked first. Raises UnavailableError when one of them cannot be had."""
        ...

    async def open(self, reference: str) -> Reading:
        """`NAME`, `NAME/path`, `CID`, `CID/path`. Raises NotFoundError or UnavailableError."""
        ...

    async def command(self, name: str, params: Mapping[str, Any], node: str | None = None) -> Mapping[str, Any]:
        """Runs a control command here or on the node named. Raises RalnodeError."""
        ...

    async def add(self, content: Content, pieces: AsyncIterator[bytes]) -> Mapping[str, Any]:
        """Adds a file that is streamed in: `pieces` from `content.offset` on, in pieces of any size, memory bounded. Returns
        root (CID as text), name, size_bytes, leaf_count. Raises StorageFullError before the first piece is taken,
        UsageError when the length is not what was said; what came by then stays for `resume_offset`."""
        ...

    async def resume_offset(self, content: Content) -> int:
        """How many bytes of it, from its beginning, are here of an `add` that was cut off."""
        ...

    async def pull(self, url: str, cid: bytes, name: str) -> Mapping[str, Any]:
        """Adds the file or folder `cid` from the trustless gateway at `url`, verified; what has come when it fails stays,
        and the next pull goes on from there. Answers as `add` does. Raises RalnodeError."""
        ...

    def note(self, level: str, text: str) -> None:
        """A line for the event log; `level` is info, warning or error."""
        ...

    def metrics(self) -> Sequence[Metric]: ...


class Content(NamedTuple):
    """A file that somebody brings. `origin` and `mtime_ns` are how it is known again when the upload was cut off."""

    name: str
    """Of the source that it becomes."""
    size_bytes: int
    origin: str = ""
    mtime_ns: int = 0
    offset: int = 0
    """0, or what `resume_offset` said."""
    copies: int | None = None
    """None: as many as the node's configuration says."""


class Metric(NamedTuple):
    """One sample for /metrics. Names end in their unit; `kind` is gauge, counter or histogram (a histogram's samples have
    `_bucket`, `_sum` and `_count` behind its name, buckets the label `le`)."""

    name: str
    kind: str
    help: str
    value: float
    labels: Mapping[str, str] = {}


class Gateway(Protocol):
    """A listener for others (IPFS tools). Optional service: restarts with a delay when it fails."""

    async def start(self) -> None: ...

    async def wait(self) -> None: ...

    async def stop(self) -> None: ...

    @property
    def url(self) -> str: ...


@runtime_checkable
class Listening(Protocol):
    """A gateway that says where it listens. The node then tells the others, in its record."""

    def listening(self) -> GatewayStatus:
        """Now; without ports while it cannot listen."""
        ...


class Ui(Gateway, Protocol):
    """The status page."""


@runtime_checkable
class ManagedUi(Protocol):
    """A status page that people and programs sign in to."""

    async def administer(self, action: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """What only the owner of the machine may say, over the control socket. Actions: show, link, password (role,
        password), remove_password (role), add_token (name, scopes, days), remove_token (name). Answers with what it has of
        link, link_seconds, token, accounts, tokens (of id, name, scopes, expires_unix_ms). Raises RalnodeError."""
        ...
