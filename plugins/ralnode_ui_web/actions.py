"""What can be changed from the page, the same for forms and for JSON: what is wished, what it would do, the doing of it.

Every change goes to the node that it names, through the node's own commands. Nothing here knows of HTTP.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ralnode.api import NodeControl, NodeStatus, NotFoundError, UsageError
from ralnode_ui_web.forms import Form
from ralnode_ui_web.sizes import parse_size, size


@dataclass(frozen=True, slots=True)
class Wish:
    """`fields` are what was asked, to be asked again. `foresee` are the parameters of the dry run; None: there is none."""

    action: str
    title: str
    verb: str
    command: str
    params: Mapping[str, Any]
    fields: tuple[tuple[str, str], ...]
    node: str | None = None
    """Peer id; None is here."""
    foresee: Mapping[str, Any] | None = None
    lines: tuple[str, ...] = ()
    is_typed: bool = False
    """The name of what is changed has to be typed."""


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What it would do; see ralnode's command `foresee`."""

    lines: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    refusal: str = ""
    typed_name: str = ""
    """What has to be typed; empty: nothing."""
    moved_bytes: int = 0
    copies_min: int = 0
    unreachable_count: int = 0


class Actions:
    """`wish`, `foresee`, `perform`. Raises RalnodeError."""

    def __init__(self, node: NodeControl) -> None:
        self._node = node

    def wish(self, action: str, form: Form) -> Wish:
        """Raises NotFoundError for an unknown action, node or source, UsageError for a field that cannot be."""
        make = _MAKERS.get(action)
        if make is None:
            raise NotFoundError(f"there is no action {action[:40]!r}; there are: {', '.join(_MAKERS)}")
        return make(self, form)

    async def foresee(self, wish: Wish) -> Foreseen:
        """Changes nothing."""
        if wish.foresee is None:
            return Foreseen(wish.lines)
        found = await self._node.command("foresee", wish.foresee, wish.node)
        return Foreseen(
            tuple(map(str, found["lines"])),
            tuple(map(str, found["warnings"])),
            str(found["refusal"]),
            str(found["target"]) if await self._is_typed(wish) else "",
            int(found["moved_bytes"]),
            int(found["copies_min"]),
            int(found["unreachable_count"]),
        )

    async def perform(self, wish: Wish, by: str) -> tuple[Mapping[str, Any], str]:
        """(the command's answer, a sentence about it). `by` is for the event log."""
        answer = await self._node.command(wish.command, wish.params, wish.node)
        text = _DONE[wish.action](answer)
        self._node.note("info", f"{by}: {text}")
        return answer, text

    async def _is_typed(self, wish: Wish) -> bool:
        if wish.action != "capacity":
            return wish.is_typed
        now = await self._node.command("capacity", {}, wish.node)
        return int(wish.params["capacity_bytes"]) < int(now["capacity_bytes"])

    def _found(self, form: Form) -> NodeStatus:
        """The node that a form names, by peer id or by a name that only one has."""
        word = form.text("node")
        nodes = self._node.status().nodes
        fitting = [n for n in nodes if n.id == word] or [n for n in nodes if n.name == word]
        if len(fitting) > 1:
            raise UsageError(f"{len(fitting)} nodes are called {word[:80]!r}; say which by its id. Nothing was changed")
        if not fitting:
            raise NotFoundError(f"no node is called {word[:80]!r}. Nothing was changed")
        return fitting[0]

    def remove(self, form: Form) -> Wish:
        root = form.text("source")
        found = next((source for source in self._node.status().sources if source.root == root), None)
        if found is None:
            raise NotFoundError(f"there is no source {root[:80]!r}. Was it removed already? Nothing was changed")
        return Wish(
            "remove", f"Remove {found.name}?", "Remove it", "rm", {"source": root}, (("source", root),),
            foresee={"action": "remove", "source": root}, is_typed=True,
        )  # fmt: skip

    def capacity(self, form: Form) -> Wish:
        node, capacity_bytes = self._found(form), parse_size(form.text("capacity"))
        return Wish(
            "capacity", f"Let {node.name} give {size(capacity_bytes)}?", "Change it", "capacity",
            {"capacity_bytes": capacity_bytes}, (("node", node.id), ("capacity", form.text("capacity"))), node.id,
            {"action": "capacity", "capacity_bytes": capacity_bytes},
        )  # fmt: skip

    def drain(self, form: Form) -> Wish:
        node = self._found(form)
        return Wish(
            "drain", f"Drain {node.name}?", "Drain it", "drain", {"draining": True}, (("node", node.id),), node.id,
            {"action": "drain"}, is_typed=True,
        )  # fmt: skip

    def undrain(self, form: Form) -> Wish:
        node = self._found(form)
        return Wish(
            "undrain", f"Let {node.name} take its share again?", "Take it back", "drain", {"draining": False},
            (("node", node.id),), node.id, {"action": "undrain"},
        )  # fmt: skip

    def stop(self, form: Form) -> Wish:
        node, away = self._found(form), form.text("away_minutes").strip()
        try:
            params = {"away_minutes": float(away)} if away else {}
        except ValueError:
            raise UsageError(f"{away[:40]!r} is no number of minutes. Nothing was changed") from None
        return Wish(
            "stop", f"Stop {node.name}?", "Stop it", "stop", params, (("node", node.id), ("away_minutes", away)), node.id,
            {"action": "stop", **params}, is_typed=True,
        )  # fmt: skip

    def scrub(self, form: Form) -> Wish:
        node, word = self._found(form), form.text("do", "start")
        if word not in _SCRUB:
            raise UsageError(f"do = {word[:40]!r}: must be one of {', '.join(_SCRUB)}. Nothing was changed")
        title, line = _SCRUB[word]
        return Wish(
            "scrub", f"{title} the check of {node.name}?", f"{title} it", "verify", {"action": word},
            (("node", node.id), ("do", word)), node.id, lines=(line,),
        )  # fmt: skip


_SCRUB: Final = {
    "start": ("Begin", "Reads every block on its disk and checks it against its hash. Bad ones are fetched again."),
    "pause": ("Pause", "It reads no further until it is told to go on."),
    "resume": ("Go on with", "It reads on where it stopped."),
    "stop": ("End", "What was found bad by then stays found."),
}
_MAKERS: Final[Mapping[str, Callable[[Actions, Form], Wish]]] = {
    "remove": Actions.remove,
    "capacity": Actions.capacity,
    "drain": Actions.drain,
    "undrain": Actions.undrain,
    "stop": Actions.stop,
    "scrub": Actions.scrub,
}


def _drained(answer: Mapping[str, Any]) -> str:
    if not answer["draining"]:
        return f"{answer['node']} takes its share again"
    left = int(answer["waiting_bytes"])
    rest = f"{size(left)} of it have to be copied first" if left else "all it has is elsewhere already"
    return f"{answer['node']} is being drained; {rest}"


_DONE: Final[Mapping[str, Callable[[Mapping[str, Any]], str]]] = {
    "remove": lambda answer: f"removed {answer['name']} ({size(int(answer['size_bytes']))})",
    "capacity": lambda answer: f"{answer['node']} gives {size(int(answer['capacity_bytes']))} now",
    "drain": _drained,
    "undrain": _drained,
    "stop": lambda answer: f"{answer['node']} is stopping",
    "scrub": lambda answer: f"the check of {answer['node']} is {answer['state']}",
}
