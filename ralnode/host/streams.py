"""Streams of blocks from a peer, guarded: no batch may keep us waiting for ever, no stream is endless, one left early
is closed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence

from ralnode.api import BadBlockError, Block, LocalError, RalnodeError, UnavailableError
from ralnode.host.bounds import STALL_SECONDS_MAX
from ralnode.host.groups import GroupWriter


async def guarded(
    stream: AsyncIterator[Sequence[Block]], size_max: int | None = None, stall_seconds: float = STALL_SECONDS_MAX
) -> AsyncGenerator[Sequence[Block], None]:
    """As `stream`, to be closed (`aclosing`). Raises UnavailableError when a batch takes longer than `stall_seconds`,
    BadBlockError when more than `size_max` bytes come."""
    size_bytes = 0
    try:
        while True:
            try:
                async with asyncio.timeout(stall_seconds):
                    batch = await anext(stream)
            except StopAsyncIteration:
                return
            except TimeoutError:
                raise UnavailableError(f"the holder sent nothing for {stall_seconds:.0f} s") from None
            size_bytes += sum(len(block.data) for block in batch)
            if size_max is not None and size_bytes > size_max:
                raise BadBlockError(f"the holder sent more than the {size_max:,} bytes that were asked for")
            yield batch
            del batch  # so that it is not held while the next one is awaited
    finally:
        close = getattr(stream, "aclose", None)
        if close is not None:
            await close()


async def pour(batches: AsyncIterator[Sequence[Block]], writer: GroupWriter) -> None:
    """Stores a stream to its end. What came before the peer failed is verified, so it is kept."""
    try:
        async for batch in batches:
            await writer.add(batch)
            del batch
    except (RalnodeError, OSError) as error:
        if not isinstance(error, LocalError):
            await writer.finish()
        raise
    await writer.finish()
