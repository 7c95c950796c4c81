"""`Lender`: hands open files to the node on this machine, so that their content need not go through a socket."""

from __future__ import annotations

import contextlib
import secrets
import socket
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Final

from ralnode.host.lendingpath import TAKEN, TICKET_BYTES, lending_path

ANSWER_SECONDS_MAX: Final = 30.0


class Lender:
    """A context manager: what was lent is the node's only while it is open, so whoever interrupts us ends the node's reading,
    too. A node that takes nothing (an older one, a busy one) is no error: content is sent then."""

    def __init__(self, control_sockets: Iterable[Path]) -> None:
        """`control_sockets`: the first that a node listens on counts."""
        self._control_sockets = tuple(control_sockets)
        self._connection: socket.socket | None = None

    def __enter__(self) -> Lender:
        for path in filter(None, map(lending_path, self._control_sockets)):
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            connection.settimeout(ANSWER_SECONDS_MAX)
            with contextlib.suppress(OSError):
                connection.connect(str(path))
                self._connection = connection
                return self
            connection.close()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def lend(self, descriptor: int) -> str:
        """The ticket under which the node now has the file; empty when its content is to be sent."""
        if self._connection is None:
            return ""
        ticket = secrets.token_bytes(TICKET_BYTES)
        try:
            socket.send_fds(self._connection, [ticket], [descriptor])
            return ticket.hex() if self._connection.recv(1) == TAKEN else ""
        except OSError:
            return ""
