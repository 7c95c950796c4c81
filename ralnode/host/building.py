"""From the chosen providers to role objects: options parsed, `build` called, the result looked at. No IO."""

from __future__ import annotations

import inspect
import random
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from ralnode.api import (
    Context,
    Discovery,
    Gateway,
    Gossip,
    Identity,
    NodeControl,
    Planner,
    PluginError,
    RalnodeError,
    Settings,
    Storage,
    Transport,
    Ui,
)
from ralnode.host.choose import Chosen
from ralnode.host.config import Config
from ralnode.host.logs import logger
from ralnode.host.plugins import Offer, PluginSet

T = TypeVar("T")

_PROTOCOLS: Final[dict[str, type]] = {
    "storage": Storage,
    "transport": Transport,
    "discovery": Discovery,
    "gossip": Gossip,
    "planner": Planner,
    "gateway": Gateway,
    "ui": Ui,
}


@dataclass(frozen=True, slots=True)
class Named(Generic[T]):
    """A service with the name for its log lines and the status, e.g. `discovery mdns`."""

    name: str
    service: T


@dataclass(frozen=True, slots=True)
class Roles:
    storage: Storage
    transport: Transport
    gossip: Gossip
    planner: Planner
    discovery: tuple[Named[Discovery], ...]
    gateway: tuple[Named[Gateway], ...]
    ui: tuple[Named[Ui], ...]


def check_options(plugins: PluginSet, config: Config) -> None:
    """Parses every table of the configuration, those of providers that are not chosen too: a typo is a typo. Raises
    ConfigError."""
    for offer in plugins.offers:
        if offer.provider.name in config.tables.get(offer.role, {}):
            config.provider_options(offer.role, offer.provider.name, offer.provider.options)


def build_roles(
    chosen: Chosen,
    config: Config,
    settings: Settings,
    identity: Identity,
    control: NodeControl,
    boot_nonce: int,
    progress: Callable[[str], None] = lambda _line: None,
) -> Roles:
    """Raises PluginError when a plugin's `build` fails or makes something that cannot play the role."""

    def context(offer: Offer) -> Context:
        dice = random.Random(secrets.randbits(64))
        return Context(settings, identity, control, logger(_name(offer)), dice, boot_nonce, progress)

    def one(role: str) -> Any:
        offer = chosen.one(role)
        return _build(offer, config, context(offer))

    def several(role: str) -> tuple[Named[Any], ...]:
        return tuple(Named(_name(each), _build(each, config, context(each))) for each in chosen.by_role[role])

    return Roles(
        one("storage"),
        one("transport"),
        one("gossip"),
        one("planner"),
        several("discovery"),
        several("gateway"),
        several("ui"),
    )


def build_one(offer: Offer, config: Config, context: Context) -> Any:
    """One role object alone, with its options from the configuration. Raises PluginError, ConfigError."""
    return _build(offer, config, context)


def _name(offer: Offer) -> str:
    return f"{offer.role} {offer.provider.name}"


def _build(offer: Offer, config: Config, context: Context) -> Any:
    provider = offer.provider
    options = config.provider_options(offer.role, provider.name, provider.options)
    build: Callable[[Context, Any], Any] = provider.build
    try:
        made = build(context, options)
    except RalnodeError:
        raise
    except Exception as error:
        raise PluginError(
            f"cannot build the {offer.role} {provider.name!r} of plugin {offer.plugin} ({offer.origin}): "
            f"{type(error).__name__}: {error}. Nothing was started"
        ) from error
    # Statically: a property such as `port` may raise before the start.
    lacking = [each for each in _members(_PROTOCOLS[offer.role]) if inspect.getattr_static(made, each, None) is None]
    if lacking:
        raise PluginError(
            f"the {offer.role} {provider.name!r} of plugin {offer.plugin} ({offer.origin}) lacks "
            f"{', '.join(lacking)}. Nothing was started"
        )
    return made


def _members(protocol: type) -> list[str]:
    """Public methods, properties and attributes that a protocol asks for."""
    found: dict[str, None] = {}
    for base in protocol.__mro__:
        if base.__module__ == protocol.__module__:
            found |= dict.fromkeys([*vars(base), *vars(base).get("__annotations__", {})])
    return sorted(name for name in found if not name.startswith("_"))
