"""Passes on to the status page what its owner says about who may sign in."""

from __future__ import annotations

from dataclasses import asdict

from ralnode.api import ManagedUi, NotFoundError
from ralnode.host.answers import PageAnswer, TokenLine
from ralnode.host.building import Roles
from ralnode.host.commands.params import PageParams


def page_of(roles: Roles) -> ManagedUi:
    """The first page that people sign in to. Raises NotFoundError."""
    for each in roles.ui:
        if isinstance(each.service, ManagedUi):
            return each.service
    raise NotFoundError("this node has no status page that people sign in to; see [use] ui in the configuration")


async def tell(page: ManagedUi, params: PageParams) -> PageAnswer:
    """Raises RalnodeError as the page does."""
    table = await page.administer(params.action, asdict(params))
    return PageAnswer(
        page_url=str(getattr(page, "url", "")),
        link=str(table.get("link", "")),
        link_seconds=int(table.get("link_seconds", 0)),
        token=str(table.get("token", "")),
        accounts=tuple(table.get("accounts", ())),
        tokens=tuple(
            TokenLine(each["id"], each["name"], tuple(each["scopes"]), each["expires_unix_ms"])
            for each in table.get("tokens", ())
        ),
    )
