"""`Lending`: a second unix socket, beside the control socket, over which a client hands open files to the node.

The node then reads them itself instead of being sent their content, which costs more than hashing it. It reads with the
rights of the client, who has opened the file: it is never asked to open anything by name.

A client sends 16 bytes of its own choice, a *ticket*, with one descriptor; the answer is one byte, TAKEN or REFUSED. The
entry of an upload then names the ticket. A file is lent until the client hangs up: whatever is not closed by then is.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from pathlib import Path
from typing import Final
from weakref import WeakSet

from ralnode.host.control.server import BACKLOG, CONNECTIONS_MAX, bind
from ralnode.host.ingest.model import LentFile
from ralnode.host.lendingpath import REFUSED, TAKEN, TICKET_BYTES, lending_path

LENT_MAX: Final = 128
"""Open at once. Beyond it clients are refused, and send the content."""
_FLAGS: Final = getattr(socket, "MSG_CMSG_CLOEXEC", 0)


class Lending:
    """`async with Lending(control_socket):`; the socket is gone afterwards. Without a path short enough for one nothing
    is lent."""

    def __init__(self, control_socket: Path) -> None:
        self._path = lending_path(control_socket)
        self._listener: socket.socket | None = None
        self._lent: dict[socket.socket, WeakSet[LentFile]] = {}
        """By connection: what is open, whoever has it."""
        self._waiting: dict[bytes, LentFile] = {}
        """By ticket: not asked for yet."""

    async def __aenter__(self) -> Lending:
        """Raises LocalError when the socket cannot be made."""
        if self._path is not None:
            self._listener = bind(self._path)
            self._listener.listen(BACKLOG)
            asyncio.get_running_loop().add_reader(self._listener, self._accept)
        return self

    async def __aexit__(self, *_: object) -> None:
        for connection in list(self._lent):
            self._hang_up(connection)
        if self._listener is not None and self._path is not None:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
            self._listener = None
            with contextlib.suppress(OSError):
                self._path.unlink()

    def take(self, ticket: bytes) -> LentFile | None:
        """The file that came with this ticket, once; it is the caller's now."""
        return self._waiting.pop(ticket, None)

    def _accept(self) -> None:
        assert self._listener is not None
        with contextlib.suppress(OSError):  # it has hung up already
            connection, _ = self._listener.accept()
            if len(self._lent) == CONNECTIONS_MAX:
                connection.close()
                return
            connection.setblocking(False)
            self._lent[connection] = WeakSet()
            asyncio.get_running_loop().add_reader(connection, self._receive, connection)

    def _receive(self, connection: socket.socket) -> None:
        try:
            ticket, descriptors, _, _ = socket.recv_fds(connection, TICKET_BYTES, 1, _FLAGS)
            lent = [LentFile(descriptor) for descriptor in descriptors]
            if len(ticket) == TICKET_BYTES:
                connection.send(TAKEN if self._keep(connection, ticket, lent) else REFUSED)
            else:  # it has hung up, or speaks another language
                self._hang_up(connection)
        except BlockingIOError:
            return
        except OSError:
            self._hang_up(connection)

    def _keep(self, connection: socket.socket, ticket: bytes, lent: list[LentFile]) -> bool:
        if len(lent) != 1 or ticket in self._waiting or sum(map(len, self._lent.values())) >= LENT_MAX:
            return False
        self._waiting[ticket] = lent[0]
        self._lent[connection].add(lent[0])
        return True

    def _hang_up(self, connection: socket.socket) -> None:
        asyncio.get_running_loop().remove_reader(connection)
        connection.close()
        lent = self._lent.pop(connection)
        self._waiting = {ticket: each for ticket, each in self._waiting.items() if each not in lent}
        for each in lent:
            each.close()
