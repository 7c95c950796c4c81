"""multipart/form-data (RFC 7578) as it comes: part by part, with bounded memory, whatever the size of a file. No IO of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from email.message import Message
from typing import Final

from ralnode.api import UsageError

_HEAD_BYTES_MAX: Final = 8 * 1024
_BOUNDARY_BYTES_MAX: Final = 200
_FIELD_BYTES_MAX: Final = 4 * 1024


@dataclass(frozen=True, slots=True)
class Part:
    """`filename` is None for a plain field."""

    name: str
    filename: str | None


class MultipartReader:
    """`next_part`, then `read` or `text` of it, until None comes. Raises UsageError for what is malformed or cut off."""

    def __init__(self, pieces: AsyncIterator[bytes], boundary: bytes) -> None:
        self._pieces = pieces
        self._delimiter = b"\r\n--" + boundary
        self._buffer = bytearray(b"\r\n")  # so that the first delimiter is like all others
        self._taken = -2
        self._in_part = True  # what stands before the first delimiter is skipped like a part

    def rest_of(self, body_bytes: int) -> int:
        """How long the content of this part is if it is the last one of a body of so many bytes."""
        return body_bytes - self._taken - len(self._delimiter) - len(b"--\r\n")

    async def next_part(self) -> Part | None:
        async for _piece in self.read():
            pass
        while len(self._buffer) < 2:
            await self._more()
        if self._buffer.startswith(b"--"):
            return None
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            if len(self._buffer) > _HEAD_BYTES_MAX:
                raise UsageError("malformed form: the head of a part is too long. Nothing was stored")
            await self._more()
        head = self._take(end + 4)
        self._in_part = True
        return _part(head)

    async def read(self) -> AsyncIterator[bytes]:
        """The content of the part, or what is left of it."""
        while self._in_part:
            at = self._buffer.find(self._delimiter)
            if at >= 0:
                content = self._take(at)
                self._take(len(self._delimiter))
                self._in_part = False
                if content:
                    yield content
                return
            sure = len(self._buffer) - len(self._delimiter)
            if sure > 0:
                yield self._take(sure)
            await self._more()

    async def text(self) -> str:
        """A plain field."""
        content = bytearray()
        async for piece in self.read():
            content += piece
            if len(content) > _FIELD_BYTES_MAX:
                raise UsageError("malformed form: a field is too long. Nothing was stored")
        return content.decode("utf-8", "replace")

    async def _more(self) -> None:
        piece = await anext(self._pieces, None)
        if piece is None:
            raise UsageError("the upload was cut off. Nothing was published")
        self._buffer += piece

    def _take(self, count: int) -> bytes:
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        self._taken += count
        return taken


def boundary_of(content_type: str) -> bytes:
    """Raises UsageError."""
    message = Message()
    message["content-type"] = content_type
    boundary = message.get_param("boundary")
    if message.get_content_type() != "multipart/form-data" or not isinstance(boundary, str) or not boundary:
        raise UsageError("send the files as multipart/form-data. Nothing was stored")
    raw = boundary.encode("utf-8", "replace")
    if len(raw) > _BOUNDARY_BYTES_MAX:
        raise UsageError("malformed form: its boundary is too long. Nothing was stored")
    return raw


def _part(head: bytes) -> Part:
    for line in head.decode("utf-8", "replace").split("\r\n"):
        name, _, value = line.partition(":")
        if name.strip().lower() == "content-disposition":
            found = _parameters(value)
            return Part(found.get("name", ""), found.get("filename"))
    raise UsageError("malformed form: a part has no name. Nothing was stored")


def _parameters(value: str) -> dict[str, str]:
    """As browsers write them: quoted, with `"`, CR and LF percent-encoded (HTML standard), nothing else escaped."""
    found: dict[str, str] = {}
    rest = value.partition(";")[2]
    while rest:
        name, _, rest = rest.partition("=")
        rest = rest.lstrip()
        if rest.startswith('"'):
            text, _, rest = rest[1:].partition('"')
        else:
            text, _, _ = rest.partition(";")
            text = text.strip()
        rest = rest.partition(";")[2]
        for code, char in (("%22", '"'), ("%0D", "\r"), ("%0A", "\n"), ("%0d", "\r"), ("%0a", "\n")):
            text = text.replace(code, char)
        found[name.strip().lower()] = text
    return found
