"""The bearer token: made once, kept in a file that only this user reads, compared in constant time."""

from __future__ import annotations

import hmac
import os
import secrets
import time
from collections import deque
from pathlib import Path
from typing import Final

from ralnode.api import ConfigError

CHARS_MIN: Final = 16
FAILURES_PER_MINUTE_MAX: Final = 10


def load_token(path: Path, *, may_make: bool) -> str:
    """Raises ConfigError."""
    try:
        token = path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        if not may_make:
            raise ConfigError(f"[gateway.pinning] token_file = {str(path)!r} does not exist") from None
        token = secrets.token_hex(24)  # no dash in front: it is typed as an argument
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(token + "\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"[gateway.pinning] the token in {path} cannot be read: {error}") from None
    if path.stat().st_mode & 0o077:
        raise ConfigError(f"[gateway.pinning] others may read the token in {path}: chmod 600 {path}")
    if len(token) < CHARS_MIN:
        raise ConfigError(f"[gateway.pinning] the token in {path} has fewer than {CHARS_MIN} characters")
    return token


class Doorkeeper:
    """Judges the Authorization header. After ten wrong ones within a minute nobody is let in until that minute is over."""

    def __init__(self, token: str) -> None:
        self._token = token.encode()
        self._failures: deque[float] = deque(maxlen=FAILURES_PER_MINUTE_MAX)

    def admits(self, header: str) -> bool:
        scheme, _, given = header.partition(" ")
        now = time.monotonic()
        is_right = scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), self._token)
        if len(self._failures) == FAILURES_PER_MINUTE_MAX and now - self._failures[0] < 60:
            return False
        if not is_right:
            self._failures.append(now)
        return is_right
