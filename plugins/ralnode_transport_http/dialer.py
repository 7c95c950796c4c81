"""Blocking connections to peers, for worker threads: dialled, checked to be the node that was meant, and kept for reuse.

A thread with a blocking socket is faster than the event loop here (DESIGN.md): decryption, hashing and copying release
the interpreter, and the loop stays free for gossip.
"""

from __future__ import annotations

import http.client
import select
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from ralnode.api import Address, Identity, NodeId, Peer, PeerError, UnavailableError
from ralnode_transport_http import bounds


class Cancel:
    """Ends the work of a thread from outside: shuts its socket down, whatever it waits for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._wake: Callable[[], object] | None = None
        self.is_set = False

    def when_set(self, wake: Callable[[], object]) -> None:
        """`wake` is called by `set`, for a thread that waits for something else than the peer."""
        self._wake = wake

    def watch(self, connected: socket.socket) -> None:
        """From now on `set` shuts this socket down. Raises UnavailableError when it was called already."""
        with self._lock:
            self._socket = connected
            if self.is_set:
                raise UnavailableError("the request was cancelled")

    def forget(self) -> None:
        with self._lock:
            self._socket = None

    def set(self) -> None:
        with self._lock:
            self.is_set = True
            if self._socket is not None:
                _shut_down(self._socket)
        if self._wake is not None:
            self._wake()


class Link:
    """One connection to one node; used by one thread at a time."""

    def __init__(self, node: NodeId, address: Address, tls: ssl.SSLSocket) -> None:
        self.node = node
        self.address = address
        self.socket = tls
        self.http = http.client.HTTPConnection(address.host, address.port)
        self.http.sock = tls
        self.http.auto_open = 0  # a lost connection is an error, not a reason to dial in plain text
        self.idle_since = 0.0
        self.is_reused = False

    @property
    def is_alive(self) -> bool:
        """Between requests a peer sends nothing: readable means closed."""
        poll = select.poll()
        poll.register(self.socket, select.POLLIN)
        return not poll.poll(0)

    def close(self) -> None:
        self.http.close()
        self.socket.close()

    def abort(self) -> None:
        """In the middle of an answer: resets the connection, so that the peer stops sending at once. A plain close would
        leave it waiting for room in our window, until a probe of its system finds nobody there."""
        _reset_on_close(self.socket)
        self.close()


class Dialer:
    """Thread safe. `take` gives a link, idle or new; give it back with `put` or close it."""

    def __init__(self, identity: Identity, connect_seconds: float, stall_seconds: float) -> None:
        self._identity = identity
        self._tls = identity.client_tls()
        self._connect_seconds = connect_seconds
        self._stall_seconds = stall_seconds
        self._lock = threading.Lock()
        self._idle: list[Link] = []
        """Longest idle first."""

    def take(self, peer: Peer, cancel: Cancel, *, fresh: bool = False) -> Link:
        """`fresh`: never an idle connection, which may turn out to be dead only when the request has been sent.
        Raises UnavailableError when the node is at none of its addresses."""
        while not fresh and peer.id is not None and (link := self._take_idle(peer.id)) is not None:
            if link.is_alive:
                cancel.watch(link.socket)
                link.is_reused = True
                return link
            link.close()
        return self._dial(peer, cancel)

    def put(self, link: Link) -> None:
        link.idle_since = time.monotonic()
        with self._lock:
            self._idle.append(link)
            surplus = self._surplus(link.node)
        for old in surplus:
            old.close()

    def close_idle(self) -> None:
        with self._lock:
            surplus, self._idle = self._idle, []
        for link in surplus:
            link.close()

    def _take_idle(self, node: NodeId) -> Link | None:
        """The one used last: it is the likeliest to live."""
        with self._lock:
            for position in range(len(self._idle) - 1, -1, -1):
                if self._idle[position].node == node:
                    return self._idle.pop(position)
        return None

    def _surplus(self, node: NodeId) -> list[Link]:
        """Takes out what is too old or too much."""
        oldest = time.monotonic() - bounds.CLIENT_IDLE_SECONDS
        same = [link for link in self._idle if link.node == node]
        out = {id(link) for link in self._idle if link.idle_since < oldest}
        out |= {id(link) for link in same[: -bounds.IDLE_PER_PEER_MAX]}
        out |= {id(link) for link in self._idle[: -bounds.IDLE_CONNECTIONS_MAX]}
        surplus = [link for link in self._idle if id(link) in out]
        self._idle = [link for link in self._idle if id(link) not in out]
        return surplus

    def _dial(self, peer: Peer, cancel: Cancel) -> Link:
        failures: list[str] = []
        for address in peer.addresses[: bounds.ADDRESSES_MAX]:
            try:
                return self._connect(peer.id, address, cancel)
            except (OSError, PeerError) as error:
                cancel.forget()
                failures.append(f"{address}: {explain(error)}")
        raise UnavailableError(f"cannot reach the peer: {'; '.join(failures) or 'no address of it is known'}")

    def _connect(self, expected: NodeId | None, address: Address, cancel: Cancel) -> Link:
        tls = self._tls.wrap_socket(
            socket.create_connection(address, timeout=self._connect_seconds), do_handshake_on_connect=False
        )
        try:
            cancel.watch(tls)
            tls.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            tls.do_handshake()
            node = self._identity.node_of_certificate(tls.getpeercert(True) or b"")
            if expected is not None and node != expected:
                raise PeerError("another node of the cluster answers there")
            tls.settimeout(self._stall_seconds)
        except BaseException:
            tls.close()
            raise
        return Link(node, address, tls)


def explain(error: Exception) -> str:
    """A failure of a connection in a few words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return "what answers is not of this cluster"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def _shut_down(connected: socket.socket) -> None:
    """The system call alone: SSLSocket.shutdown would take the TLS object away from the thread that reads from it."""
    with suppress(OSError):  # it was closed already
        _reset_on_close(connected)
        socket.socket.shutdown(connected, socket.SHUT_RDWR)


def _reset_on_close(connected: socket.socket) -> None:
    with suppress(OSError):
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
