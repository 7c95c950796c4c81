"""The unix socket: bound with the owner's rights, an ASGI app behind it, closed within a stated time. No TCP, no signals.

uvicorn's protocol class is used without its `Server`: that one installs signal handlers, makes sockets readable by all,
and wakes ten times a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, cast

from uvicorn import Config
from uvicorn.server import ServerState

from ralnode.api import ConfigError, LocalError

BACKLOG: Final = 64
CONNECTIONS_MAX: Final = 64
"""At once; each holds at most a few MiB. Beyond it uvicorn answers 503."""

CLOSE_SECONDS: Final = 2.0
"""For answers under way, of the 8 s that the whole node has to stop."""

OWNER_AND_GROUP: Final = 0o660
OWNER: Final = 0o600


class ControlServer:
    """`async with ControlServer(app, path):`; the socket is gone afterwards."""

    def __init__(self, app: Any, path: Path) -> None:
        self.path = path
        self._config = Config(
            app, http="httptools", ws="none", lifespan="off", log_config=None, access_log=False, server_header=False,
            date_header=False, limit_concurrency=CONNECTIONS_MAX, timeout_keep_alive=5,
        )  # fmt: skip
        self._state = ServerState()
        self._server: asyncio.AbstractServer | None = None

    async def start(self) -> None:
        """Binds. Raises LocalError when another node listens there or the folder cannot be written."""
        listener = bind(self.path)
        self._config.load()
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(self._protocol, sock=listener, backlog=BACKLOG)

    async def stop(self) -> None:
        """Answers under way may end within CLOSE_SECONDS, then they are cut. May be called twice."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        with contextlib.suppress(OSError):
            self.path.unlink()
        for connection in list(self._state.connections):
            connection.shutdown()
        tasks = list(self._state.tasks)
        if tasks:
            _done, late = await asyncio.wait(tasks, timeout=CLOSE_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def __aenter__(self) -> ControlServer:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def _protocol(self) -> asyncio.Protocol:
        make = cast("Callable[..., asyncio.Protocol]", self._config.http_protocol_class)
        return make(config=self._config, server_state=self._state, app_state={})


def bind(path: Path) -> socket.socket:
    """A listening socket at `path`, with rights for its owner (in a folder that its group may enter: for the group too).
    A socket that nobody listens on is removed first. Raises LocalError, ConfigError."""
    _remove_stale(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)  # from the first instant nobody else may connect
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        listener.bind(str(path))
    except OSError as error:
        listener.close()
        raise LocalError(
            f"cannot make the control socket {path}: {error.strerror or error}. Choose another place with --socket PATH "
            "or RALNODE_SOCKET"
        ) from error
    finally:
        os.umask(before)
    path.chmod(_mode(path))
    listener.setblocking(False)
    return listener


def _mode(path: Path) -> int:
    """The group may use the socket where the administrator lets it into the folder (systemd's RuntimeDirectory=)."""
    return OWNER_AND_GROUP if path.parent.stat().st_mode & stat.S_IXGRP and not _is_shared(path.parent) else OWNER


def _is_shared(folder: Path) -> bool:
    """A folder like /tmp says nothing about whom its owner trusts."""
    return bool(folder.stat().st_mode & (stat.S_IWOTH | stat.S_ISVTX))


def _remove_stale(path: Path) -> None:
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise ConfigError(f"cannot make the control socket {path}: a file that is no socket is there. Move it away")
    except FileNotFoundError:
        return
    except OSError as error:
        raise LocalError(
            f"cannot look at the control socket {path}: {error.strerror}. Choose another place with --socket PATH"
        ) from error
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            path.unlink(missing_ok=True)
            return
    raise LocalError(f"another node is running with the control socket {path}; stop it first (ralnode stop)")
