"""`TreeBuilder`: a whole folder from a depth-first stream of entries. A directory is built as soon as the stream has
left it, so that memory holds the entries of the open directories only."""

from __future__ import annotations

from ralnode.api.model import Block
from ralnode.dag.build import Built
from ralnode.dag.directory import build_directory, check_name
from ralnode.dag.errors import DagError
from ralnode.dag.pb import Link
from ralnode.dag.profile import Profile

DEPTH_MAX = 128
"""Path components; PATH_MAX of 4,096 bytes allows more only in artificial trees. Half of limits.DAG_DEPTH_MAX."""


class _Open:
    __slots__ = ("content_bytes", "links", "name")

    def __init__(self, name: bytes) -> None:
        self.name = name
        self.links: list[Link] = []
        self.content_bytes = 0


class TreeBuilder:
    """Paths are tuples of names below the folder. Order: everything below a directory comes in one go (siblings in any
    order), as a depth-first scan gives it; a directory that is not empty need not be announced."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._open = [_Open(b"")]

    def add(self, path: tuple[bytes, ...], built: Built) -> list[Block]:
        """An entry that is complete: a file or symlink. Returns blocks of directories that this closed.
        Raises DagError for names that cannot be, or a directory that is entered twice (found at the latest when its
        parent is closed)."""
        blocks = self._enter(path[:-1])
        self._link(path[-1], built)
        return blocks

    def add_directory(self, path: tuple[bytes, ...]) -> list[Block]:
        """Announces a directory, which may stay empty. The empty path is the folder itself."""
        return self._enter(path)

    def finish(self) -> tuple[Built, list[Block]]:
        """The folder and its last blocks."""
        blocks: list[Block] = []
        while len(self._open) > 1:
            self._close(blocks)
        root = self._open[0]
        built, last = build_directory(self._profile, root.links, root.content_bytes)
        return built, blocks + last

    def _enter(self, path: tuple[bytes, ...]) -> list[Block]:
        """Closes and opens directories until the innermost open one is `path`."""
        if len(path) > DEPTH_MAX:
            raise DagError(f"a path has more than {DEPTH_MAX} components")
        blocks: list[Block] = []
        common = 0
        while common < min(len(path), len(self._open) - 1) and self._open[common + 1].name == path[common]:
            common += 1
        while len(self._open) - 1 > common:
            self._close(blocks)
        for name in path[common:]:
            check_name(name)
            self._open.append(_Open(name))
        return blocks

    def _close(self, blocks: list[Block]) -> None:
        done = self._open.pop()
        built, made = build_directory(self._profile, done.links, done.content_bytes)
        blocks += made
        self._link(done.name, built)

    def _link(self, name: bytes, built: Built) -> None:
        check_name(name)
        parent = self._open[-1]
        parent.links.append(Link(built.cid, name, built.tsize))
        parent.content_bytes += built.content_bytes
