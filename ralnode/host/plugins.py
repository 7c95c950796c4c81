"""The plugin host: imports what was found, collects the hooks one by one, refuses what is broken and says why.

A plugin can fail in any way it likes, `sys.exit` at import included: it is refused by name and the others live. There is
one PluginManager per `load`, never a global one. Choosing among the providers is choose.py's business.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import pluggy

from ralnode.api import PluginError, Provider, hooks
from ralnode.host.options import suggest
from ralnode.host.plugin_find import Candidate, Refused, Where, find
from ralnode.host.rolenames import ROLES

_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_COMMANDS: Final = "register_commands"


@dataclass(frozen=True, slots=True)
class Offer:
    """A provider with the plugin that it comes from."""

    role: str
    provider: Provider[Any]
    plugin: str
    origin: str


@dataclass(frozen=True, slots=True)
class Loaded:
    """A row of `ralnode plugins`. A plugin may offer several providers, or none on this platform (role is empty then)."""

    name: str
    origin: str
    version: str
    role: str
    providers: tuple[str, ...]
    active: bool
    summary: str = ""


class PluginSet:
    """What could be loaded, and what could not and why."""

    def __init__(self) -> None:
        self.offers: list[Offer] = []
        self.refused: list[Refused] = []
        self.missing: tuple[str, ...] = ()
        """Named in `RALNODE_PLUGINS` but not found (or refused)."""
        self.only: tuple[str, ...] | None = None
        self.plugins: list[Candidate] = []
        self._manager = pluggy.PluginManager(hooks.PROJECT)
        self._manager.add_hookspecs(hooks)

    def of_role(self, role: str) -> list[Offer]:
        """In a fixed order: built-in ones first, then by name."""
        return [each for each in self.offers if each.role == role]

    def rows(self, active: frozenset[tuple[str, str]] = frozenset()) -> list[Loaded]:
        """One row per plugin and role; `active` has the (role, provider name) pairs that the node uses."""
        rows = []
        for plugin in self.plugins:
            mine = [each for each in self.offers if each.plugin == plugin.name]
            for role in sorted({each.role for each in mine}, key=ROLES.index) or [""]:
                names = tuple(each.provider.name for each in mine if each.role == role)
                used = any((role, name) in active for name in names)
                summary = "; ".join(
                    each.provider.summary for each in mine if each.role == role and each.provider.summary
                )
                rows.append(Loaded(plugin.name, plugin.origin, plugin.version, role, names, used, summary))
        return rows

    def register_commands(self, app: Any) -> list[Refused]:
        """Lets every plugin add its words to the typer app; returns (and records) those that failed at it."""
        failed = []
        for implementation in getattr(self._manager.hook, _COMMANDS).get_hookimpls():
            try:
                _call(implementation, {"app": app})
            except _RefusedError as error:
                failed.append(Refused(implementation.plugin_name, self._origin(implementation.plugin_name), str(error)))
        self.refused += failed
        return failed

    def add(self, candidate: Candidate) -> None:
        """Imports one plugin and collects its hooks; nothing of it stays when anything is wrong with it."""
        try:
            module = _import(candidate)
            self._register(candidate, module)
            offers = list(self._collect(candidate))
            self._check_new(offers)
        except _RefusedError as error:
            self._forget(candidate)
            self.refused.append(Refused(candidate.name, candidate.origin, str(error)))
            return
        self.offers += offers
        self.plugins.append(candidate)

    def _register(self, candidate: Candidate, module: Any) -> None:
        if self._manager.has_plugin(candidate.name):
            raise _RefusedError(f"a plugin named {candidate.name!r} is there already ({self._origin(candidate.name)})")
        try:
            self._manager.register(module, name=candidate.name)
        except Exception as error:
            raise _RefusedError(" ".join(str(error).split())) from error
        known = {name for name, caller in vars(self._manager.hook).items() if _has_spec(caller)}
        mine = [each.name for each in self._manager.get_hookcallers(module) or []]
        for name in mine:
            if name not in known:
                raise _RefusedError(f"there is no hook {name!r}{suggest(name, known)}")
        if not mine:
            raise _RefusedError(f"it has no hook; put @hookimpl before a function such as {_hint(module, known)}")

    def _collect(self, candidate: Candidate) -> Iterator[Offer]:
        for role in ROLES:
            hook = f"provide_{role}"
            for implementation in getattr(self._manager.hook, hook).get_hookimpls():
                if implementation.plugin_name == candidate.name:
                    if implementation.wrapper or implementation.hookwrapper:
                        raise _RefusedError(
                            f"{hook} is a hook wrapper; plugins offer providers, they do not wrap others'"
                        )
                    provider = _call(implementation, {})
                    if provider is not None:
                        _check_provider(hook, provider)
                        yield Offer(role, provider, candidate.name, candidate.origin)

    def _check_new(self, offers: list[Offer]) -> None:
        for offer in offers:
            for other in self.of_role(offer.role):
                if other.provider.name == offer.provider.name:
                    raise _RefusedError(
                        f"its {offer.role} is called {offer.provider.name!r}, as that of {other.plugin} "
                        f"({other.origin}); give one of them another name"
                    )

    def _forget(self, candidate: Candidate) -> None:
        is_other = bool(self._origin(candidate.name))
        if self._manager.has_plugin(candidate.name) and not is_other:
            self._manager.unregister(name=candidate.name)

    def _origin(self, name: str) -> str:
        return next((each.origin for each in self.plugins if each.name == name), "")


class _RefusedError(Exception):
    """Why one plugin is refused."""


def load(where: Where, *, builtin: bool = True) -> PluginSet:
    """Finds and loads plugins. Raises nothing for a bad plugin. `builtin` False leaves out our own (they add no words to
    the command line, and importing them costs time)."""
    candidates, refused = find(where)
    found = PluginSet()
    found.refused += refused
    found.only = where.only()
    for candidate in candidates:
        wanted = found.only is None or any(map(candidate.is_called, found.only))
        if wanted and (builtin or not candidate.is_builtin):
            found.add(candidate)
    found.missing = tuple(word for word in found.only or () if not any(each.is_called(word) for each in found.plugins))
    known = [each.name for each in candidates]
    for word in found.missing:
        if not any(each.is_called(word) for each in candidates):
            found.refused.append(Refused(word, "RALNODE_PLUGINS", f"there is no such plugin{suggest(word, known)}"))
    return found


def _import(candidate: Candidate) -> Any:
    try:
        return candidate.load()
    except KeyboardInterrupt:
        raise
    except PluginError as error:
        raise _RefusedError(str(error)) from error
    except BaseException as error:  # sys.exit() at import must not end the node
        raise _RefusedError(f"cannot be imported: {_words(error)}") from error


def _call(implementation: pluggy.HookImpl, arguments: dict[str, Any]) -> Any:
    function: Any = implementation.function
    try:
        return function(*(arguments[name] for name in implementation.argnames))
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        name = getattr(function, "__name__", "hook")
        raise _RefusedError(f"{name}() failed: {_words(error)}") from error


def _check_provider(hook: str, provider: Any) -> None:
    if not isinstance(provider, Provider):
        raise _RefusedError(f"{hook}() returned {_article(provider)}, not a Provider or None")
    if not isinstance(provider.name, str) or not _NAME.fullmatch(provider.name):
        raise _RefusedError(f"{hook}() gave the name {provider.name!r}; use small letters, digits, - and _")
    if not callable(provider.build):
        raise _RefusedError(f"{hook}() gave a build that cannot be called: {provider.build!r}")
    options: Any = provider.options
    if not isinstance(options, type) or not dataclasses.is_dataclass(options):
        raise _RefusedError(f"{hook}() gave options that are no dataclass: {options!r}")
    if not options.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        raise _RefusedError(
            f"{hook}() gave options that are not frozen: @dataclass(frozen=True) class {options.__name__}"
        )
    for each in dataclasses.fields(options):
        if each.default is dataclasses.MISSING and each.default_factory is dataclasses.MISSING:
            raise _RefusedError(f"{hook}(): the option {each.name!r} of {options.__name__} has no default")


def _has_spec(caller: Any) -> bool:
    return isinstance(caller, pluggy.HookCaller) and caller.has_spec()


def _hint(module: Any, known: set[str]) -> str:
    return next((name for name in sorted(known) if callable(getattr(module, name, None))), "provide_planner") + "()"


def _words(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _article(value: Any) -> str:
    kind = type(value).__name__
    return f"an {kind}" if kind[0].lower() in "aeiou" else f"a {kind}"
