"""Where an installation lies, below a root: `/`, or the tree of an image that is being made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

UNITS: Final = ("ralnode.service", "ralnode@.service")
USER: Final = "ralnode"


@dataclass(frozen=True, slots=True)
class Layout:
    root: Path = Path("/")

    def at(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    @property
    def is_running_system(self) -> bool:
        """Whether there is a systemd to tell about changes."""
        return self.root == Path("/") and Path("/run/systemd/system").is_dir()

    @property
    def program_dir(self) -> Path:
        return self.at("/opt/ralnode")

    @property
    def program(self) -> Path:
        return self.program_dir / "ralnode"

    @property
    def installed_papers(self) -> Path:
        """The texts that came with the installed program."""
        return self.program_dir / "_internal/share"

    @property
    def link(self) -> Path:
        return self.at("/usr/local/bin/ralnode")

    @property
    def config_dir(self) -> Path:
        return self.at("/etc/ralnode")

    @property
    def config(self) -> Path:
        return self.config_dir / "ralnode.toml"

    @property
    def plugins_dir(self) -> Path:
        return self.config_dir / "plugins"

    @property
    def data_dirs(self) -> list[Path]:
        """Of the service and of the instances of its template."""
        state = self.at("/var/lib")
        return [path for path in (state / "ralnode", *sorted(state.glob("ralnode-*"))) if path.is_dir()]

    @property
    def debian_program(self) -> Path:
        """There while the Debian package is installed."""
        return self.at("/usr/lib/ralnode/ralnode")

    @property
    def debian_papers(self) -> Path:
        return self.debian_program.parent / "_internal/share"

    def texts(self) -> dict[str, Path]:
        """Name among the papers -> where it is put. The configuration is not among them: it belongs to the owner."""
        return {
            "ralnode.service": self.at("/etc/systemd/system/ralnode.service"),
            "ralnode@.service": self.at("/etc/systemd/system/ralnode@.service"),
            "ralnode.tmpfiles": self.at("/etc/tmpfiles.d/ralnode.conf"),
            "ralnode.1": self.at("/usr/local/share/man/man1/ralnode.1"),
            "ralnode.bash": self.at("/usr/local/share/bash-completion/completions/ralnode"),
            "_ralnode": self.at("/usr/local/share/zsh/site-functions/_ralnode"),
            "ralnode.fish": self.at("/usr/local/share/fish/vendor_completions.d/ralnode.fish"),
        }
