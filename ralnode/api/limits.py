"""Every bound of the node in one place: value, unit in the name, and the reason. Everybody may import this; it imports nothing."""

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB
GIB: Final = 1024 * MIB

BLOCK_BYTES_MAX: Final = 2 * MIB
"""UnixFS readers must decode blocks up to 2 MiB, and Kubo refuses larger ones."""

DATAGRAM_BYTES_MAX: Final = 1200
"""Fits every path MTU in use (IPv6 minimum 1280 less headers), so gossip is never fragmented."""

SYNC_BYTES_MAX: Final = 16 * MIB
"""A first sync of 10,000 source records (244 B each) is 2.4 MB; more is sent in further rounds."""

SYNC_RECORDS_BYTES: Final = 64 * KIB
"""Records in one sync answer, the rest follows at once: 250 of them take 40 ms of the event loop to verify."""

RECORD_BYTES_MAX: Final = 4 * KIB
"""A source record is about 250 B; a name may be 1,024 B."""

NAME_BYTES_MAX: Final = 1024
"""A file system allows 255 B per component; a source may be named by a short path."""

AUTHORS_MAX: Final = 10_000
RECORDS_PER_AUTHOR_MAX: Final = 200_000
"""10^5 sources by one author is the largest cluster we reckon with; bounds memory against a hostile member."""

COPIES_MAX: Final = 16
"""Copies of a block that may be asked for: planners tell no more apart, and more is a mirror, not redundancy."""

LEAVES_PER_SOURCE_MAX: Final = 100_000_000
"""100 TB of 1 MiB blocks; a record that claims more is refused."""

DAG_DEPTH_MAX: Final = 256
"""HAMT of 256 levels at most by its hash; a file of 1,024 links per node is 4 deep at 1 TiB."""

LINKS_PER_NODE_MAX: Final = 200_000
"""A 2 MiB dag-pb block holds fewer than 50,000 real links; bounds a hostile one."""

CLOCK_AHEAD_MS_MAX: Final = 10 * 60 * 1000
"""Records dated further ahead than this are refused (iroh-docs and Garage use the same 10 min)."""

TOMBSTONE_DAYS: Final = 30

EVENT_QUEUE_MAX: Final = 4096
"""Inputs waiting for the engine. Beyond it datagrams are dropped (UDP may) and requests wait."""

FETCH_BYTES_PER_TASK: Final = 64 * MIB
"""One request to one holder: long enough to amortise a round trip, short enough to spread over holders."""

FETCH_BLOCKS_PER_TASK: Final = 4096
FETCH_TASKS_MAX: Final = 4
"""Streams at once, one per holder: 2 to 4 saturate a gigabit link or a core of TLS; each buffers at most PUT_BATCH_BYTES."""

PUT_BATCH_BYTES: Final = 8 * MIB
"""Blocks stored in one durable group. Times FETCH_TASKS_MAX it stays within the 64 MiB a fetch may use."""

PUT_BATCH_BLOCKS: Final = 1024

EVENT_LOG_MAX: Final = 1000
"""Lines kept for the page."""

STOP_SECONDS: Final = 8.0
"""To close everything after SIGTERM; then the process exits regardless."""
