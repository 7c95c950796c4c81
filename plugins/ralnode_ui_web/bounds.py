"""Every bound of the page in one place, with its unit and reason."""

from __future__ import annotations

from typing import Final

SIGN_INS_PER_MINUTE: Final = 5
"""Per address (an IPv6 network of 64 bits counts as one)."""

SIGN_INS_PER_MINUTE_ALL: Final = 30
"""From everywhere together: each costs a third of a second of scrypt."""

LINKS_TRIED_PER_MINUTE: Final = 20
LINKS_TRIED_PER_MINUTE_ALL: Final = 200
"""Nobody guesses 256 bits; this only bounds the work, and is apart from passwords so that the owner always gets in."""

WARN_SECONDS: Final = 5.0
"""Between two lines of the event log about failed sign-ins."""

SESSIONS_MAX: Final = 16
"""The one used longest ago ends when another begins."""

FLASHES_MAX: Final = 8

LINK_SECONDS: Final = 15 * 60
LINKS_MAX: Final = 8
"""One-time links that wait; a further one takes the place of the oldest."""

TOKENS_MAX: Final = 64
TOKEN_DAYS: Final = 90
TOKEN_DAYS_MAX: Final = 3650

PASSWORD_CHARS_MIN: Final = 8
PASSWORD_BYTES_MAX: Final = 1024

BODY_BYTES_MAX: Final = 64 * 1024
"""Forms and JSON; uploads have their own rules."""

BODY_SECONDS_MAX: Final = 15.0
FIELDS_MAX: Final = 64

UPLOAD_STALL_SECONDS: Final = 60.0
"""An upload that brings nothing for so long is given up; what came stays for the next attempt."""

UPLOADS_MAX: Final = 4
"""At once; each holds about 40 MiB."""

DRAIN_BYTES_MAX: Final = 16 * 1024 * 1024
DRAIN_SECONDS_MAX: Final = 5.0
"""Of a refused upload this much is read and thrown away, or the browser would show a broken connection and no reason."""

SEND_SECONDS_MAX: Final = 60.0
"""A client that takes nothing for so long is cut off; downloads can be resumed."""

CONNECTIONS_MAX: Final = 160
CONNECTIONS_PER_ADDRESS_MAX: Final = 40
"""A browser opens 6; behind a proxy on this machine there is no such bound."""

CLOSE_SECONDS: Final = 0.5
"""For answers under way when the page stops."""

STATUS_SOURCES: Final = 1000
STATUS_SOURCES_MAX: Final = 10_000
"""Sources in one answer of /api/v1/status."""

QUERY_CHARS_MAX: Final = 200
FOLDER_ENTRIES_MAX: Final = 2000
FOLDER_DEPTH_MAX: Final = 64
"""Levels of a folder that go into a tar."""
