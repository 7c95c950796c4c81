"""What the control socket needs of its node beyond the commands. `ralnode.host.operations.Operations` is one."""

from __future__ import annotations

from typing import Protocol

from ralnode.api import Holding, NodeControl, Source
from ralnode.host.commands import CommandNode


class ControlNode(CommandNode, Protocol):
    """Everything here is called on the event loop."""

    @property
    def control(self) -> NodeControl:
        """For reading: the node's façade."""
        ...

    async def publish(self, source: Source, holding: Holding) -> None:
        """Adds a source whose blocks are all durable here; on return its record is. Raises RefusedError."""
        ...
