"""Changes by forms: a page that says what would happen, the confirmation, the change, and back. Needs no JavaScript."""

from __future__ import annotations

import dataclasses
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ralnode.api import NodeControl
from ralnode_ui_web import hashing
from ralnode_ui_web.actions import Actions, Foreseen, Wish
from ralnode_ui_web.forms import Form
from ralnode_ui_web.replies import Replies, Trouble, as_json, go_to, safe_path, wants_json
from ralnode_ui_web.visitors import Visitor


class Changing:
    """Routes under /actions and /api/v1/actions."""

    def __init__(self, node: NodeControl, actions: Actions, replies: Replies) -> None:
        self._node = node
        self._actions = actions
        self._replies = replies

    def routes(self) -> list[Route]:
        return [
            Route("/actions/{action:str}", self.ask, methods=["GET"], name="ask"),
            Route("/actions/{action:str}", self.change, methods=["POST"], name="change"),
            Route("/api/v1/actions/{action:str}", self.json, methods=["POST"]),
        ]

    async def ask(self, request: Request) -> Response:
        query = {name: tuple(request.query_params.getlist(name)) for name in request.query_params}
        return await self._ask(request, Form(query))

    async def change(self, request: Request) -> Response:
        form: Form = request.state.form
        if form.text("confirmed") != "yes":
            return await self._ask(request, form)
        if wants_json(request):
            return await self._perform_for_program(request, form)
        wish = self._actions.wish(request.path_params["action"], form)
        foreseen = await self._actions.foresee(wish)
        problem = foreseen.refusal or _typing_problem(foreseen, form)
        if problem:
            return self._confirm(request, wish, foreseen, _back(form), problem, 400)
        who: Visitor = request.state.who
        _answer, text = await self._actions.perform(wish, who.name)
        if who.session is not None:
            who.session.tell("info", f"{text[:1].upper()}{text[1:]}.")
        return go_to(_back(form))

    async def json(self, request: Request) -> Response:
        form: Form = request.state.form
        if form.text("dry_run") == "yes":
            wish = self._actions.wish(request.path_params["action"], form)
            return as_json(dataclasses.asdict(await self._actions.foresee(wish)))
        return await self._perform_for_program(request, form)

    async def _perform_for_program(self, request: Request, form: Form) -> Response:
        wish = self._actions.wish(request.path_params["action"], form)
        foreseen = await self._actions.foresee(wish)
        problem = foreseen.refusal or _typing_problem(foreseen, form)
        if problem:
            return self._replies.trouble(request, Trouble(409, f"{problem} Nothing was changed."))
        answer, text = await self._actions.perform(wish, request.state.who.name)
        return as_json({"done": text, "answer": dict(answer)})

    async def _ask(self, request: Request, form: Form) -> Response:
        wish = self._actions.wish(request.path_params["action"], form)
        foreseen = await self._actions.foresee(wish)
        if wants_json(request):
            return as_json(dataclasses.asdict(foreseen))
        return self._confirm(request, wish, foreseen, _back(form), "", 200)

    def _confirm(
        self, request: Request, wish: Wish, foreseen: Foreseen, back: str, problem: str, status: int
    ) -> Response:
        values: dict[str, Any] = {
            "action": wish.action,
            "title": wish.title,
            "verb": wish.verb,
            "fields": wish.fields,
            "lines": foreseen.lines,
            "warnings": foreseen.warnings,
            "refusal": foreseen.refusal,
            "typed_name": foreseen.typed_name,
            "problem": "" if foreseen.refusal else problem,
            "back": back,
        }
        return self._replies.page(request, "confirm.html", status, **values)


def _typing_problem(foreseen: Foreseen, form: Form) -> str:
    """Empty when the name was typed, or none is asked for."""
    if not foreseen.typed_name or hashing.same(form.text("typed").strip(), foreseen.typed_name.strip()):
        return ""
    return f"To do this, type the name {foreseen.typed_name!r}."


def _back(form: Form) -> str:
    return safe_path(form.text("back", "/dashboard"))
