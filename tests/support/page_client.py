"""A raw HTTP client of the status page with a browser's cookies, and a node that records what it is told."""

from __future__ import annotations

import asyncio
import http.client
import json
import logging
import random
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from page_status import ToldNode, status

from ralnode.api import ClusterStatus, Content, Context, EventLine, NotFoundError, Settings, StorageFullError
from ralnode.dag import cid
from ralnode.testing.fake_identity import FakeIdentity
from ralnode_ui_web.options import WebOptions
from ralnode_ui_web.server import WebUi

_TOKEN = re.compile(r'name="csrf_token" value="([^"]*)"')


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    """Names in small letters."""
    cookies: tuple[str, ...]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """One browser (or program). Nothing is sent that a test does not ask for but Host and cookies."""

    def __init__(self, port: int, token: str = "") -> None:
        self.port = port
        self.cookies: dict[str, str] = {}
        self.csrf = ""
        self._token = token

    async def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        """`headers` with _ for -; Host may be among them."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await asyncio.to_thread(self._ask, method, path, body, named)

    async def get(self, path: str, **headers: str) -> Answer:
        found = await self.ask("GET", path, **{"Accept": "text/html", **headers})
        token = _TOKEN.search(found.body.decode("utf-8", "replace"))
        if token:
            self.csrf = token[1]
        return found

    async def post(self, path: str, fields: Mapping[str, Any] | None = None, **headers: str) -> Answer:
        """As a form of the page that was looked at last."""
        body = urlencode({"csrf_token": self.csrf, **(fields or {})}, doseq=True).encode()
        return await self.ask(
            "POST", path, body,
            **{"Origin": self.origin, "Content_Type": "application/x-www-form-urlencoded", "Accept": "text/html", **headers},
        )  # fmt: skip

    async def send(self, path: str, table: Mapping[str, Any], **headers: str) -> Answer:
        """As a program: JSON."""
        return await self.ask("POST", path, json.dumps(table).encode(), Content_Type="application/json", **headers)

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _ask(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        sent = {"Host": f"127.0.0.1:{self.port}", **headers}
        if self.cookies:
            sent.setdefault("Cookie", "; ".join(f"{name}={value}" for name, value in self.cookies.items()))
        if self._token:
            sent.setdefault("Authorization", f"Bearer {self._token}")
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, headers=sent)
            answer = connection.getresponse()
            data = answer.read()
        finally:
            connection.close()
        cookies = tuple(answer.headers.get_all("set-cookie", []))
        for line in cookies:
            name, _, value = line.partition(";")[0].partition("=")
            self.cookies[name] = value
            if "Max-Age=0" in line:
                del self.cookies[name]
        return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, cookies, data)


class FakeFile:
    """A `Reading` of bytes."""

    kind, target = "file", ""

    def __init__(self, name: str, data: bytes) -> None:
        self.name = name
        self.data = data
        self.cid = cid.make(cid.RAW, data)
        self.size_bytes = len(data)

    async def read(self, offset: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        stop = self.size_bytes if length is None else offset + length
        for start in range(offset, stop, 1000):
            yield self.data[start : min(stop, start + 1000)]


class FakeFolder:
    kind, target, size_bytes = "directory", "", 0

    def __init__(self, name: str, children: Mapping[str, FakeFile | FakeFolder]) -> None:
        self.name = name
        self.children = children
        self.cid = cid.make(cid.DAG_PB, name.encode())

    async def entries(self) -> AsyncIterator[tuple[str, bytes, int]]:
        for name, each in self.children.items():
            yield name, each.cid, each.size_bytes

    async def child(self, name: str, _key: bytes) -> FakeFile | FakeFolder:
        return self.children[name]


@dataclass
class Told:
    name: str
    params: Mapping[str, Any]
    node: str | None


@dataclass
class RecordingNode(ToldNode):
    """Answers commands as the real one would in the simplest case."""

    now: ClusterStatus | None = field(default_factory=lambda: status(3, 2))
    room_bytes: int = 10**9

    def __post_init__(self) -> None:
        super().__init__(self.now)
        self.told: list[Told] = []
        self.notes: list[str] = []
        self.added: list[tuple[Content, bytes]] = []
        self.things: dict[str, FakeFile | FakeFolder] = {}
        self.partial: dict[tuple[str, int, int], int] = {}
        self.refusal = ""

    @property
    def changes_told(self) -> list[Told]:
        return [t for t in self.told if t.name not in ("foresee", "plan", "plan_why", "source") and t.params]

    async def command(self, name: str, params: Mapping[str, Any], node: str | None = None) -> Mapping[str, Any]:
        self.told.append(Told(name, dict(params), node))
        assert self.now is not None
        who = next((n.name for n in self.now.nodes if n.id == node), "attic")
        match name:
            case "foresee":
                target = self._name_of(params["source"]) if params["action"] == "remove" else who
                return {
                    "lines": [f"would {params['action']}"], "warnings": [], "refusal": self.refusal, "target": target,
                    "moved_bytes": 5, "copies_min": 2, "unreachable_count": 0,
                }  # fmt: skip
            case "capacity":
                known = {
                    "node": who,
                    "capacity_bytes": 10**12,
                    "used_bytes": 10**12 - self.room_bytes,
                    "reserved_bytes": 0,
                }
                return known | dict(params)
            case "rm":
                return {"name": self._name_of(params["source"]), "size_bytes": 7}
            case "drain":
                return {"node": who, "draining": params["draining"], "waiting_bytes": 0}
            case "verify":
                return {"node": who, "state": "running"}
            case "plan_why":
                return {"index": params["index"], "lines": ["because"]}
            case _:
                return {"node": who}

    def _name_of(self, root: str) -> str:
        assert self.now is not None
        return next(s.name for s in self.now.sources if s.root == root)

    def note(self, level: str, text: str) -> None:
        self.notes.append(text)
        assert self.now is not None
        self.now = replace(self.now, events=(*self.now.events[-999:], EventLine(1, level, text)))

    async def add(self, content: Content, pieces: AsyncIterator[bytes]) -> Mapping[str, Any]:
        if content.size_bytes > self.room_bytes:
            raise StorageFullError(f"cannot add {content.name}: it does not fit. Nothing was stored")
        data = b"".join([piece async for piece in pieces])
        self.added.append((content, data))
        return {"root": "bafkreitest", "name": content.name, "size_bytes": content.size_bytes, "leaf_count": 1}

    async def resume_offset(self, content: Content) -> int:
        return self.partial.get((content.name, content.size_bytes, content.mtime_ns), 0)

    async def open(self, reference: str) -> Any:
        if reference not in self.things:
            raise NotFoundError("nothing here is called so")
        return self.things[reference]

    def sources(self) -> Sequence[Any]:
        return ()


class Web:
    """A page of a recording node on a free port."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.folder = folder
        self.node = RecordingNode()
        settings = Settings("attic", "home", "", folder, "127.0.0.1", 0, 0, 0, 0, 0, ())
        context = Context(settings, FakeIdentity("attic"), self.node, logging.getLogger("t"), random.Random(1), 1)  # type: ignore[arg-type]
        self.ui = WebUi(context, WebOptions(**options))

    @property
    def port(self) -> int:
        return self.ui._listener.port

    def client(self, token: str = "") -> Client:
        return Client(self.port, token)

    async def admin(self) -> Client:
        """Signed in by a one-time link."""
        return await signed_in(self.client(), (await self.ui.administer("link", {}))["link"])

    async def viewer(self) -> Client:
        """Signed in by the viewer's password."""
        await self.ui.administer("password", {"role": "viewer", "password": "only looking"})
        made = self.client()
        await made.get("/sign-in")
        assert (await made.post("/sign-in", {"role": "viewer", "password": "only looking"})).status == 303
        await made.get("/dashboard")
        return made

    async def token(self, *scopes: str) -> Client:
        table = {"name": "t" + "-".join(scopes), "scopes": scopes, "days": 1}
        return self.client((await self.ui.administer("add_token", table))["token"])


async def signed_in(client: Client, link: str) -> Client:
    """Opens a one-time link and presses its button."""
    path = link.partition(f":{client.port}")[2]
    await client.get(path)
    answer = await client.post("/sign-in/link", {"code": path.partition("code=")[2]})
    assert answer.status == 303, answer.text
    await client.get("/account")
    return client
