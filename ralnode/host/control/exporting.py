"""A source, or any DAG of the cluster, as the bytes of a CARv1: depth first, every block once, bounded memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from ralnode.api import NodeControl, UnavailableError
from ralnode.dag import cid
from ralnode.dag.car import encode_header, section_prefix
from ralnode.dag.carplan import Emit, plan_car
from ralnode.dag.errors import DagError
from ralnode.dag.trustless import Format, GatewayRequest
from ralnode.host.driving import stream


async def car_of(control: NodeControl, root: bytes) -> AsyncIterator[bytes]:
    """Pieces of the file. Raises UnavailableError when no live node has a block of it."""

    async def get(keys: Sequence[bytes]) -> Sequence[bytes | None]:
        return await asyncio.gather(*(control.block(cid.to_key(key)) for key in keys))

    yield encode_header([root])
    try:
        async for step in stream(plan_car(GatewayRequest(root, [], Format.CAR)), get):
            assert isinstance(step, Emit)
            for key, data in step.blocks:
                yield section_prefix(key, len(data)) + data
    except DagError as error:
        raise UnavailableError(f"cannot export {cid.to_text(root)}: {error}") from error
