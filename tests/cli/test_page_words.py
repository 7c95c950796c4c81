"""Who may sign in to the status page, said on the command line; draining; and what the page then does with it."""

from __future__ import annotations

import http.client
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Cli, NodeProcess
else:
    Cli = NodeProcess = Any


@pytest.fixture
def here(node: NodeProcess) -> Cli:
    return node.cli


def ask(url: str, path: str, token: str = "") -> int:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    connection.request("GET", path, headers={"Authorization": f"Bearer {token}"} if token else {})
    status = connection.getresponse().status
    connection.close()
    return status


def test_a_password_comes_from_standard_input_and_never_from_the_command_line(here: Cli) -> None:
    page = here.ok("login-link", "--json").json["page_url"]
    assert ask(page, "/dashboard") == 200
    done = here("password", stdin="a good password\nsecond line\n")
    assert done.code == 0 and "role admin is set" in done.out
    assert "a good password" not in done.out + done.err
    assert ask(page, "/dashboard") == 303
    assert here.ok("token", "--json").json["accounts"] == ["admin"]
    for text, says in (("", "empty"), ("short\n", "at least 8")):
        refused = here("password", stdin=text)
        assert refused.code == 64 and says in refused.err
    assert here("password", "on-the-command-line", stdin="x").code == 64
    assert here("password", "--role", "root", stdin="long enough\n").code == 64
    here.ok("password", "--remove")
    assert ask(page, "/dashboard") == 200


def test_a_link_is_printed_alone_for_programs(here: Cli) -> None:
    link = here.ok("login-link", "-q").out.strip()
    assert "/sign-in/link?code=" in link and len(link.partition("code=")[2]) >= 43
    assert "works once, within 15 minutes" in here.ok("login-link").out


def test_a_token_is_made_used_listed_and_removed(here: Cli) -> None:
    page = here.ok("token", "--json").json["page_url"]
    secret = here.ok("token", "add", "prometheus", "--scope", "metrics", "--days", "7").out.strip()
    assert secret.startswith("ral_")
    assert ask(page, "/metrics", secret) == 200
    assert ask(page, "/api/v1/status", secret) == 403
    listed = here.ok("token", "list").out
    assert "prometheus" in listed and "metrics" in listed and secret not in listed
    assert here("token", "add", "prometheus").code == 64
    assert here("token", "add", "x", "--scope", "everything").code == 64
    assert here("token", "dance").code == 64
    here.ok("token", "remove", "prometheus")
    assert ask(page, "/metrics", secret) == 401
    assert here("token", "remove", "prometheus").code == 66
    assert "no tokens" in here.ok("token").out


def test_these_words_are_for_the_machine_itself(new_node: Callable[..., NodeProcess]) -> None:
    one = new_node("--name", "one", "--capacity", "100MB")
    two = new_node("--name", "two", "--capacity", "100MB", "--join", one.cli.ok("invite").out.strip())
    two.wait_for(lambda: len(two.ask("nodes")["nodes"]) == 2)
    for words in (("login-link",), ("token",), ("password", "--remove")):
        refused = two.cli(*words, "--node", "one")
        assert refused.code == 77 and "run it on one itself" in refused.err
    (two.folder / "f").write_bytes(b"x" * 3_000_000)
    two.cli.ok("add", "f")
    one.wait_for(lambda: bool(one.ask("sources")["sources"]))
    refused = one.cli("drain", "--node", "two")
    assert refused.code == 64 and "--yes" in refused.err and "cannot be 2 copies" in refused.err
    assert "is not being drained" in one.cli.ok("drain", "--state", "--node", "two").out
    assert "drained" in one.cli.ok("drain", "--yes", "--node", "two").out
    one.wait_for(lambda: "two is drained" in one.cli.ok("drain", "--state", "--node", "two").out)
    assert "is not being drained" in one.cli.ok("drain", "--undo", "--node", "two").out
