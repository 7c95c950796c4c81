"""A QR code for a terminal: two rows of it in one line of half blocks, black on white whatever the terminal's colours."""

from __future__ import annotations

import segno

_BORDER = 2
"""Modules of white round it; the standard asks for 4, phones are content with 2."""

_BEGIN, _END = "\x1b[38;5;16;48;5;231m", "\x1b[0m"
_BLOCKS = {(0, 0): " ", (1, 0): "▀", (0, 1): "▄", (1, 1): "█"}


def qr_lines(text: str) -> list[str]:
    """Capitals and digits make a smaller picture than other letters."""
    made = segno.make(text, error="m", micro=False)
    rows = [[1 if dark else 0 for dark in row] for row in made.matrix_iter(border=_BORDER)]
    if len(rows) % 2:
        rows.append([0] * len(rows[0]))
    return [
        _BEGIN + "".join(_BLOCKS[pair] for pair in zip(above, below, strict=True)) + _END
        for above, below in zip(rows[::2], rows[1::2], strict=True)
    ]
