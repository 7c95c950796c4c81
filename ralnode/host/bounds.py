"""Bounds that only the IO shell needs, each with its unit and reason. Bounds that plugins share are in ralnode.api.limits."""

from typing import Final

from ralnode.api.limits import MIB, PUT_BATCH_BYTES

BATCH_EVENTS_MAX: Final = 256
"""Events per turn of the core loop: a turn stays well below the 50 ms that the event loop may be blocked."""

TIMER_SECONDS_MAX: Final = 60.0
"""The core loop looks round at least this often, so that a wrong wake-up time heals."""

TIMER_SECONDS_MIN: Final = 0.002
"""Between two turns that only a timer caused: a timer that never advances must not take a whole core."""

SYNC_SECONDS_MAX: Final = 30.0
"""For one exchange of state, connection included: 16 MiB in 30 s is 4.5 Mbit/s."""

SYNC_TASKS_MAX: Final = 16
"""Exchanges under way that this node began; the engine begins at most 8."""

INTERIOR_TASKS_MAX: Final = 4
"""Each buffers up to two groups of GROUP_BYTES."""

LOCATE_TASKS_MAX: Final = 2
"""Each walks a DAG and asks the index for all its leaves: disk work, so more at once would only seek more."""

GROUP_BYTES: Final = PUT_BATCH_BYTES // 2
"""Handed to the store at a time; what has come together there shares an fsync and a commit."""

GROUPS_BYTES_MAX: Final = 16 * MIB
"""Of all streams together, gathered and not written yet; with two batches per stream in the transport it stays within 64 MiB."""

GROUPS_UNDER_WAY_MAX: Final = 8
"""Groups of one stream that are not durable yet. Those that are written take no memory, so a slow fsync holds nobody up."""

STALL_SECONDS_MAX: Final = 60.0
"""A holder that sends no block for this long is given up; a spun-down disk needs 10 to 20 s."""

INTERIOR_BYTES_MARGIN: Final = MIB
"""Over what the source's record says that its interior nodes take, before the stream is refused."""

DELETE_BLOCKS_MAX: Final = 4096
"""Blocks per deletion, so that other writes come in between."""

PLAN_SECONDS_BUDGET: Final = 5.0
"""What a planner may take (its contract); longer is reported."""

PLAN_SECONDS_MAX: Final = 120.0
"""After this the plan is given up. Its thread cannot be stopped; no other is begun until it ends."""

SAVE_RETRY_SECONDS: Final = 10.0
"""Between attempts to save state while the disk is full or read-only."""

SAVE_BACKLOG_MAX: Final = 10_000
"""Effects that wait for state to become durable. More means that the disk hangs: the core loop waits then."""

USAGE_SECONDS_MIN: Final = 1.0
USAGE_SECONDS_MAX: Final = 10.0
"""Measured when something was stored, at most once a second, and every 10 s in any case (other programs fill disks)."""

LOST_SECONDS: Final = 1.0
"""Lost blocks are gathered this long before their sources are counted afresh."""

COPY_RETRY_SECONDS: Final = 5.0
"""A local copy that failed is not begun again at once: the cause is a file or disk, which does not heal in a moment."""

RESTART_DELAYS_SECONDS: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0)
"""Before an optional service is started again; back to the first after it ran for STEADY_SECONDS."""

STEADY_SECONDS: Final = 300.0

CHANGES_SECONDS_MIN: Final = 0.5
"""Between two reports of change to a page: twice a second is what an eye can follow."""

ADDRESS_SECONDS: Final = 60.0
"""Between two looks at this machine's addresses (DHCP, a cable plugged in)."""

ADDRESSES_MAX: Final = 8
"""Told to peers; a record holds at most 4 KiB."""

DATAGRAMS_PER_SOCKET_BYTES: Final = MIB
"""Receive buffer asked of the kernel: 800 full datagrams while the loop is busy."""

COMMAND_BYTES_MAX: Final = 16 * MIB
"""A command's answer between nodes, e.g. the status of a large cluster."""

WATCHDOG_STORE_SECONDS_MAX: Final = 30.0
"""How long the store may take to answer before the watchdog is no longer pinged."""

WATCHDOG_WRITE_FACTOR: Final = 5
"""How many times the watchdog's time a write may take: a slow disk in heavy use stalls for a minute, a hang never ends."""

BLOCK_SECONDS_MAX: Final = 10.0
"""For one block from one peer before the next one is asked."""

SETTLE_SECONDS_MAX: Final = 60.0
"""For a published or withdrawn source to become durable: a disk that needs longer is in trouble."""

AWAY_SPREAD_SECONDS: Final = 3.0
"""Between announcing an absence and going: peers hear of a new record by gossip and fetch it, about a second each."""

STOP_DELAY_SECONDS: Final = 0.2
"""So that whoever asked for the stop gets the answer."""

GOODBYE_SECONDS: Final = 1.0
SERVICES_STOP_SECONDS: Final = 2.0
TRANSPORT_STOP_SECONDS: Final = 1.5
TASKS_STOP_SECONDS: Final = 1.5
"""Shares of limits.STOP_SECONDS, in the order of closing; the store gets what is left, at least STORE_STOP_SECONDS."""

STORE_STOP_SECONDS: Final = 1.5

STATUS_SECONDS: Final = 5.0
"""Between two lines of health for `systemctl status`."""

PATIENCE_SECONDS: Final = 10.0
"""Between two requests to systemd to wait on for READY, each for three times as long."""

START_SECONDS_MAX: Final = 3600.0
"""After an hour of opening of which nobody says how far it is, systemd may give up: it hangs."""

PROGRESS_SECONDS_MAX: Final = 300.0
"""How long systemd waits for the next line of progress. They come every ten seconds, but for the fsync of a large upgrade."""
