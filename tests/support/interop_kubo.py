"""A stock Kubo that reads blocks over HTTP: no libp2p, no internet, nothing but the configuration a user would write."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from interop_pool import free_port
from interop_recipes import filled, recipe
from interop_tools import run, until


class Kubo:
    """A context manager: `ipfs daemon` on a repository of its own. `routers` are addresses of ralnodes' gateways;
    `more` is laid over the settings."""

    def __init__(
        self,
        program: Path,
        folder: Path,
        routers: Sequence[str],
        profile: str = "unixfs-v1-2025",
        more: Mapping[str, Any] | None = None,
    ) -> None:
        self._program = program
        self._repo = folder / "repo"
        self.gateway = f"http://127.0.0.1:{free_port()}"
        self._log = folder / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self("init", "--empty-repo")
        self("config", "profile", "apply", profile)
        for line in recipe("kubo"):
            _, *arguments = shlex.split(
                filled(line, NAS__8080=routers[0].removeprefix("http://") if routers else "NAS:8080")
            )
            self(*arguments)
        for key, value in {**self._own_settings(routers), **(more or {})}.items():
            self("config", "--json", key, json.dumps(value))

    def _own_settings(self, routers: Sequence[str]) -> dict[str, Any]:
        """What several daemons on one machine need besides the recipe."""
        settings = {
            "Addresses.API": f"/ip4/127.0.0.1/tcp/{free_port()}",
            "Addresses.Gateway": f"/ip4/127.0.0.1/tcp/{self.gateway.rsplit(':', 1)[1]}",
            "Version.SwarmCheckEnabled": False,
        }
        return settings if routers else {**settings, "Routing": {"Type": "none"}}

    def __call__(self, *arguments: str | Path, seconds: float = 120, **options: Any) -> str:
        return self.bytes(*arguments, seconds=seconds, **options).decode()

    def bytes(self, *arguments: str | Path, seconds: float = 120, **options: Any) -> bytes:
        out: bytes = run([self._program, *arguments], seconds=seconds, env=self._environment(), **options).stdout
        return out

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "IPFS_PATH": str(self._repo), "IPFS_TELEMETRY": "off", "HOME": str(self._repo.parent)}

    def __enter__(self) -> Kubo:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [self._program, "daemon"], env=self._environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        try:
            until(lambda: "Daemon is ready" in self.log(), 60, "the daemon")
        except AssertionError as error:
            raise AssertionError(f"{error}:\n{self.log()[-3000:]}") from None
        return self

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def log(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
