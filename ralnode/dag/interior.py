"""`InteriorVerifier`: checks a stream of a source's interior nodes, depth first, each once, as a peer sends it.

Every block must hash to its key, have links, and be linked from one that came before. Memory: the nodes between the root
and the present one. A peer can make us keep nothing that does not belong to the source.
"""

from __future__ import annotations

from ralnode.api.limits import DAG_DEPTH_MAX
from ralnode.api.model import Block
from ralnode.dag import cid as cids
from ralnode.dag.errors import DagError
from ralnode.dag.node import FsNode, open_node


class InteriorVerifier:
    """Feed with `add`; afterwards `count` and `size_bytes` are compared with the source's record by the caller."""

    def __init__(self, root: bytes, interior_count: int) -> None:
        self.count = 0
        self.size_bytes = 0
        self._expected = cids.to_key(root)
        self._count_max = interior_count
        self._stack: list[tuple[FsNode, int]] = []
        """Open nodes with the position of the first link that has not been passed."""
        self._seen: set[bytes] = set()

    def add(self, block: Block) -> None:
        """Raises DagError when the block is not the next that may come; it must not be stored then."""
        key, data = block
        if not cids.verify(key, data):
            raise DagError(f"an interior node does not hash to its CID {cids.to_text(key)}")
        if key in self._seen or self.count == self._count_max:
            raise DagError(f"interior node {cids.to_text(key)} came twice, or more came than the source has")
        self._follow(key)
        node = open_node(key, data)
        if not node.link_count:
            raise DagError(f"{cids.to_text(key)} was sent as an interior node and has no links")
        self._push(node)
        self._seen.add(key)
        self.count += 1
        self.size_bytes += len(data)

    def _follow(self, key: bytes) -> None:
        """Moves on to the link to `key`, closing the nodes that have none."""
        if not self.count:
            if key != self._expected:
                raise DagError("the first interior node is not the root")
            return
        while self._stack:
            node, position = self._stack[-1]
            if position == node.link_count:
                self._stack.pop()
                continue
            self._stack[-1] = node, position + 1
            child = cids.to_key(node.link(position).cid)
            inline = cids.identity_data(child)
            if child == key:
                return
            if inline is not None:
                self._push(open_node(child, inline))
        raise DagError(f"interior node {cids.to_text(key)} is not linked from one before it, or is out of order")

    def _push(self, node: FsNode) -> None:
        if len(self._stack) >= DAG_DEPTH_MAX:
            raise DagError(f"interior nodes are more than {DAG_DEPTH_MAX} deep")
        if node.packed is None or cids.codec_of(node.packed.cids[: node.packed.width]) != cids.RAW:
            self._stack.append((node, 0))
