"""`ralnode add --from`: several pulls by the node at one time, with one bar for all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from queue import Queue
from threading import Thread
from typing import Any, Final

import typer

from ralnode.api import RalnodeError, UnavailableError, UsageError
from ralnode.cli.client import NodeClient
from ralnode.cli.progress import Meter
from ralnode.dag import cid
from ralnode.dag.profile import V1_2025
from ralnode.host.answers import AddedAnswer, AddProgress
from ralnode.host.jsonable import from_jsonable

AT_ONCE: Final = 3
"""Each makes up to eight requests at one time."""
_CUT: Final = ("chunk_size", "max_links", "raw_leaves")


def refuse_with_from(given: Mapping[str, Any], *, link: bool, hidden: bool) -> None:
    """What says how files are cut has no meaning for a DAG that is there already. Raises UsageError."""
    named = [f"--{name.replace('_', '-')}" for name in _CUT if name in given]
    named += ["--profile"] if given.get("profile") != V1_2025.name else []
    named += ["--link"] * link + ["--hidden"] * hidden
    if named:
        raise UsageError(f"with --from everything is as it was made there; leave {', '.join(named)} out")


def pull(
    ctx: typer.Context, client: NodeClient, url: str, roots: Sequence[str], params: Mapping[str, Any]
) -> Iterator[AddedAnswer]:
    """Each as soon as it is there. The first failure is raised after the others have ended."""
    for root in roots:
        try:
            cid.parse(root)
        except ValueError as error:
            raise UsageError(f"{error}. Nothing was fetched") from None
    pulls = _Pulls(client, url, roots, params)
    failure: RalnodeError | None = None
    with Meter(ctx, url, None) as meter:
        for outcome in pulls.run(meter):
            if isinstance(outcome, AddedAnswer):
                yield outcome
            else:
                failure = failure or outcome
    if failure is not None:
        raise failure


class _Pulls:
    """In daemon threads: Ctrl-C must not wait for them. The node stops a pull when its connection goes."""

    def __init__(self, client: NodeClient, url: str, roots: Sequence[str], params: Mapping[str, Any]) -> None:
        self._client = client
        self._roots = roots
        self._params = {**params, "url": url}
        self._done = [0] * len(roots)
        self._totals = [0] * len(roots)
        self._outcomes: Queue[AddedAnswer | RalnodeError] = Queue()

    def run(self, meter: Meter) -> Iterator[AddedAnswer | RalnodeError]:
        waiting = iter(range(len(self._roots)))
        for _ in range(AT_ONCE):
            Thread(target=self._work, args=(waiting, meter), daemon=True).start()
        for _ in self._roots:
            yield self._outcomes.get()

    def _work(self, waiting: Iterator[int], meter: Meter) -> None:
        for index in waiting:
            try:
                self._outcomes.put(self._pull(index, meter))
            except RalnodeError as error:
                self._outcomes.put(error)
            except Exception as error:
                self._outcomes.put(RalnodeError(f"this is a fault of ralnode ({type(error).__name__}: {error})"))

    def _pull(self, index: int, meter: Meter) -> AddedAnswer:
        for line in self._client.lines("POST", "/v1/add-from", {**self._params, "cid": self._roots[index]}):
            if "result" in line:
                return from_jsonable(AddedAnswer, line["result"])
            progress = from_jsonable(AddProgress, line["progress"])
            self._done[index], self._totals[index] = progress.bytes_done, progress.bytes_total
            meter.at(sum(self._done), sum(self._totals) if all(self._totals) else None)
        raise UnavailableError(
            "the node ended the answer too early; look at its log. The same command goes on from there"
        )
