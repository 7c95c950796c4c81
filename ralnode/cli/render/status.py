"""The status: sentence, nodes, sources, what still fits; the same for `status` and `status --watch`."""

from __future__ import annotations

from typing import Final

from rich.console import Group, RenderableType
from rich.text import Text

from ralnode.api import ClusterStatus, GatewayStatus, Health
from ralnode.cli.render import health, nodes, sources
from ralnode.cli.text import clean, count, duration, size

SOURCES_SHOWN_MAX: Final = 30
"""The rest is counted: `ralnode ls` lists all of them."""

_WORST_FIRST: Final = [Health.UNAVAILABLE, Health.AT_RISK, Health.REPAIRING, Health.FULL, Health.HEALTHY]


def whole(status: ClusterStatus) -> RenderableType:
    listed = sorted(status.sources, key=lambda source: (_WORST_FIRST.index(source.health), source.name))
    parts: list[RenderableType] = [health.sentence(status), Text(), nodes.table(status.nodes), Text()]
    if listed:
        parts.append(sources.table(listed[:SOURCES_SHOWN_MAX]))
        if len(listed) > SOURCES_SHOWN_MAX:
            parts.append(
                Text(f"… and {count(len(listed) - SOURCES_SHOWN_MAX, 'source')} more: ralnode ls", style="dim")
            )
        parts.append(Text())
    parts.append(_footer(status))
    return Group(*parts)


def _footer(status: ClusterStatus) -> Text:
    none, one, two, more = status.histogram if len(status.histogram) == 4 else (0, 0, 0, 0)
    copies = f"Blocks with 0, 1, 2, 3 or more copies: {none:,}, {one:,}, {two:,}, {more:,}."
    left = f" {size(status.deficit_bytes)} to copy" if status.deficit_bytes else ""
    left += (
        f", about {duration(status.seconds_left)}." if left and status.seconds_left is not None else "." * bool(left)
    )
    plan = "agreed by all" if status.plan_agreement else "nodes do not agree yet"
    page = next((node.page_url for node in status.nodes if node.is_me and node.page_url), "")
    return Text(
        f"{copies}{left}\nAbout {size(status.storable_bytes)} more can be stored. "
        f"Plan by {clean(status.planner) or 'nobody'}, {plan}."
        + (f"\nStatus page: {clean(page)}" if page else "")
        + "".join(f"\n{clean(_gateway(each))}" for each in status.gateways if each.port)
        + (f"\n{_leftovers(status)}" if status.leftover_bytes else ""),
        style="dim",
    )


def _leftovers(status: ClusterStatus) -> str:
    return f"{size(status.leftover_bytes)} here belong to adds and pulls that were never finished: ralnode leftovers"


def _gateway(gateway: GatewayStatus) -> str:
    host = "127.0.0.1" if gateway.host in ("0.0.0.0", "::") else gateway.host
    plain = f"IPFS gateway: http://{host}:{gateway.port}"
    if not gateway.tls_port:
        return plain
    return f"{plain} and https://{host}:{gateway.tls_port} (SHA-256 of its certificate: {gateway.fingerprint})"
