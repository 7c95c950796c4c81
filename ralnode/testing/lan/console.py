"""The words of `packaging/testbed`: one line in, what happened out. Knows no terminal; a line that cannot be carried out raises
`WordError`, and nothing has changed then.
"""

from __future__ import annotations

import inspect
import shlex
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from ralnode.testing.lan.nodes import LanNode, LanNodes, live_names

WAIT_SECONDS_MAX: Final = 3600.0
SETTLE_SECONDS: Final = 60.0
LOG_LINES: Final = 12
LOOK_SECONDS: Final = 0.05
SEEN_LISTED_MAX: Final = 4


class WordError(Exception):
    """A line that was not understood or could not be carried out."""


class Console:
    """`do(line)` returns False when it was `quit`. `say` prints a line, `write` a piece of another program's output."""

    def __init__(self, nodes: LanNodes, say: Callable[[str], None], write: Callable[[str], None]) -> None:
        self._nodes = nodes
        self._say = say
        self._write = write
        self._run_count = 0

    def do(self, line: str) -> bool:
        """Raises WordError. An empty line and one that begins with # do nothing."""
        try:
            words = shlex.split(line, comments=True)
        except ValueError as error:
            raise WordError(f"cannot take {line.strip()!r} apart: {error}") from error
        if not words:
            return True
        if words[0] == "quit":
            return False
        method = getattr(self, f"do_{words[0]}", None)
        if method is None:
            raise WordError(f"there is no command {words[0]!r}; help lists them")
        try:
            inspect.signature(method).bind(*words[1:])
        except TypeError:
            raise WordError(f"write: {_usage(method)}") from None
        try:
            method(*words[1:])
        except (RuntimeError, TimeoutError, OSError) as error:
            raise WordError(f"{words[0]}: {error}") from error
        return True

    # --- words, in the order of `help`; the first line of each docstring is its usage

    def do_status(self, node: str = "") -> None:
        """status [NODE] -- who runs, whom it sees, how it is; one node: its own words"""
        if node:
            self.do_exec(node, *self._node(node).program, "status")
            return
        head = ("NODE", "ADDRESS", "STATE", "SEES", "SOURCES", "BLOCKS", "CABLE", "HEALTH")
        rows = [head, *(self._row(each) for each in self._nodes.all)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
        for row in rows:
            self._say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())

    def do_loss(self, node: str, share: str) -> None:
        """loss NODE 0.3 -- lose that share of all frames to and from it"""
        self._nodes.lan.loss(self._node(node).number, _number(share, 0, 1))
        self._tell(node)

    def do_delay(self, node: str, seconds: str, jitter: str = "0") -> None:
        """delay NODE 0.05 [JITTER] -- every frame to or from it takes so much longer, in seconds"""
        self._nodes.lan.delay(self._node(node).number, _number(seconds, 0, 10), _number(jitter, 0, 10))
        self._tell(node)

    def do_cut(self, node: str) -> None:
        """cut NODE -- pull its cable"""
        self._nodes.lan.link(self._node(node).number, up=False)
        self._tell(node)

    def do_split(self, node: str, *more: str) -> None:
        """split NODE... -- these on one side, all others on the other, and nothing passes between them"""
        here = {self._node(each).number for each in (node, *more)}
        there = {each.number for each in self._nodes.all} - here
        self._nodes.lan.split(sorted(here), sorted(there))
        self._tell(node, *more)

    def do_heal(self, node: str = "") -> None:
        """heal [NODE] -- cable plugged, no cuts, no loss, no delay; of all nodes when none is named"""
        for each in [self._node(node)] if node else self._nodes.all:
            self._nodes.lan.mend(each.number)
        if node:
            self._tell(node)
        else:
            self._say("all cables are good")

    def do_kill(self, node: str) -> None:
        """kill NODE -- SIGKILL, as a power cut would"""
        killed = self._running(node)
        killed.kill()
        self._say(f"{killed.name} was killed; start {killed.name} brings it back")

    def do_stop(self, node: str) -> None:
        """stop NODE -- SIGTERM, a clean end"""
        stopped = self._running(node)
        self._say(f"{stopped.name} ended with {stopped.stop()}")

    def do_start(self, node: str) -> None:
        """start NODE -- again, with the blocks it had"""
        started = self._node(node)
        started.start(self._nodes.secret)
        self._say(f"{started.name} starts")

    def do_exec(self, node: str, *argv: str) -> None:
        """exec NODE COMMAND... -- run a command on that machine; `ralnode` there talks to its node"""
        if not argv:
            raise WordError(f"write: {_usage(self.do_exec)}")
        self._run_count += 1
        out = self._nodes.folder / f"run-{self._run_count}"
        machine = self._node(node)
        pid = machine.run(argv, out)
        try:
            code = self._follow(pid, out)
        except KeyboardInterrupt:
            self._nodes.lan.kill(pid, signal.SIGKILL)
            raise WordError(f"exec: {argv[0]} was ended") from None
        if code:
            raise WordError(f"exec: {argv[0]} on {machine.name} ended with {code}")

    def do_open(self, node: str) -> None:
        """open NODE -- an address for your browser that leads to its status page"""
        self._say(self._running(node).page())

    def do_log(self, node: str) -> None:
        """log NODE -- the end of its log"""
        self._say(self._node(node).last_words(LOG_LINES) or "  nothing yet")

    def do_wait(self, seconds: str) -> None:
        """wait SECONDS -- do nothing for so long"""
        time.sleep(_number(seconds, 0, WAIT_SECONDS_MAX))

    def do_settle(self, seconds: str = str(SETTLE_SECONDS)) -> None:
        """settle [SECONDS] -- wait until all that run see each other, agree, and every block has its copies"""
        began = time.monotonic()
        self._nodes.await_whole(_number(seconds, 0, WAIT_SECONDS_MAX))
        self._say(f"settled after {time.monotonic() - began:.1f} s")

    def do_help(self) -> None:
        """help -- this"""
        for name, method in vars(type(self)).items():
            if name.startswith("do_"):
                usage, _, meaning = _documented(method).partition(" -- ")
                self._say(f"  {usage:<26}{meaning}")
        self._say(f"  {'quit':<26}end everything; so do Ctrl-C and the end of the input")
        self._say("NODE is a name or a number: " + ", ".join(f"{each.number} {each.name}" for each in self._nodes.all))

    # --- helpers

    def _tell(self, *words: str) -> None:
        for node in map(self._node, words):
            self._say(f"cable of {node.name}: {_cable(self._nodes.lan.faults(node.number), self._nodes)}")

    def _node(self, word: str) -> LanNode:
        for each in self._nodes.all:
            if word in (each.name, str(each.number)):
                return each
        raise WordError(f"there is no node {word!r}; there are: {', '.join(each.name for each in self._nodes.all)}")

    def _running(self, word: str) -> LanNode:
        node = self._node(word)
        if not node.running:
            raise WordError(f"{node.name} does not run; start {node.name} starts it")
        return node

    def _row(self, node: LanNode) -> tuple[str, ...]:
        status = node.status()
        cable = _cable(self._nodes.lan.faults(node.number), self._nodes)
        if status is None:
            return node.name, node.address, "starting" if node.running else "down", "", "", "", cable, ""
        (me,) = [each for each in status["nodes"] if each["is_me"]]
        seen = seen_words(live_names(status) - {node.name}, {each.name for each in self._nodes.all} - {node.name})
        return (
            node.name, node.address, me["activity"] or "running", seen, str(len(status["sources"])),
            f"{me['stored_count']} of {me['wanted_count']}", cable, status["sentence"],
        )  # fmt: skip

    def _follow(self, pid: int, out: Path) -> int:
        """Writes what the program writes until it ends; its exit code."""
        ends_line = True
        with out.open(encoding="utf-8", errors="replace") as file:
            while True:
                running = self._nodes.lan.running(pid)  # asked first, so that nothing written before the end is missed
                if piece := file.read():
                    self._write(piece)
                    ends_line = piece.endswith("\n")
                elif not running:
                    break
                else:
                    time.sleep(LOOK_SECONDS)
        if not ends_line:
            self._write("\n")
        return self._nodes.lan.wait(pid)


def seen_words(others: set[str], everybody: set[str]) -> str:
    """In as few words as there can be."""
    lacking = everybody - others
    if not others:
        return "nobody"
    if len(others) > SEEN_LISTED_MAX and len(lacking) < len(others):
        return f"all but {', '.join(sorted(lacking))}" if lacking else "all others"
    return ", ".join(sorted(others))


def _cable(faults: dict[str, Any], nodes: LanNodes) -> str:
    told = [] if faults["up"] else ["pulled"]
    if faults["cut_from"]:
        told.append("cut from " + ", ".join(nodes[number].name for number in faults["cut_from"]))
    if faults["loss"]:
        told.append(f"loses {faults['loss']:.0%}")
    if faults["delay"] or faults["jitter"]:
        told.append(f"slower by {faults['delay'] * 1000:.0f} ms")
    return "; ".join(told) or "good"


def _number(text: str, least: float, most: float) -> float:
    try:
        value = float(text)
    except ValueError:
        raise WordError(f"{text!r} is no number") from None
    if not least <= value <= most:
        raise WordError(f"{text} is not from {least:g} to {most:g}")
    return value


def _documented(method: Callable[..., Any]) -> str:
    return (inspect.getdoc(method) or "").partition("\n")[0]


def _usage(method: Callable[..., Any]) -> str:
    return _documented(method).partition(" -- ")[0]


def words_of(console: type[Console]) -> Sequence[str]:
    """For completion and tests."""
    return [name.removeprefix("do_") for name in vars(console) if name.startswith("do_")]
