"""Content for tests: key streams as the IPIP-499 vectors use them, and small DAGs kept in a dict. No IO."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

from ralnode.api.model import Block
from ralnode.dag.build import Built, FileBuilder, make_leaf, make_symlink
from ralnode.dag.profile import V1_2025, Profile
from ralnode.dag.tree import TreeBuilder

Blocks: TypeAlias = dict[bytes, bytes]
Tree: TypeAlias = Mapping[str, bytes | None]
"""Path -> content of a file; None is a directory; a path that ends in `@` is a symlink to its content."""


def key_stream(seed: str, size_bytes: int, chunk_bytes: int = 1 << 20) -> Iterator[bytes]:
    """ChaCha20 under sha256(seed) with a zero nonce: the same bytes everywhere, and incompressible."""
    key = hashlib.sha256(seed.encode()).digest()
    stream = Cipher(algorithms.ChaCha20(key, bytes(16)), None).encryptor()
    zeros = bytes(chunk_bytes)
    for start in range(0, size_bytes, chunk_bytes):
        yield stream.update(zeros[: min(chunk_bytes, size_bytes - start)])


def content(seed: str, size_bytes: int) -> bytes:
    return b"".join(key_stream(seed, size_bytes))


def store(into: Blocks, blocks: Iterable[Block]) -> None:
    into.update((block.key, block.data) for block in blocks)


def build_file(into: Blocks, data: bytes, profile: Profile = V1_2025) -> Built:
    """The DAG of a file; its blocks go into `into`."""
    builder = FileBuilder(profile)
    for start in range(0, max(1, len(data)), profile.chunk_bytes):
        leaf, block = make_leaf(profile, data[start : start + profile.chunk_bytes])
        store(into, [block, *builder.add(leaf)])
    built, last = builder.finish()
    store(into, last)
    return built


def build_tree(into: Blocks, tree: Tree, profile: Profile = V1_2025) -> Built:
    """The DAG of a folder; its blocks go into `into`."""
    builder = TreeBuilder(profile)
    for path, data in sorted(tree.items(), key=lambda item: item[0].split("/")):
        names = tuple(name.encode() for name in path.removesuffix("@").split("/"))
        if data is None:
            store(into, builder.add_directory(names))
        elif path.endswith("@"):
            built, block = make_symlink(profile, data)
            store(into, [block, *builder.add(names, built)])
        else:
            store(into, builder.add(names, build_file(into, data, profile)))
    built, last = builder.finish()
    store(into, last)
    return built
