"""Encrypts packets and opens them: AES-256-GCM with a key per sender and boot, a counter as nonce, a replay window.

Header (53 bytes, authenticated): version 1, cluster tag 4, sender id 32, boot number 8, counter 8 = salt 4 ‖ count 4. The salt is random per
start: should two nodes run with one key and one boot number (a cloned disk), their nonces still differ, and receivers see it.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol, TypeAlias

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ralnode.api import Identity, NodeId
from ralnode.api.limits import DATAGRAM_BYTES_MAX
from ralnode_gossip_swim.buckets import Buckets
from ralnode_gossip_swim.options import COUNT_PER_SESSION_MAX, SESSIONS_MAX, SwimOptions

_VERSION: Final = 1
_HEADER: Final = struct.Struct(">B4s32sQ4sI")
_TAG_BYTES: Final = 16
_WINDOW: Final = 64
_WINDOW_MASK: Final = (1 << _WINDOW) - 1
BODY_BYTES_MAX: Final = DATAGRAM_BYTES_MAX - _HEADER.size - _TAG_BYTES


class Cipher(Protocol):
    """One sender's packets of one boot. `nonce` is 12 bytes."""

    def seal(self, nonce: bytes, body: bytes, header: bytes) -> bytes: ...

    def open(self, nonce: bytes, sealed: bytes, header: bytes) -> bytes | None:
        """None when it was not sealed like this."""
        ...


CipherMaker: TypeAlias = Callable[[Identity, NodeId, int], Cipher]
"""(identity, sender, boot) -> cipher."""


class AesGcm:
    """The real one. Key = HKDF(cluster secret, "gossip-v1", sender ‖ boot)."""

    __slots__ = ("_aead",)

    def __init__(self, identity: Identity, sender: NodeId, boot: int) -> None:
        self._aead = AESGCM(identity.derive("gossip-v1", sender + boot.to_bytes(8, "big")))

    def seal(self, nonce: bytes, body: bytes, header: bytes) -> bytes:
        return self._aead.encrypt(nonce, body, header)

    def open(self, nonce: bytes, sealed: bytes, header: bytes) -> bytes | None:
        try:
            return self._aead.decrypt(nonce, sealed, header)
        except InvalidTag:
            return None


class NullCipher:
    """For simulations of a thousand nodes: same sizes, no secrecy. Never the default."""

    __slots__ = ()

    def __init__(self, identity: Identity, sender: NodeId, boot: int) -> None: ...

    def seal(self, nonce: bytes, body: bytes, header: bytes) -> bytes:
        return body + bytes(_TAG_BYTES)

    def open(self, nonce: bytes, sealed: bytes, header: bytes) -> bytes | None:
        return sealed[:-_TAG_BYTES]


class Opened(NamedTuple):
    sender: NodeId
    boot: int
    body: bytes


@dataclass(slots=True)
class _Session:
    """What has come from one sender in its present boot. Bit i of `seen`: the packet `top - i` has come."""

    boot: int
    salt: bytes
    cipher: Cipher
    top: int = -1
    seen: int = 0

    def is_new(self, count: int) -> bool:
        behind = self.top - count
        return behind < 0 or (behind < _WINDOW and not self.seen >> behind & 1)

    def note(self, count: int) -> None:
        if count > self.top:
            self.seen = (self.seen << min(count - self.top, _WINDOW) | 1) & _WINDOW_MASK
            self.top = count
        else:
            self.seen |= 1 << (self.top - count)


class Sealer:
    """`open` returns None for whatever is not a fresh packet of a member of this cluster, and counts why."""

    def __init__(
        self, identity: Identity, options: SwimOptions, make_cipher: CipherMaker, counters: Counter[str]
    ) -> None:
        self._identity = identity
        self._make_cipher = make_cipher
        self._counters = counters
        self._tag = identity.derive("gossip-tag-v1", length=4)
        self._hosts = Buckets(options.packets_per_second_per_host, options.packets_burst_per_host)
        self._strangers = Buckets(options.strangers_per_second, options.strangers_per_second)
        self._sessions: dict[NodeId, _Session] = {}
        self._salt = b""
        self._boot = 0
        self._count = 0

    def begin(self, boot: int, salt: bytes) -> None:
        """Seals with a new key from now on. A pair (boot, salt) must never come twice for one node key."""
        self._boot, self._salt, self._count = boot, salt, 0
        self._cipher = self._make_cipher(self._identity, self._identity.id, boot)

    @property
    def is_worn(self) -> bool:
        """Whether the key has sealed nearly as much as it may: `begin` again."""
        return self._count > COUNT_PER_SESSION_MAX - 1_000_000

    def seal(self, body: bytes) -> bytes:
        self._count += 1
        header = _HEADER.pack(_VERSION, self._tag, self._identity.id, self._boot, self._salt, self._count)
        return header + self._cipher.seal(_nonce(header), body, header)

    def open(self, data: bytes, host: str, now_seconds: float) -> Opened | None:
        """Cheap refusals first; nothing is remembered of a packet that is refused but a number in the counters."""
        session = self._screen(data, host, now_seconds)
        if not isinstance(session, _Session):
            self._counters[session] += 1
            return None
        header = data[: _HEADER.size]
        _, _, sender, boot, salt, count = _HEADER.unpack(header)
        body = session.cipher.open(_nonce(header), data[_HEADER.size :], header)
        reason = "dropped_forged" if body is None else self._doubt(session, sender, salt)
        if body is None or reason:
            self._counters[reason] += 1
            return None
        session.note(count)
        self._keep(sender, session)
        return Opened(sender, boot, body)

    def forget(self, sender: NodeId) -> None:
        self._sessions.pop(sender, None)

    def _screen(self, data: bytes, host: str, now_seconds: float) -> _Session | str:
        """The session to try it with, or why it is refused before any deciphering."""
        if not _HEADER.size + _TAG_BYTES <= len(data) <= DATAGRAM_BYTES_MAX:
            return "dropped_wrong_size"
        version, tag, sender, boot, salt, count = _HEADER.unpack_from(data)
        if version != _VERSION or tag != self._tag:
            return "dropped_foreign"
        if not self._hosts.take(host, now_seconds):
            return "dropped_flooding"
        session = self._sessions.get(sender)
        if session is not None and boot < session.boot:
            return "dropped_old_boot"
        if session is not None and boot == session.boot:
            return session if salt != session.salt or session.is_new(count) else "dropped_replayed"
        if not self._strangers.take("", now_seconds):
            return "dropped_flooding"
        return _Session(boot, salt, self._make_cipher(self._identity, sender, boot))

    def _doubt(self, session: _Session, sender: NodeId, salt: bytes) -> str:
        """Why an authentic packet is not accepted all the same; empty when it is."""
        if sender == self._identity.id:
            is_echo = session.boot == self._boot and salt == self._salt
            return "dropped_own_echo" if is_echo else "cloned_key"
        return "cloned_key" if salt != session.salt else ""

    def _keep(self, sender: NodeId, session: _Session) -> None:
        if self._sessions.get(sender) is session:
            return
        if len(self._sessions) >= SESSIONS_MAX:
            del self._sessions[next(iter(self._sessions))]
        self._sessions[sender] = session


def _nonce(header: bytes) -> bytes:
    """Twelve bytes: four zeros and the counter."""
    return b"\0\0\0\0" + header[-8:]
