"""What a page of ours may load: its own style and nothing else. The names and texts on it are those of strangers."""

from __future__ import annotations

import base64
import hashlib


def style_only(style: str) -> str:
    """The `Content-Security-Policy` for a page with this one `<style>`."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode("ascii")
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
