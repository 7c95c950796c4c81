"""Building one directory from its entries: a single block, or a HAMT above the profile's threshold."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ralnode.api.model import Block
from ralnode.dag import hamt, pb, unixfs, varint
from ralnode.dag.build import Built, make_node
from ralnode.dag.errors import DagError
from ralnode.dag.pb import Link
from ralnode.dag.profile import HamtRule, Profile

NAME_BYTES_MAX: Final = 1024
"""File systems allow 255; bounds what a hostile upload may put into one link."""


def build_directory(profile: Profile, entries: Iterable[Link], content_bytes: int) -> tuple[Built, list[Block]]:
    """A directory of `entries` in any order; its blocks, children before parents. Raises DagError for names that no
    directory may have: empty, `.`, `..`, with a slash or NUL, doubled, too long."""
    links = sorted(entries, key=lambda link: link.name)
    for index, link in enumerate(links):
        check_name(link.name)
        if index and links[index - 1].name == link.name:
            raise DagError(f"a directory has two entries called {link.name!r}")
    if _estimated_bytes(profile, links) > profile.hamt_threshold_bytes:
        blocks: list[Block] = []
        built = hamt.build_shards(profile, links, blocks)
        return built._replace(content_bytes=content_bytes), blocks
    built, block = make_node(profile, links, unixfs.EMPTY_DIRECTORY, content_bytes)
    return built, [block]


def check_name(name: bytes) -> None:
    """Raises DagError for a name that cannot be an entry's."""
    if name in (b"", b".", b"..") or b"/" in name or b"\0" in name or len(name) > NAME_BYTES_MAX:
        raise DagError(f"{name[:80]!r} cannot be the name of an entry")


def _estimated_bytes(profile: Profile, links: list[Link]) -> int:
    if profile.hamt_rule is HamtRule.LINKS_BYTES:
        return sum(len(link.name) + len(link.cid) for link in links)
    frame = 1 + varint.size(len(unixfs.EMPTY_DIRECTORY)) + len(unixfs.EMPTY_DIRECTORY)
    return frame + sum(pb.link_size(len(link.cid), len(link.name), link.tsize) for link in links)
