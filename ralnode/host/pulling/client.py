"""HTTP to a trustless gateway: single blocks and CARs. Blocking; called in threads, one connection for each.

Sends no cookies and no credentials. Everything that comes is bounded: sizes, redirects, the time of a block, the pauses of a
stream, how often it is tried again. Blocks are verified here.
"""

from __future__ import annotations

import http.client
import ssl
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Final

from ralnode import __version__
from ralnode.api import BadBlockError, NotFoundError, PeerError, RefusedError, UnavailableError
from ralnode.api.limits import BLOCK_BYTES_MAX, KIB
from ralnode.dag import cid as cids
from ralnode.host.pulling.address import GatewayAddress

RAW_TYPE: Final = "application/vnd.ipld.raw"
CAR_TYPE: Final = "application/vnd.ipld.car"
CONNECT_SECONDS: Final = 10.0
SILENT_SECONDS: Final = 60.0
"""A gateway that looks for a block in the wide world needs that long before it says anything."""
BLOCK_SECONDS: Final = 120.0
"""For one block, whatever trickles in."""
REDIRECTS_MAX: Final = 5
PACE_SECONDS: Final = 120.0
PACE_BYTES_MIN: Final = 64 * KIB
"""Of a stream within PACE_SECONDS: who trickles holds a connection for years."""
TRIES_MAX: Final = 4
RETRY_SECONDS: Final = 1.0
RETRY_SECONDS_MAX: Final = 30.0
PIECE_BYTES: Final = 256 * KIB
_REDIRECTS: Final = (301, 302, 303, 307, 308)
_LATER: Final = (429, 502, 503, 504)
_NOT_THERE: Final = (404, 410, 451)


class GatewayClient:
    """May be used from several threads at once."""

    def __init__(
        self, address: GatewayAddress, *, insecure: bool = False, sleep: Callable[[float], object] | None = None
    ) -> None:
        self._address = address
        self._insecure = insecure
        self._idle: list[http.client.HTTPConnection] = []
        self._used: set[http.client.HTTPConnection] = set()
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._sleep = sleep or self._closed.wait

    def close(self) -> None:
        """Whoever still reads gets an error at once."""
        self._closed.set()
        with self._lock:
            connections, self._idle = [*self._idle, *self._used], []
        for connection in connections:
            _cut(connection)

    def block(self, key: bytes) -> bytes:
        """Verified. Raises NotFoundError, UnavailableError, BadBlockError, PeerError."""
        path = f"{self._address.path}/ipfs/{cids.to_text(key)}?format=raw"
        for attempt in range(TRIES_MAX):
            try:
                with self._answer(path, RAW_TYPE) as response:
                    data = self._small_body(response)
            except _LaterError as error:
                if attempt == TRIES_MAX - 1:
                    raise UnavailableError(str(error)) from None
                self._sleep(error.seconds * (2**attempt))
                continue
            if not cids.verify(key, data):
                raise BadBlockError(f"{self._address} sent bytes for {cids.to_text(key)} that do not hash to it")
            return data
        raise AssertionError("unreachable")

    def car(self, root: bytes) -> Generator[bytes, None, None]:
        """Pieces of a CAR of all below the root, unverified. Raises NoCarError if the gateway makes none; what `block`
        raises; PeerError when it breaks off or is too slow."""
        path = f"{self._address.path}/ipfs/{cids.to_text(root)}?format=car&dag-scope=all&car-order=dfs&car-dups=n"
        for attempt in range(TRIES_MAX):
            try:
                with self._answer(path, f"{CAR_TYPE}; version=1; order=dfs; dups=n") as response:
                    if not (response.getheader("content-type") or "").startswith(CAR_TYPE):
                        raise NoCarError
                    yield from self._pieces(response)
                    return
            except _LaterError as error:
                self._sleep(error.seconds * (2**attempt))
            except (NotFoundError, RefusedError):
                raise NoCarError from None
        raise NoCarError

    def _pieces(self, response: http.client.HTTPResponse) -> Iterator[bytes]:
        began, seen = time.monotonic(), 0
        while piece := self._piece(response):
            yield piece
            seen += len(piece)
            if time.monotonic() - began > PACE_SECONDS:
                if seen < PACE_BYTES_MIN:
                    raise PeerError(f"{self._address} sends less than {PACE_BYTES_MIN} bytes in {PACE_SECONDS:.0f} s")
                began, seen = time.monotonic(), 0

    def _small_body(self, response: http.client.HTTPResponse) -> bytes:
        ends = time.monotonic() + BLOCK_SECONDS
        data = bytearray()
        while piece := self._piece(response):
            data += piece
            if len(data) > BLOCK_BYTES_MAX:
                raise PeerError(f"{self._address} sends a block of more than {BLOCK_BYTES_MAX} bytes; refused")
            if time.monotonic() > ends:
                raise UnavailableError(f"{self._address} did not send one block within {BLOCK_SECONDS:.0f} s")
        return bytes(data)

    def _piece(self, response: http.client.HTTPResponse) -> bytes:
        """Empty at the end."""
        try:
            piece = response.read1(PIECE_BYTES)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise PeerError(f"{self._address} broke off: {_reason(error)}") from None
        if not piece and response.length:
            raise PeerError(f"{self._address} broke off: {response.length:,} bytes are missing")
        return piece

    @contextmanager
    def _answer(self, path: str, accept: str) -> Iterator[http.client.HTTPResponse]:
        """One with status 200; redirects are followed."""
        address, asked = self._address, path
        for _ in range(REDIRECTS_MAX + 1):
            connection = self._connection(address)
            is_done = False
            try:
                response = self._ask(connection, address, asked, accept)
                location = response.getheader("location") if response.status in _REDIRECTS else None
                if location is None:
                    _check_status(response, address)
                    yield response
                    if response.length == 0:
                        response.close()  # the response alone; http.client leaves that to its reader
                    is_done = response.isclosed()
                    return
            finally:
                self._put_back(connection, address, is_reusable=is_done)
            address = address.redirected(asked, location)
            asked = address.path
            address = GatewayAddress(address.scheme, address.host, address.port)
        raise PeerError(f"{self._address} redirects more than {REDIRECTS_MAX} times")

    def _ask(
        self, connection: http.client.HTTPConnection, address: GatewayAddress, path: str, accept: str
    ) -> http.client.HTTPResponse:
        headers = {"Accept": accept, "User-Agent": f"ralnode/{__version__}"}
        try:
            if connection.sock is None:
                connection.connect()
                assert connection.sock is not None
                connection.sock.settimeout(SILENT_SECONDS)
            connection.request("GET", path or "/", headers=headers)
            return connection.getresponse()
        except ssl.SSLCertVerificationError as error:
            raise RefusedError(
                f"the certificate of {address} is not to be trusted ({error.verify_message}). Nothing was fetched. If it is "
                "one that its owner has signed himself: --insecure"
            ) from None
        except (OSError, http.client.HTTPException) as error:
            raise _LaterError(f"{address} does not answer: {_reason(error)}", 0.2) from None

    def _connection(self, address: GatewayAddress) -> http.client.HTTPConnection:
        if self._closed.is_set():
            raise UnavailableError("this was given up")
        with self._lock:
            if address.host == self._address.host and address.port == self._address.port and self._idle:
                found = self._idle.pop()
            elif address.scheme == "https":
                found = http.client.HTTPSConnection(
                    address.host, address.port, timeout=CONNECT_SECONDS, context=_tls(insecure=self._insecure)
                )
            else:
                found = http.client.HTTPConnection(address.host, address.port, timeout=CONNECT_SECONDS)
            self._used.add(found)
        return found

    def _put_back(self, connection: http.client.HTTPConnection, address: GatewayAddress, *, is_reusable: bool) -> None:
        is_home = (address.host, address.port) == (self._address.host, self._address.port)
        with self._lock:
            self._used.discard(connection)
            if is_reusable and is_home and connection.sock is not None and not self._closed.is_set():
                self._idle.append(connection)
                return
        connection.close()


@lru_cache(2)
def _tls(*, insecure: bool) -> ssl.SSLContext:
    """Reads the machine's authorities, which takes a while."""
    context = ssl.create_default_context()
    if insecure:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


class NoCarError(Exception):
    """The gateway makes no CAR of this; single blocks may be had."""


class _LaterError(Exception):
    def __init__(self, text: str, seconds: float) -> None:
        super().__init__(text)
        self.seconds = seconds


def _check_status(response: http.client.HTTPResponse, address: GatewayAddress) -> None:
    status = response.status
    if status == 200:
        return
    if status in _NOT_THERE:
        raise NotFoundError(f"{address} has no such block (status {status})")
    if status in _LATER:
        raise _LaterError(f"{address} is busy or does not find the block (status {status})", _retry_after(response))
    raise RefusedError(f"{address} refuses to give blocks (status {status}): is it a trustless gateway?")


def _retry_after(response: http.client.HTTPResponse) -> float:
    text = response.getheader("retry-after") or ""
    seconds = float(text) if text.isascii() and text.isdigit() and len(text) < 6 else RETRY_SECONDS
    return min(max(0.1, seconds), RETRY_SECONDS_MAX)


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it said nothing for too long"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _cut(connection: http.client.HTTPConnection) -> None:
    sock = connection.sock
    if sock is not None:
        with suppress(OSError):
            sock.shutdown(2)
    with suppress(OSError):
        connection.close()
