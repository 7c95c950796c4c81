"""Sends the body of a request from a thread, so that the answer can be read at the same time.

HTTP allows an answer before the request has ended; progress of an upload comes that way. The socket's own buffer is
the only one: a slow node makes `sendall` wait, and that makes the reading of files wait.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterable
from threading import Thread
from types import TracebackType


class Upload:
    """A context manager round the sending; leaving it early (an error, Ctrl-C) cuts the connection."""

    def __init__(self, connection: socket.socket, body: Iterable[bytes]) -> None:
        self._connection = connection
        self._body = body
        self._thread = Thread(target=self._send, name="upload", daemon=True)
        self.error: Exception | None = None
        """Why reading the body failed (not: why sending did, the answer tells that)."""

    def __enter__(self) -> Upload:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._thread.is_alive():
            with contextlib.suppress(OSError):
                self._connection.shutdown(socket.SHUT_RDWR)
        self._thread.join()

    def _send(self) -> None:
        try:
            for piece in self._body:
                if piece:
                    self._connection.sendall(b"%x\r\n" % len(piece))
                    self._connection.sendall(piece)
                    self._connection.sendall(b"\r\n")
            self._connection.sendall(b"0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            return  # the node has answered already, or is gone: whoever reads the answer will see
        except Exception as error:
            self.error = error
            with contextlib.suppress(OSError):
                self._connection.shutdown(socket.SHUT_RDWR)
