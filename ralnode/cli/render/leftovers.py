"""Leftovers in words: what there is, what of it would go, what is gone."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from ralnode.cli.text import clean, count, duration, size
from ralnode.host.leftoversanswer import LeftoverLine, LeftoversAnswer


def whole(answer: LeftoversAnswer, *, is_deleting: bool = False) -> Text:
    if answer.state == "failed":
        return Text(f"{clean(answer.node)}: leftovers cannot be told or deleted: {clean(answer.remark)}", style="red")
    parts = list(lines(answer))
    if answer.deleted_count:
        parts.insert(0, f"deleted {count(answer.deleted_count, 'block')} ({size(answer.deleted_bytes)})")
    elif is_deleting and answer.block_count:
        parts.append(
            "nothing of it was deleted: it is too recent (--older-than), or nothing tells what it is of (--all)"
        )
    elif answer.block_count:
        parts.append("To finish an add or pull, repeat it. To free the room: ralnode leftovers --delete")
    if answer.remark:
        parts.append(f"but: {clean(answer.remark)}")
    return Text("\n".join(parts))


def lines(answer: LeftoversAnswer) -> Iterator[str]:
    """What there is."""
    if not answer.block_count:
        yield f"{clean(answer.node)}: no leftovers; every block belongs to a source"
        return
    yield f"{clean(answer.node)}: {count(answer.block_count, 'block')} ({size(answer.size_bytes)}) of no source"
    for work in answer.works:
        yield f"  {_work(work)}"
    listed = sum(work.block_count for work in answer.works)
    rest = answer.block_count - answer.other_count - listed
    if rest > 0:
        yield f"  {count(rest, 'block')} of smaller adds and pulls"
    if answer.other_count:
        yield (
            f"  {count(answer.other_count, 'block')} ({size(answer.other_bytes)}) of which nothing tells what they come from: "
            "ends of broken adds, broken imports (--all)"
        )


def going(answer: LeftoversAnswer, older_than_seconds: float, *, everything: bool) -> tuple[int, int]:
    """(blocks, bytes) that a deletion would take, as far as they are listed."""
    old = [work for work in answer.works if work.age_seconds > older_than_seconds]
    blocks, size_bytes = sum(work.block_count for work in old), sum(work.size_bytes for work in old)
    return blocks + answer.other_count * everything, size_bytes + answer.other_bytes * everything


def _work(work: LeftoverLine) -> str:
    origin = "" if work.origin == work.name else f" ({clean(work.origin)})"
    what = f"{count(work.block_count, 'block')} ({size(work.size_bytes)})"
    return f"{work.kind} of {clean(work.name)}{origin}: {what}, last worked on {duration(work.age_seconds)} ago"
