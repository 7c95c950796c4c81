"""Every bound of this plugin that an owner need not turn: value, unit in the name, and the reason."""

from typing import Final

from ralnode.api import limits

HEAD_BYTES_MAX: Final = 8 * limits.KIB
"""Request line and headers. Ours have 150 bytes, Kubo's and curl's under 1 KiB."""

HEADERS_MAX: Final = 64

FRAMING_BYTES_MAX: Final = 64 * limits.KIB
"""Chunk sizes and trailers of a chunked body, beside half the size of the body itself."""

AHEAD_BYTES_MAX: Final = 512 * limits.KIB
"""Of the next request while an answer is being finished: two reads, after which the socket is read no more."""

LINGER_SECONDS: Final = 1.0
"""After a refusal what still comes is thrown away for so long: closing at once would reset the connection before the
peer has read why."""

BLOCKS_BODY_BYTES_MAX: Final = 128 * limits.KIB
"""4,096 single leaves of a source with 100 M leaves are 40 KiB of ranges."""

COMMAND_BODY_BYTES_MAX: Final = limits.MIB
COMMAND_ANSWER_BYTES_MAX: Final = limits.SYNC_BYTES_MAX
"""The status of a large cluster is the longest: 10^5 sources of about 100 bytes."""

ERROR_BODY_BYTES_MAX: Final = limits.KIB
"""How much of a peer's reason is read; it is shown to a person, cleaned."""

BODIES_BYTES_MAX: Final = 64 * limits.MIB
"""Request bodies held at once, over all peers. Four of the largest syncs."""

LEAVES_PER_REQUEST_MAX: Final = 4 * limits.FETCH_BLOCKS_PER_TASK
"""What a server answers. Clients ask for FETCH_BLOCKS_PER_TASK; the rest is room for a later version."""

HANDSHAKES_MAX: Final = 64
"""Handshakes pending at once: 5 ms of work each, so a full set is a third of a second."""

HANDSHAKES_PER_ADDRESS_MAX: Final = 16
"""So that one address that never finishes its handshakes cannot take all of them."""

HANDSHAKE_SECONDS: Final = 10.0

HEAD_SECONDS: Final = 10.0
"""From the first byte of a request to the end of its headers (slowloris)."""

BODY_SECONDS: Final = 30.0
BODY_BYTES_PER_SECOND_MIN: Final = 64 * limits.KIB
"""A body may take BODY_SECONDS and the time that it needs at this pace."""

IDLE_SECONDS: Final = 90.0
"""A connection between requests. Longer than the 30 s that clients keep one, so that the client is the one who closes."""

CLIENT_IDLE_SECONDS: Final = 30.0
"""State is exchanged every 10 s: those connections stay, forgotten ones go."""

ADDRESSES_MAX: Final = 8
"""Of one peer that are tried, 3 s each. A machine has two or three."""

IDLE_PER_PEER_MAX: Final = 4
"""FETCH_TASKS_MAX streams may end at once."""

IDLE_CONNECTIONS_MAX: Final = 64

CONTROL_THREADS: Final = 8
"""Requests with short answers at once. One or two syncs run at a time; the rest is for commands and single blocks."""

STREAM_THREADS: Final = 8
"""Streams of blocks at once: FETCH_TASKS_MAX for the plan, as many for readers."""

STREAMS_MAX: Final = 8
"""CARs being sent at once; further ones wait. Each holds up to PUT_BATCH_BYTES of blocks that are read ahead."""

WRITE_BYTES: Final = limits.MIB
"""One write to a connection. Encrypting it takes half a millisecond of the event loop."""

WRITE_BUFFER_BYTES: Final = limits.MIB
"""Encrypted bytes waiting for a slow reader, before its request waits."""

BUCKETS_MAX: Final = 4096
"""Addresses whose rate of connections is remembered."""

STOP_SECONDS: Final = 3.0
"""For requests that are being answered when the node stops; whole stop: limits.STOP_SECONDS."""

CAR_HEADER_BYTES_MAX: Final = 4 * limits.KIB
"""One root is 60 bytes; gateways of others may list a few."""
