"""Frozen dataclasses to plain JSON values and back, so that the CLI shows the very objects that the node made.

Only what travels over the control socket and between nodes as commands: numbers, text, truth, None, lists, mappings with
text keys, enums of text, dataclasses of these. Strictness for what a user or peer *asks* is `ralnode.host.options`.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache
from math import isfinite
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from ralnode.api.errors import PeerError

T = TypeVar("T")


def to_jsonable(value: Any) -> Any:
    """Lists, dicts, text, numbers, truth, None. A number that JSON has no word for (inf, nan) becomes None."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_jsonable(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): to_jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_jsonable(item) for item in value]
    if isinstance(value, float):
        return value if isfinite(value) else None
    if value is None or isinstance(value, (str, int)):
        return value
    raise TypeError(f"{type(value).__name__} has no JSON form")


def from_jsonable(cls: type[T], data: Any) -> T:
    """An instance of the dataclass `cls`. Unknown keys are ignored (a newer node may say more). Raises PeerError."""
    made: T = _made(data, cls, cls.__name__)
    return made


@lru_cache(maxsize=256)
def _hints(cls: type) -> Mapping[str, Any]:
    return get_type_hints(cls)


def _made(data: Any, annotation: Any, where: str) -> Any:
    if annotation is Any:
        return data
    if dataclasses.is_dataclass(annotation) and isinstance(annotation, type):
        return _dataclass(data, annotation, where)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return None if data is None else _made(data, next(a for a in arguments if a is not type(None)), where)
    if origin is tuple:
        return _tuple(_typed(data, list, where), arguments, where)
    if origin in (dict, Mapping):
        return {key: _made(item, arguments[1], f"{where}.{key}") for key, item in _typed(data, dict, where).items()}
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return _enum(data, annotation, where)
    return _typed(data, (int, float) if annotation is float else annotation, where)


def _dataclass(data: Any, cls: type, where: str) -> Any:
    table, hints = _typed(data, dict, where), _hints(cls)
    values = {name: _made(table[name], hint, f"{where}.{name}") for name, hint in hints.items() if name in table}
    try:
        return cls(**values)
    except TypeError as error:
        raise PeerError(f"malformed answer: {where}: {error}") from error


def _tuple(items: list[Any], arguments: tuple[Any, ...], where: str) -> tuple[Any, ...]:
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return tuple(_made(item, arguments[0], where) for item in items)
    if len(arguments) != len(items):
        raise PeerError(f"malformed answer: {where} has {len(items)} items instead of {len(arguments)}")
    return tuple(_made(item, kind, where) for item, kind in zip(items, arguments, strict=True))


def _enum(data: Any, kind: type[StrEnum], where: str) -> StrEnum:
    try:
        return kind(data)
    except ValueError as error:
        raise PeerError(f"malformed answer: {where}: {error}") from error


def _typed(data: Any, kind: Any, where: str) -> Any:
    if not isinstance(data, kind):
        raise PeerError(f"malformed answer: {where} is {type(data).__name__}")
    return data
