"""One request and its answer over a link, blocking: statuses and failures become the errors of the transport role."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus

from ralnode.api import Peer, PeerError, RalnodeError, UnavailableError
from ralnode.dag import cid as cids
from ralnode_transport_http import bounds
from ralnode_transport_http.dialer import Cancel, Dialer, Link, explain
from ralnode_transport_http.traffic import Traffic


class NotHeldError(UnavailableError):
    """The peer does not have what it was asked for (status 404)."""


@dataclass(frozen=True, slots=True)
class Ask:
    method: str
    target: str
    body: bytes = b""
    is_repeatable: bool = True
    """May be sent again when an idle connection turns out to be dead."""


class Exchanger:
    """What every request of the client needs. Thread safe."""

    def __init__(self, dialer: Dialer, traffic: Traffic) -> None:
        self._dialer = dialer
        self._traffic = traffic

    def whole(self, peer: Peer, ask: Ask, answer_bytes_max: int, cancel: Cancel) -> tuple[Link, bytes]:
        """(who answered, the answer). Raises NotHeldError, PeerError, UnavailableError."""
        with self.opened(peer, ask, cancel) as (link, response):
            data = _read_all(link, response, answer_bytes_max)
            self._traffic.add(link.node, received_bytes=len(data))
            return link, data

    @contextmanager
    def opened(self, peer: Peer, ask: Ask, cancel: Cancel) -> Iterator[tuple[Link, http.client.HTTPResponse]]:
        """An answer with status 200, whose body is to be read inside the block. Raises as `whole` does. The connection is
        kept if the body was read to its end."""
        link, response = self._begin(peer, ask, cancel)
        is_broken = False
        try:
            _check_status(link, response)
            yield link, response
        except (OSError, http.client.HTTPException) as error:
            is_broken = True
            raise _failure(link, error) from error
        finally:
            cancel.forget()
            if response.isclosed() and not response.will_close and not is_broken:
                self._dialer.put(link)
            else:
                link.abort()
                response.close()

    def _begin(self, peer: Peer, ask: Ask, cancel: Cancel) -> tuple[Link, http.client.HTTPResponse]:
        link = self._dialer.take(peer, cancel, fresh=not ask.is_repeatable)
        try:
            return link, self._send(link, ask)
        except (OSError, http.client.HTTPException) as error:
            link.close()
            if not link.is_reused or isinstance(error, TimeoutError):
                raise _failure(link, error) from error
        link = self._dialer.take(peer, cancel, fresh=True)
        try:
            return link, self._send(link, ask)
        except (OSError, http.client.HTTPException) as error:
            link.close()
            raise _failure(link, error) from error

    def _send(self, link: Link, ask: Ask) -> http.client.HTTPResponse:
        link.http.request(ask.method, ask.target, ask.body or None)
        self._traffic.add(link.node, sent_bytes=len(ask.body))
        return link.http.getresponse()


def _read_all(link: Link, response: http.client.HTTPResponse, bytes_max: int) -> bytes:
    """Raises PeerError as soon as it is clear that there is more than `bytes_max`."""
    if (response.length or 0) > bytes_max:
        raise PeerError(f"{name_of(link)} announces {response.length} bytes where {bytes_max} are allowed")
    data = response.read(bytes_max + 1)
    if len(data) > bytes_max:
        raise PeerError(f"{name_of(link)} sends more than {bytes_max} bytes")
    if response.length:
        raise PeerError(f"{name_of(link)} sent {response.length} bytes less than it announced")
    return data


def _check_status(link: Link, response: http.client.HTTPResponse) -> None:
    if response.length is None and not response.chunked:
        # Then only the end of the connection would end the body, and a cut off one would look whole.
        raise PeerError(f"{name_of(link)} answered without saying how long its answer is")
    if response.status == HTTPStatus.OK:
        return
    reason = _printable(response.read(bounds.ERROR_BODY_BYTES_MAX).decode(errors="replace"))
    if response.status == HTTPStatus.NOT_FOUND:
        raise NotHeldError(f"{name_of(link)} does not have it: {reason}")
    if response.status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}:
        raise UnavailableError(f"{name_of(link)} cannot answer now: {reason}")
    raise PeerError(f"{name_of(link)} answered with status {response.status}: {reason}")


def _failure(link: Link, error: Exception) -> RalnodeError:
    if isinstance(error, TimeoutError):
        return UnavailableError(f"{name_of(link)} does not answer")
    return PeerError(f"{name_of(link)} broke off: {_printable(explain(error))}")


def name_of(link: Link) -> str:
    """For messages: where, and the end of the peer id, by which people tell nodes apart."""
    return f"peer {link.address} (…{cids.peer_id(link.node)[-6:]})"


def _printable(text: str) -> str:
    """A stranger's words for a terminal: one line, no control characters, not long."""
    return "".join(char if char.isprintable() else " " for char in text[: bounds.ERROR_BODY_BYTES_MAX])
