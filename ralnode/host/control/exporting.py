"""Sources, or any DAG of the cluster, as the bytes of a CARv1: depth first, every block of a DAG once (of one with more than a
million blocks as often as it is linked to), bounded memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from ralnode.api import NodeControl, UnavailableError
from ralnode.dag import cid
from ralnode.dag.car import encode_header, section_prefix
from ralnode.dag.carplan import DISTINCT_BLOCKS_MAX, Emit, plan_car
from ralnode.dag.errors import DagError
from ralnode.dag.trustless import Format, GatewayRequest
from ralnode.host.driving import stream


async def car_of(control: NodeControl, roots: Sequence[bytes]) -> AsyncIterator[bytes]:
    """Pieces of the file, one root after the other. Raises UnavailableError when no live node has a block of it."""
    yield encode_header(roots)
    sources = {source.root: source for source in control.sources()}
    for root in roots:
        source = sources.get(root)
        is_huge = source is not None and source.leaf_count + source.interior_count > DISTINCT_BLOCKS_MAX
        async for piece in _below(control, GatewayRequest(root, [], Format.CAR, allows_duplicates=is_huge)):
            yield piece


async def _below(control: NodeControl, request: GatewayRequest) -> AsyncIterator[bytes]:
    async def get(keys: Sequence[bytes]) -> Sequence[bytes]:
        return await control.blocks([cid.to_key(key) for key in keys], root=request.cid)

    try:
        async for step in stream(plan_car(request), get):
            assert isinstance(step, Emit)
            for key, data in step.blocks:
                yield section_prefix(key, len(data)) + data
    except (DagError, UnavailableError) as error:
        raise UnavailableError(f"cannot export {cid.to_text(request.cid)}: {error}") from error
