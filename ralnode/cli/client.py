"""Talks to the running node over its unix socket: commands, streams of JSON lines, streams of frames, uploads.

Standard library only. Every failure comes out as the RalnodeError that the node raised, or as UnavailableError with
what to do when there is no node.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import closing
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

from ralnode.api.errors import PeerError, RalnodeError, RefusedError, UnavailableError
from ralnode.cli.lending import Lender
from ralnode.cli.uploading import Upload
from ralnode.host.errortable import error_of, is_error
from ralnode.host.frames import Frame, FrameReader, Tag

COMMAND_SECONDS_MAX: Final = 120.0
"""A command to another node that is slow or far; streams have no such limit, the user has Ctrl-C."""

LINE_BYTES_MAX: Final = 64 << 20
"""The status of 10,000 sources on 50 nodes, as one line, is about 10 MB."""

READ_BYTES: Final = 1 << 20


class UnixConnection(HTTPConnection):
    """HTTP over a socket that lies in the file system."""

    def __init__(self, path: Path, timeout_seconds: float | None) -> None:
        super().__init__("localhost", timeout=timeout_seconds)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class NodeClient:
    """One running node. `node` names another node of the cluster that commands are meant for."""

    def __init__(self, sockets: Iterable[Path], node: str | None = None) -> None:
        self._sockets = tuple(sockets)
        self._node = node

    def on(self, node: str) -> NodeClient:
        """The same connection, with commands meant for another node."""
        return NodeClient(self._sockets, node)

    def command(self, name: str, params: Mapping[str, Any] | None = None) -> Any:
        """The answer of a control command. Raises RalnodeError."""
        query = urlencode({"node": self._node}) if self._node else ""
        body = json.dumps(params or {}).encode()
        with closing(self._open(COMMAND_SECONDS_MAX)) as connection:
            response = _ask(connection, "POST", f"/v1/command/{quote(name, safe='')}?{query}", body)
            return _json(_whole(response))

    def post(self, path: str, params: Mapping[str, Any], table: Mapping[str, Any]) -> Any:
        """A JSON object there and back, to the node on this machine."""
        self._refuse_other_node(path)
        with closing(self._open(COMMAND_SECONDS_MAX)) as connection:
            return _json(_whole(_ask(connection, "POST", _target(path, params), json.dumps(table).encode())))

    def lines(self, method: str, path: str, params: Mapping[str, Any] | None = None) -> Iterator[dict[str, Any]]:
        """JSON lines as they come; an error line raises. Ends when the node ends the stream."""
        self._refuse_other_node(path)
        with closing(self._open(None)) as connection:
            yield from _lines(_ask(connection, method, _target(path, params)))

    def frames(self, path: str, params: Mapping[str, Any] | None = None) -> Iterator[Frame]:
        """Frames of a download up to and without END. Raises what the node raised, also in the middle."""
        self._refuse_other_node(path)
        with closing(self._open(None)) as connection:
            response = _ask(connection, "GET", _target(path, params))
            reader = FrameReader()
            while not reader.ended:
                yield from _checked(reader.feed(_some(response)))

    def upload(
        self, path: str, params: Mapping[str, Any], body: Iterable[bytes]
    ) -> Generator[dict[str, Any], None, None]:
        """Sends `body` from a thread while the node's JSON lines are yielded. Raises what either side raised."""
        self._refuse_other_node(path)
        with closing(self._open(None)) as connection:
            connection.putrequest("POST", _target(path, params))
            connection.putheader("Transfer-Encoding", "chunked")
            connection.endheaders()
            with Upload(connection.sock, body) as upload:
                try:
                    yield from _lines(_answer(connection))
                except Exception as error:
                    raise upload.error or error from None
                if upload.error:
                    raise upload.error

    def lender(self) -> Lender:
        """For the files of an upload; to be open as long as it lasts."""
        return Lender(self._sockets)

    def _open(self, timeout_seconds: float | None) -> UnixConnection:
        for path in self._sockets:
            connection = UnixConnection(path, timeout_seconds)
            try:
                connection.connect()
            except PermissionError:
                raise RefusedError(
                    f"this user may not talk to the node at {path}; try sudo, or join the group that owns the socket"
                ) from None
            except OSError:
                connection.close()
                continue
            return connection
        looked = " or ".join(map(str, self._sockets))
        raise UnavailableError(f"no node is running here (looked at {looked}). Start one: ralnode run")

    def _refuse_other_node(self, path: str) -> None:
        if self._node:
            word = path.removeprefix("/v1/")
            raise RefusedError(f"{word} goes to the node on this machine, not to {self._node!r}; leave --node out")


def _target(path: str, params: Mapping[str, Any] | None) -> str:
    given = {key: value for key, value in (params or {}).items() if value is not None}
    return f"{path}?{urlencode({k: json.dumps(v) if isinstance(v, bool) else v for k, v in given.items()})}"


def _ask(connection: HTTPConnection, method: str, target: str, body: bytes | None = None) -> HTTPResponse:
    try:
        connection.request(method, target, body)
    except OSError as error:
        raise _gone(error) from error
    return _answer(connection)


def _answer(connection: HTTPConnection) -> HTTPResponse:
    """The response, its head read; anything but 200 is raised as the error it tells of."""
    try:
        response = connection.getresponse()
        if response.status == 503 and response.headers.get_content_type() != "application/json":
            raise UnavailableError("the node has too many commands under way; try again in a moment")
        if response.status != 200:
            raise error_of(_json(response.read(READ_BYTES)))
    except (OSError, HTTPException) as error:
        raise _gone(error) from error
    return response


def _lines(response: HTTPResponse) -> Iterator[dict[str, Any]]:
    while True:
        try:
            line = response.readline(LINE_BYTES_MAX)
        except (OSError, HTTPException) as error:
            raise _gone(error) from error
        if not line:
            return
        table = _json(line)
        if is_error(table):
            raise error_of(table)
        yield table


def _some(response: HTTPResponse) -> bytes:
    try:
        data = response.read1(READ_BYTES)
    except (OSError, HTTPException) as error:
        raise _gone(error) from error
    if not data:
        raise UnavailableError("the node ended the stream in the middle; nothing more came. Try again")
    return data


def _whole(response: HTTPResponse) -> bytes:
    try:
        return response.read()
    except (OSError, HTTPException) as error:
        raise _gone(error) from error


def _checked(frames: Iterable[Frame]) -> Iterator[Frame]:
    for frame in frames:
        if frame.tag == Tag.FAILURE:
            raise error_of(_json(frame.payload))
        if frame.tag != Tag.END:
            yield frame


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError as error:
        raise PeerError(f"the node answered something that is no JSON: {data[:80]!r}") from error


def _gone(error: Exception) -> RalnodeError:
    if isinstance(error, TimeoutError):
        return UnavailableError(f"the node did not answer within {COMMAND_SECONDS_MAX:.0f} s; look at its log")
    return UnavailableError(f"the node went away in the middle ({error or type(error).__name__}); look at its log")
