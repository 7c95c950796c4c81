"""A source, or any DAG of the cluster, as the bytes of a CARv1: depth first, every block once, bounded memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from ralnode.api import NodeControl, UnavailableError
from ralnode.dag import cid
from ralnode.dag.car import encode_header, section_prefix
from ralnode.dag.carplan import Emit, plan_car
from ralnode.dag.errors import DagError, MissingBlockError
from ralnode.dag.trustless import Format, GatewayRequest


async def car_of(control: NodeControl, root: bytes) -> AsyncIterator[bytes]:
    """Pieces of the file. Raises UnavailableError when no live node has a block of it."""
    yield encode_header([root])
    plan = plan_car(GatewayRequest(root, [], Format.CAR))
    blocks: Sequence[bytes | None] = ()
    begun = False
    while True:
        try:
            step = plan.send(blocks) if begun else next(plan)
        except StopIteration:
            return
        except (MissingBlockError, DagError) as error:
            raise UnavailableError(f"cannot export {cid.to_text(root)}: {error}") from error
        begun = True
        blocks = ()
        if isinstance(step, Emit):
            for key, data in step.blocks:
                yield section_prefix(key, len(data)) + data
        else:
            blocks = await asyncio.gather(*(control.block(cid.to_key(key)) for key in step.keys))
