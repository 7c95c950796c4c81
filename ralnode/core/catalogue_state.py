"""The documents in which a catalogue outlives a restart: their names and their bytes.

`catalogue/record/<author>/<key>` is an envelope as received; `catalogue/author/<author>` says how far the author is
known and the fingerprint of its records, so that rot on the disk is noticed without checking 100,000 signatures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from ralnode.api.model import NodeId, Root
from ralnode.core import dagcbor, fields
from ralnode.core.authormap import AuthorMap
from ralnode.core.records import NODE_ID_BYTES, SOURCE_KEY_PREFIX, source_key, trust

PREFIX: Final = b"catalogue/"
RESERVED: Final = PREFIX + b"reserved"
_RECORD: Final = PREFIX + b"record/"
_AUTHOR: Final = PREFIX + b"author/"
_VERSION: Final = 1
RESTORE_STEP: Final = 1_000_000
"""More numbers than a node uses in the life of a backup: ten records a minute for two months."""


@dataclass(slots=True)
class Loaded:
    maps: dict[NodeId, AuthorMap] = field(default_factory=dict)
    reserved: int = 0


def record_name(author: NodeId, key: bytes) -> bytes:
    return _RECORD + author + b"/" + key


def author_name(author: NodeId) -> bytes:
    return _AUTHOR + author


def key_of(root: Root) -> bytes:
    return source_key(root)


def root_of(key: bytes) -> Root | None:
    return key[len(SOURCE_KEY_PREFIX) :] if key.startswith(SOURCE_KEY_PREFIX) else None


def encode_reserved(reserved: int) -> bytes:
    return dagcbor.encode([_VERSION, reserved])


def encode_author(author_map: AuthorMap) -> bytes:
    fingerprint = author_map.fingerprint.to_bytes(16, "big")
    return dagcbor.encode([_VERSION, author_map.known, author_map.gc_seq, fingerprint])


def load(documents: Mapping[bytes, bytes]) -> Loaded:
    """Everything that can be read. An author whose records do not add up is asked for anew: its `known` is 0."""
    loaded = Loaded()
    for name in sorted(documents):
        if name.startswith(_RECORD):
            _load_record(loaded, name[len(_RECORD) :], documents[name])
    for author, author_map in loaded.maps.items():
        _load_author(author_map, documents.get(author_name(author), b""))
    if RESERVED in documents:
        loaded.reserved = _load_reserved(documents[RESERVED])
    return loaded


def restored(documents: Mapping[bytes, bytes], me: NodeId) -> dict[bytes, bytes]:
    """The documents of a backup as a node may start from them, though it has gone on after the backup was made: its own
    numbers begin far above all that it may have used since, and peers are asked for all its own records anew."""
    found = {name: data for name, data in documents.items() if name.startswith(PREFIX) and name != author_name(me)}
    reserved = _load_reserved(found[RESERVED]) if RESERVED in found else 0
    return {**found, RESERVED: encode_reserved(reserved + RESTORE_STEP)}


def _load_record(loaded: Loaded, name: bytes, envelope: bytes) -> None:
    author = name[:NODE_ID_BYTES]
    author_map = loaded.maps.setdefault(author, AuthorMap(author))
    try:
        signed = trust(author, envelope)
    except ValueError:
        return  # damaged: the fingerprint will not add up
    if name[NODE_ID_BYTES:] == b"/" + signed.key:
        author_map.put(signed)


def _load_author(author_map: AuthorMap, document: bytes) -> None:
    try:
        _version, known, gc_seq, fingerprint = fields.array(dagcbor.decode(document), "an author", 4)[:4]
        known, gc_seq = fields.integer(known, "known"), fields.integer(gc_seq, "gc_seq")
        if fingerprint != author_map.fingerprint.to_bytes(16, "big"):
            raise ValueError("its records do not add up")
    except ValueError:
        author_map.unfinished = True
        return
    author_map.known, author_map.gc_seq = known, gc_seq


def _load_reserved(document: bytes) -> int:
    """Raises ValueError: without this number the node might use a number twice, so it must not guess."""
    return fields.integer(fields.array(dagcbor.decode(document), "the reserved numbers", 2)[1], "the reserved numbers")
