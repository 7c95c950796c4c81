"""What the control socket needs of its node beyond the commands. `ralnode.host.operations.Operations` is one."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from ralnode.api import Holding, NodeControl, Reading, Source
from ralnode.host.backup.collecting import Origin
from ralnode.host.commands import CommandNode
from ralnode.host.dagindex import DagIndex
from ralnode.host.ingest.ingest import Ingest


class ControlNode(CommandNode, Protocol):
    """Everything here is called on the event loop."""

    @property
    def control(self) -> NodeControl:
        """For reading: the node's façade."""
        ...

    @property
    def ingest(self) -> Ingest: ...

    @property
    def dag(self) -> DagIndex: ...

    @property
    def origin(self) -> Origin:
        """For backups: identity, data folder, configuration."""
        ...

    def say(self, level: str, text: str) -> None:
        """A line for the event log; `level` is info, warning or error."""
        ...

    @property
    def default_copies(self) -> int:
        """Of a source that does not say otherwise."""
        ...

    async def publish(self, source: Source, holding: Holding) -> None:
        """Adds a source whose blocks are all durable here; on return its record is. Raises RefusedError."""
        ...


@runtime_checkable
class OpenFolder(Protocol):
    """What the node's reader opens beyond `Reading`."""

    async def child(self, name: str, cid: bytes) -> Reading:
        """An entry of it by its CID: walking the path from the root for each of 10,000 files would take minutes."""
        ...
