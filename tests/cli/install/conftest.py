"""A program as packaging/build makes it, but small, and an empty tree to install into."""

from __future__ import annotations

from pathlib import Path

import pytest

from ralnode.cli.install.layout import Layout
from ralnode.cli.install.program import Program

ROOT = Path(__file__).parents[3]
BUILD = "9.9.0 2026-11-22T20:00:00Z"


def make_program(folder: Path, build: str = BUILD, config: str = "[node]\n") -> Program:
    papers = folder / "_internal/share"
    papers.mkdir(parents=True)
    for unit in ("ralnode.service", "ralnode@.service", "ralnode.sysusers", "ralnode.tmpfiles"):
        (papers / unit).write_text((ROOT / "systemd" / unit).read_text())
    for name in ("ralnode.1", "ralnode.bash", "_ralnode", "ralnode.fish"):
        (papers / name).write_text(f"{name} of {build}\n")
    (papers / "build").write_text(build + "\n")
    (papers / "ralnode.toml").write_text(config)
    (folder / "_internal/lib.so.1").write_bytes(b"library")
    (folder / "_internal/lib.so").symlink_to("lib.so.1")
    (folder / "ralnode").write_text("#!/bin/sh\n")
    return Program(folder / "ralnode", folder / "_internal")


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return make_program(tmp_path / "download")


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A tree that has the user already, so that no tool is needed."""
    etc = tmp_path / "tree/etc"
    etc.mkdir(parents=True)
    (etc / "passwd").write_text("root:x:0:0::/root:/bin/sh\nralnode:x:990:990::/var/lib/ralnode:/usr/sbin/nologin\n")
    (etc / "group").write_text("root:x:0:\nralnode:x:990:\n")
    return Layout(tmp_path / "tree")
