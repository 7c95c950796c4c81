"""Chooses providers by `[use]`, else by the defaults, else refuses to guess. No plugin is named here.

A role that nobody can play is no error of the choice: `Chosen.lacking` says which, and node.py what follows from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ralnode.api import PluginError
from ralnode.host.config import Config
from ralnode.host.options import suggest
from ralnode.host.plugins import Offer, PluginSet
from ralnode.host.rolenames import DEFAULTS, EXCLUSIVE, ROLES, WITHOUT


@dataclass(frozen=True, slots=True)
class Chosen:
    """The providers of this node by role, in the order of `[use]`; an exclusive role has at most one."""

    by_role: dict[str, tuple[Offer, ...]]

    def one(self, role: str) -> Offer:
        """Of an exclusive role. Raises PluginError when nobody plays it."""
        if not self.by_role[role]:
            raise PluginError(
                f"no plugin provides a {role}: {WITHOUT[role]}. Nothing was started. See `ralnode plugins` for what was "
                "refused and why"
            )
        return self.by_role[role][0]

    @property
    def lacking(self) -> tuple[str, ...]:
        return tuple(role for role in ROLES if not self.by_role[role])

    @property
    def active(self) -> frozenset[tuple[str, str]]:
        """(role, provider name) of everything chosen, for `PluginSet.rows`."""
        return frozenset((role, offer.provider.name) for role, offers in self.by_role.items() for offer in offers)


def choose(plugins: PluginSet, config: Config) -> Chosen:
    """Raises PluginError: a name that is not there, or several to choose from and no choice made."""
    if plugins.missing:
        reasons = [f"{each.name}: {each.reason}" for each in plugins.refused if each.name in plugins.missing]
        raise PluginError(
            f"RALNODE_PLUGINS names plugins that were not loaded: {'; '.join(reasons or plugins.missing)}"
        )
    return Chosen({role: _of_role(role, plugins, config) for role in ROLES})


def effective(config: Config, chosen: Chosen | None) -> list[tuple[str, Any, str]]:
    """Rows (key, value, where it came from) as `Config.effective`, but with the providers that the defaults have chosen
    where `[use]` says nothing. `chosen` is None when no choice can be made: then they are left empty."""
    return [_chosen_row(row, chosen) for row in config.effective()]


def _chosen_row(row: tuple[str, Any, str], chosen: Chosen | None) -> tuple[str, Any, str]:
    key, value, origin = row
    section, _, role = key.partition(".")
    if section != "use" or value is not None:
        return row
    names = [offer.provider.name for offer in chosen.by_role[role]] if chosen else []
    return key, names[0] if role in EXCLUSIVE and names else tuple(names), origin


def check_tables(plugins: PluginSet, config: Config) -> list[str]:
    """A table for a provider that nobody provides is a typo. Raises PluginError; only a warning (returned) when
    `RALNODE_PLUGINS` has left plugins out on purpose."""
    warnings = []
    for role, tables in config.tables.items():
        known = [offer.provider.name for offer in plugins.of_role(role)]
        for name in tables:
            if name not in known:
                message = f"[{role}.{name}] in {config.path}: there is no {role} {name!r}{suggest(name, known)}"
                if plugins.only is None:
                    raise PluginError(message)
                warnings.append(message)
    return warnings


def _of_role(role: str, plugins: PluginSet, config: Config) -> tuple[Offer, ...]:
    offers = plugins.of_role(role)
    names = config.use.names(role)
    if names is not None:
        return tuple(_named(role, name, offers, config) for name in names)
    preferred = tuple(each for name in DEFAULTS[role] for each in offers if each.provider.name == name)
    if preferred or role not in EXCLUSIVE:
        return preferred
    if len(offers) > 1:
        listed = ", ".join(f"{each.provider.name!r} ({each.plugin}, {each.origin})" for each in offers)
        raise PluginError(f'several plugins provide a {role}: {listed}. Choose one: [use] {role} = "NAME"')
    return tuple(offers)


def _named(role: str, name: str, offers: list[Offer], config: Config) -> Offer:
    for each in offers:
        if each.provider.name == name:
            return each
    origin = config.provenance.get(f"use.{role}", "[use]")
    raise PluginError(
        f"[use] {role} = {name!r} ({origin}): there is no such {role}{suggest(name, [o.provider.name for o in offers])}. "
        "See `ralnode plugins` for what was refused and why"
    )
