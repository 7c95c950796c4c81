"""What every command needs from its typer context: the global options, the configuration, the running node."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ralnode.cli.arguments import Globals
from ralnode.cli.client import NodeClient
from ralnode.cli.lazy import load
from ralnode.host.socketpath import VARIABLE, checked, client_sockets

if TYPE_CHECKING:
    from ralnode.host.config import Config


def global_options(ctx: typer.Context) -> Globals:
    found = ctx.find_object(Globals)
    return found or Globals()


def load_config(ctx: typer.Context, flags: Mapping[str, Any] | None = None) -> Config:
    """The effective configuration. Raises ConfigError."""
    config: Config = load("ralnode.host.config", "load")(os.environ, flags, global_options(ctx).config)
    return config


def data_dir(ctx: typer.Context) -> Path:
    found = load_config(ctx).node.data_dir
    assert found is not None, "config.load fills it in"
    return found


def node_client(ctx: typer.Context) -> NodeClient:
    """The node on this machine; with --node, commands go through it to the one named."""
    options = global_options(ctx)
    if options.socket:
        return NodeClient([checked(options.socket)], options.node)
    if os.environ.get(VARIABLE):
        return NodeClient([checked(Path(os.environ[VARIABLE]))], options.node)
    return NodeClient(client_sockets(None, os.environ, data_dir(ctx)), options.node)
