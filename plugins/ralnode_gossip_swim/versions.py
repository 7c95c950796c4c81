"""How far each author's state has got: the newest numbers heard, number by number. Spreads what is news."""

from __future__ import annotations

from collections import Counter

from ralnode.api import GossipOutput, NodeId, Versions, VersionsHeard
from ralnode.api.limits import AUTHORS_MAX
from ralnode_gossip_swim.packets import VersionsRumour
from ralnode_gossip_swim.post import Post
from ralnode_gossip_swim.roster import Roster


class VersionBook:
    """Anybody may claim numbers for anybody: they are hints for the engine's sync, which checks signatures."""

    def __init__(self, me: NodeId, roster: Roster, post: Post, counters: Counter[str], out: list[GossipOutput]) -> None:
        self._me = me
        self._roster = roster
        self._post = post
        self._counters = counters
        self._out = out
        self._newest: dict[NodeId, Versions] = {}

    def __len__(self) -> int:
        return len(self._newest)

    def hear(self, rumour: VersionsRumour) -> None:
        author = self._author(rumour.author)
        if author is None or author == self._me:
            return
        if self.learn(author, rumour.versions):
            self._out.append(VersionsHeard(author, self._newest[author]))
        elif rumour.versions == self._newest.get(author):
            self._post.versions_echoed(author)

    def learn(self, author: NodeId, versions: Versions) -> bool:
        """Whether that was news; then it is spread."""
        known = self._newest.get(author)
        if known is None and len(self._newest) >= AUTHORS_MAX:
            self._counters["versions_refused"] += 1
            return False
        merged = versions if known is None else Versions(*map(max, known, versions))
        if merged == known:
            return False
        self._newest[author] = merged
        self._post.spread_versions(author, merged)
        return True

    def forget(self, author: NodeId) -> None:
        self._newest.pop(author, None)
        self._post.versions.drop(author)

    def _author(self, name: bytes) -> NodeId | None:
        if len(name) == 32:
            return name
        entry = self._roster.by_prefix(name)
        return entry.id if entry is not None else None
