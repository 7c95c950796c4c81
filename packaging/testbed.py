"""`packaging/testbed`: reads commands from the terminal or from standard input and carries them out on a LAN of ralnodes.

What the commands do is ralnode/testing/lan/console.py; this is the frame around it: arguments, folder, prompt, end.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from ralnode.api import RalnodeError
from ralnode.cli.client import NodeClient
from ralnode.host.quantities import parse_size
from ralnode.testing.lan.console import Console, WordError
from ralnode.testing.lan.lan import MACHINES_MAX, Lan, LanUnavailableError
from ralnode.testing.lan.nodes import LanNodes, Recipe

UNAVAILABLE = 69
FAILED = 70
START_SECONDS = 60.0
START_SECONDS_PER_NODE = 5.0

with contextlib.suppress(ImportError):
    import readline  # noqa: F401  (gives `input` its history)


def main() -> int:
    asked = arguments()
    is_tty = sys.stdin.isatty()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(128))
    folder = Path(tempfile.mkdtemp(prefix="ralnode-testbed-"))
    try:
        with Lan(asked.nodes, asked.seed, folder=folder) as lan:
            nodes = LanNodes(lan, asked.nodes, folder, recipe(asked))
            return run(nodes, asked.nodes, is_tty=is_tty)
    except LanUnavailableError as error:
        print(f"testbed: network namespaces are not permitted here: {error}", file=sys.stderr)
        print("Try it as root, or allow them: sysctl kernel.unprivileged_userns_clone=1", file=sys.stderr)
        return UNAVAILABLE
    except (RuntimeError, TimeoutError) as error:
        print(f"testbed: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print()  # the prompt ends its line
        return 0
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # the LAN has done so, unless it never came up


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="testbed",
        description="A LAN of machines on this one, a ralnode on each. `help` at the prompt lists the commands.",
    )
    parser.add_argument("nodes", nargs="?", type=int, default=4, help=f"how many, at most {MACHINES_MAX} (4)")
    parser.add_argument("--capacity", type=size, default=500_000_000, metavar="SIZE", help="of each node (500MB)")
    parser.add_argument("--seed", type=int, default=0, help="of the dice that lose frames (0)")
    parser.add_argument("--program", default="", metavar="FILE", help="another ralnode, e.g. dist/ralnode-dir/ralnode")
    return parser.parse_args()


def size(text: str) -> int:
    try:
        return parse_size(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def recipe(asked: argparse.Namespace) -> Recipe:
    program = (str(Path(asked.program).absolute()),) if asked.program else (sys.executable, "-m", "ralnode")
    return Recipe(
        connect=lambda path: NodeClient([path]),
        refusals=(RalnodeError,),
        program=program,
        capacity_bytes=asked.capacity,
    )


def run(nodes: LanNodes, count: int, *, is_tty: bool) -> int:
    """0, or FAILED when a line of a script could not be carried out: the lines after it are not tried."""
    print(
        f"Starting {count} nodes, each on a machine of its own at {nodes[1].address} and up; they look for each other by mDNS …"
    )
    nodes.start()
    nodes.await_whole(START_SECONDS + count * START_SECONDS_PER_NODE)
    print(
        "They have found each other. `help` lists the commands." if is_tty else "They have found each other.",
        flush=True,
    )
    console = Console(nodes, lambda text: print(text, flush=True), lambda text: print(text, end="", flush=True))
    while (line := read_line(is_tty=is_tty)) is not None:
        if not is_tty and line.strip():
            print(f"testbed> {line}", flush=True)
        try:
            if not console.do(line):
                break
        except WordError as error:
            print(error, file=sys.stderr, flush=True)
            if not is_tty:
                return FAILED
    return 0


def read_line(*, is_tty: bool) -> str | None:
    """None at the end of the input."""
    if is_tty:
        with contextlib.suppress(EOFError):
            return input("testbed> ")
        print()
        return None
    line = sys.stdin.readline()
    return line.rstrip("\n") if line else None


if __name__ == "__main__":
    sys.exit(main())
