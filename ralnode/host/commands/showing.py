"""Commands that only look: status, nodes, sources, plugins, configuration, events, metrics."""

from __future__ import annotations

from ralnode.api import ClusterStatus, Liveness, NodeId, Source
from ralnode.dag import cid
from ralnode.host import answers
from ralnode.host.commands.lookup import find_source
from ralnode.host.commands.params import EventsParams, Nothing, SourceParams
from ralnode.host.commands.ports import CommandNode, EngineView


async def status(node: CommandNode, _params: Nothing) -> ClusterStatus:
    return node.status()


async def nodes(node: CommandNode, _params: Nothing) -> answers.NodesAnswer:
    return answers.NodesAnswer(node.status().nodes)


async def sources(node: CommandNode, _params: Nothing) -> answers.SourcesAnswer:
    return answers.SourcesAnswer(node.status().sources)


async def source(node: CommandNode, params: SourceParams) -> answers.SourceAnswer:
    found = find_source(node.engine.sources(), params.source)
    text = cid.to_text(found.root)
    return answers.SourceAnswer(
        status=next(each for each in node.status().sources if each.root == text),
        leaf_bytes=found.leaf_bytes,
        interior_count=found.interior_count,
        interior_bytes=found.interior_bytes,
        priority=found.priority,
        holders=tuple(_holder(node.engine, each.id, found) for each in node.engine.nodes()),
    )


async def plugins(node: CommandNode, _params: Nothing) -> answers.PluginsAnswer:
    return node.plugin_rows()


async def config(node: CommandNode, _params: Nothing) -> answers.ConfigAnswer:
    return node.config_rows()


async def events(node: CommandNode, params: EventsParams) -> answers.EventsAnswer:
    return answers.EventsAnswer(tuple(node.engine.events)[-params.limit :])


async def metrics(node: CommandNode, _params: Nothing) -> answers.MetricsAnswer:
    return answers.MetricsAnswer(tuple(answers.MetricLine(*metric) for metric in node.metrics()))


def is_live(engine: EngineView, node: NodeId) -> bool:
    return engine.liveness(node) in (Liveness.ALIVE, Liveness.SUSPECT)


def _holder(engine: EngineView, node: NodeId, source: Source) -> answers.HolderLine:
    held = engine.holding(node, source.root)
    name = next(info.name for info in engine.nodes() if info.id == node)
    return answers.HolderLine(
        cid.peer_id(node), name, is_live(engine, node), held.has_interior, len(held.owned), len(held.linked)
    )
