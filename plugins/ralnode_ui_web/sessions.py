"""Who is signed in. In memory alone: a restart signs everybody out. Bounded; time is an argument."""

from __future__ import annotations

from dataclasses import dataclass, field

from ralnode_ui_web import hashing
from ralnode_ui_web.bounds import FLASHES_MAX, SESSIONS_MAX


@dataclass(slots=True)
class Session:
    role: str
    began_at: float
    used_at: float
    flashes: list[tuple[str, str]] = field(default_factory=list)
    """(level, text) for the next page."""
    is_ended: bool = False

    def tell(self, level: str, text: str) -> None:
        self.flashes = [*self.flashes, (level, text)][-FLASHES_MAX:]


class Sessions:
    """Known by the digest of their id, so that a picture of the memory signs nobody in."""

    def __init__(self, idle_seconds: float, seconds: float) -> None:
        self._idle_seconds = idle_seconds
        self._seconds = seconds
        self._open: dict[str, Session] = {}

    def __len__(self) -> int:
        return len(self._open)

    def begin(self, role: str, now: float) -> str:
        """The new session's id. When there are too many, the one used longest ago ends."""
        self._expire(now)
        while len(self._open) >= SESSIONS_MAX:
            self._end(min(self._open, key=lambda key: self._open[key].used_at))
        made = hashing.new_secret()
        self._open[hashing.digest(made)] = Session(role, now, now)
        return made

    def find(self, session_id: str, now: float) -> Session | None:
        """Counts as use."""
        self._expire(now)
        found = self._open.get(hashing.digest(session_id))
        if found is not None:
            found.used_at = now
        return found

    def is_live(self, session: Session, now: float) -> bool:
        """Does not count as use: for what goes on by itself."""
        return not session.is_ended and not self._is_over(session, now)

    def end(self, session_id: str) -> None:
        key = hashing.digest(session_id)
        if key in self._open:
            self._end(key)

    def end_role(self, role: str, but: Session | None = None) -> None:
        """When its password has changed."""
        for key in [key for key, each in self._open.items() if each.role == role and each is not but]:
            self._end(key)

    def _end(self, key: str) -> None:
        self._open.pop(key).is_ended = True

    def _expire(self, now: float) -> None:
        for key in [key for key, each in self._open.items() if self._is_over(each, now)]:
            self._end(key)

    def _is_over(self, session: Session, now: float) -> bool:
        return now - session.used_at > self._idle_seconds or now - session.began_at > self._seconds
