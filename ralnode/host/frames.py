"""The framing of file trees on the control socket, both ways: uploads of `add`, downloads of `get`. No IO here.

A frame is one tag byte, a big-endian 32-bit length, and that many bytes. A tree is: for every entry in depth-first order
ENTRY (JSON of an `Entry`), for a file then any number of DATA and one FILE_END; at last END. FAILURE (JSON of error,
exit_code, class) may come instead of any frame and ends the stream. A stream without END or FAILURE was cut off.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from enum import IntEnum
from typing import Final, NamedTuple

from ralnode.api.errors import UsageError
from ralnode.api.limits import MIB
from ralnode.host.errortable import error_table

FRAME_BYTES_MAX: Final = MIB
"""One chunk of a file: bounds what either side must hold at once."""

PATH_BYTES_MAX: Final = 4096
"""PATH_MAX of Linux."""

DEPTH_MAX: Final = 256
_HEAD: Final = struct.Struct(">BI")
MEDIA_TYPE: Final = "application/x-ralnode-frames"


class Tag(IntEnum):
    ENTRY = 1
    DATA = 2
    FILE_END = 3
    END = 4
    FAILURE = 5


class Frame(NamedTuple):
    tag: Tag
    payload: bytes = b""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file, directory or symlink. `path` is relative, `/`-separated, and empty for the top itself."""

    path: str
    kind: str
    """file, directory or symlink."""
    size_bytes: int = 0
    target: str = ""
    """Of a symlink."""
    mtime_ns: int = 0
    cid: str = ""
    """Of what is read; unknown (empty) for what is added."""
    origin: str = ""
    """Of what is added: the absolute path where it came from, by which an interrupted upload is continued."""
    offset: int = 0
    """Of what is added: where the DATA that follow begin."""
    ticket: str = ""
    """Of what is added: under which the file itself was handed over (see lendingpath.py); no DATA follow then."""

    def encode(self) -> Frame:
        return Frame(Tag.ENTRY, json.dumps(asdict(self), ensure_ascii=True).encode())

    @classmethod
    def decode(cls, payload: bytes) -> Entry:
        """Raises UsageError for anything that is not a harmless entry (see `check_path`)."""
        try:
            table = json.loads(payload)
            found = cls(**{field.name: table[field.name] for field in fields(cls) if field.name in table})
        except (ValueError, TypeError, KeyError) as error:
            raise UsageError(f"malformed entry in the stream: {error}") from error
        _check(found)
        return found


def encode(frame: Frame) -> bytes:
    """The bytes of a frame. The payload must not be longer than FRAME_BYTES_MAX."""
    assert len(frame.payload) <= FRAME_BYTES_MAX
    return head(frame.tag, len(frame.payload)) + frame.payload


def head(tag: Tag, length: int) -> bytes:
    """The five bytes before a payload, for senders that do not want to copy it."""
    return _HEAD.pack(tag, length)


def failure(error: Exception) -> Frame:
    """A FAILURE frame that `client` turns into the same error."""
    return Frame(Tag.FAILURE, json.dumps(error_table(error)).encode()[:FRAME_BYTES_MAX])


class FrameReader:
    """Bytes in, frames out; holds at most one frame and what was fed last."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.ended = False
        """Whether END or FAILURE was seen; nothing may follow it."""

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Yields every frame that is complete. Raises UsageError on a malformed stream."""
        self._buffer += data
        at = 0
        try:
            while len(self._buffer) - at >= _HEAD.size:
                tag, length = self._head(at)
                if len(self._buffer) - at < _HEAD.size + length:
                    return
                start = at + _HEAD.size
                at = start + length
                self.ended = tag in (Tag.END, Tag.FAILURE)
                yield Frame(tag, bytes(memoryview(self._buffer)[start:at]))
        finally:
            del self._buffer[:at]

    def _head(self, at: int) -> tuple[Tag, int]:
        if self.ended:
            raise UsageError("malformed stream: something follows its end")
        number, length = _HEAD.unpack_from(self._buffer, at)
        if number not in Tag.__members__.values() or length > FRAME_BYTES_MAX:
            raise UsageError(f"malformed stream: frame {number} of {length} bytes")
        return Tag(number), length


def check_path(path: str) -> None:
    """Refuses what could lead out of the folder it is unpacked into. Raises UsageError."""
    parts = path.split("/")
    if path and (len(path.encode("utf-8", "surrogateescape")) > PATH_BYTES_MAX or len(parts) > DEPTH_MAX):
        raise UsageError(f"the path {path[:80]!r}… is too long")
    if path and any(part in ("", ".", "..") or "\0" in part for part in parts):
        raise UsageError(f"{path!r} is not a plain relative path")


def _check(entry: Entry) -> None:
    texts = (entry.path, entry.kind, entry.target, entry.cid, entry.origin, entry.ticket)
    numbers = (entry.size_bytes, entry.mtime_ns, entry.offset)
    if not all(isinstance(text, str) for text in texts) or not all(type(number) is int for number in numbers):
        raise UsageError("malformed entry in the stream: a field has the wrong type")
    if entry.kind not in ("file", "directory", "symlink") or not 0 <= entry.offset <= entry.size_bytes:
        raise UsageError(f"malformed entry in the stream: {entry.kind!r} of {entry.size_bytes} bytes")
    if max(map(len, texts)) > 4 * PATH_BYTES_MAX:
        raise UsageError("malformed entry in the stream: a path is too long")
    check_path(entry.path)
