"""The catalogue with many records: writing, loading, syncing them to a new node. Real Ed25519 keys.

`python tests/bench/bench_catalogue.py [RECORDS]`
"""

import sys
import time
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ralnode.api import Instant
from ralnode.core.catalogue import Catalogue
from ralnode.core.sync import SyncBody, decode_sync, encode_sync
from ralnode.host.identity import NodeIdentity
from ralnode.testing.authors import make_source

LIMIT_BYTES = 64 * 1024
NOW = Instant(0.0, 1_700_000_000_000)


def identity(number: int) -> NodeIdentity:
    return NodeIdentity(Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32), b"s" * 32, Path())


def measure(count: int) -> dict[str, float]:
    ann, bob = identity(1), identity(2)
    author, disk = Catalogue(ann.id, ann), {}
    figures = {}
    start = time.perf_counter()
    for number in range(count):
        disk.update(author.put_source(make_source(number), NOW))
    figures["write_us_per_record"] = (time.perf_counter() - start) / count * 1e6
    start = time.perf_counter()
    loaded = Catalogue(ann.id, ann)
    loaded.load({name: value for name, value in disk.items() if value is not None})
    figures["load_us_per_record"] = (time.perf_counter() - start) / count * 1e6
    start = time.perf_counter()
    assert len(loaded.sources()) == count
    figures["list_seconds"] = time.perf_counter() - start
    reader, longest, rounds = Catalogue(bob.id, bob), 0.0, 0
    begin = time.perf_counter()
    more = True
    while more:
        start = time.perf_counter()
        body = encode_sync(SyncBody(loaded.digest(bob.id), loaded.delta(bob.id, reader.digest(ann.id), LIMIT_BYTES)))
        more = reader.merge(ann.id, decode_sync(body).deltas, NOW).more
        longest, rounds = max(longest, time.perf_counter() - start), rounds + 1
    figures["sync_us_per_record"] = (time.perf_counter() - begin) / count * 1e6
    figures["sync_rounds"] = rounds
    figures["sync_longest_round_ms"] = longest * 1e3
    assert reader.sources() == loaded.sources()
    start = time.perf_counter()
    assert not loaded.delta(bob.id, reader.digest(ann.id), LIMIT_BYTES)
    figures["idle_exchange_us"] = (time.perf_counter() - start) * 1e6
    return figures


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    for name, value in measure(count).items():
        print(f"{name:28} {value:12.1f}")


if __name__ == "__main__":
    main()
