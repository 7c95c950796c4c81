"""The plan of a node, and why one block is where it is."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ralnode.cli.text import clean, size
from ralnode.host.answers import PlanAnswer, WhyAnswer


def whole(answer: PlanAnswer) -> RenderableType:
    agreement = "all live nodes with it agree" if answer.agreement else "not all live nodes agree yet"
    head = Text(
        f"{clean(answer.node)} gives {answer.share:.1%} of the capacity of {answer.node_count} nodes. "
        f"Plan {answer.digest[:16] or '-'} by {clean(answer.planner)}; {agreement}."
    )
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("SOURCE", "WANTED", "STORED", "MISSING", "EXTRA", "BYTES", "WHY"):
        made.add_column(column, justify="left" if column in ("SOURCE", "WHY") else "right", overflow="fold")
    for line in answer.sources:
        made.add_row(
            clean(line.name), f"{line.wanted_count:,}", f"{line.stored_count:,}", f"{line.missing_count:,}",
            f"{line.extra_count:,}", size(line.wanted_bytes), clean(line.why),
        )  # fmt: skip
    hint = Text("One block: ralnode plan --why SOURCE INDEX", style="dim")
    return Group(head, Text(), made, Text(), hint)


def why(answer: WhyAnswer) -> RenderableType:
    here = f"{'wanted' if answer.wanted_here else 'not wanted'} and {'stored' if answer.stored_here else 'not stored'}"
    lines = [f"Block {answer.index:,} of {answer.leaf_count:,} of {clean(answer.name)} ({answer.root})"]
    lines.append(f"on {clean(answer.node)}: {here}")
    lines.append(f"own copies: {', '.join(map(clean, answer.holders)) or 'none on a live node'}")
    if answer.linked_at:
        lines.append(f"by reference to a user's file: {', '.join(map(clean, answer.linked_at))}")
    lines.append(f"planner {clean(answer.planner)}: " + ("" if answer.lines else "gives no reasons for single blocks"))
    lines += [f"  {clean(line)}" for line in answer.lines]
    return Text("\n".join(lines))
