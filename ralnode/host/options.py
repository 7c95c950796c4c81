"""A TOML table becomes a frozen dataclass, strictly: an unknown key or a wrong type is an error that names it.

Known types: int, float, str, bool, Path, enums, Literal, Optional, list and tuple, nested dataclasses, and classes with
`parse(text)`. A field `x_bytes` also takes a text like "500 GB", a field `x_seconds` one like "10min"; such a text may
stand under the bare key `x`. Where values come from (files, environment, flags) is config.py's business.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import types
from collections.abc import Iterable, Mapping
from enum import Enum
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from ralnode.api import ConfigError
from ralnode.host.quantities import parse_duration, parse_size

T = TypeVar("T")


def parse(cls: type[T], table: Mapping[str, Any], where: str) -> T:
    """An instance of the dataclass `cls`. `where` begins every message, e.g. `[planner.rarest] in FILE`. Raises ConfigError."""
    hints = get_type_hints(cls)
    values: dict[str, Any] = {}
    for key, value in table.items():
        name = field_of(cls, key, value, where)
        if name in values:
            raise ConfigError(f"{where}: {name!r} is given twice (also as {key!r}); keep one of them")
        values[name] = convert(value, hints[name], name, where)
    try:
        return cls(**values)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{where}: {error}") from error


def field_of(cls: type, key: str, value: Any, where: str) -> str:
    """The field that a key names; the unit may be left out of the key when the text says it. Raises ConfigError."""
    names = [field.name for field in dataclasses.fields(cls) if field.init]
    if key in names:
        return key
    if isinstance(value, str):
        for name in (f"{key}_bytes", f"{key}_seconds"):
            if name in names:
                return name
    raise ConfigError(f"{where}: unknown key {key!r}{suggest(key, names)}")


def suggest(word: str, known: Iterable[str]) -> str:
    """The end of an error message: what was probably meant, or what there is."""
    names = sorted(known)
    near = difflib.get_close_matches(word, names, n=1)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; there are: {', '.join(names)}" if names else "; there are none"


def convert(value: Any, annotation: Any, name: str, where: str) -> Any:
    """One TOML value as the type of its field. Raises ConfigError that names the key and the value."""
    try:
        return _convert(value, annotation, name, where)
    except ValueError as error:
        raise ConfigError(f"{where}: {name} = {value!r}: {error}") from error


def convert_text(text: str, annotation: Any, name: str, where: str) -> Any:
    """As `convert`, from an environment variable or a flag: numbers and truth are spelt, lists are split at commas."""
    return convert(_from_text(text, annotation), annotation, name, where)


def _convert(value: Any, annotation: Any, name: str, where: str) -> Any:
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        return _convert_optional(value, annotation, name, where)
    if origin is Literal:
        return _one_of(value, get_args(annotation))
    if origin in (list, tuple):
        return _convert_list(value, annotation, name, where)
    if dataclasses.is_dataclass(annotation) and isinstance(annotation, type):
        return parse(annotation, _of_type(value, Mapping, "a table"), f"{where}, {name}")
    return _convert_plain(value, annotation, name)


def _convert_optional(value: Any, annotation: Any, name: str, where: str) -> Any:
    """TOML has no null, so `X | None` in a file is always an X; unions of several types are not options."""
    if value is None:
        return None
    (inner,) = [each for each in get_args(annotation) if each is not type(None)]
    return _convert(value, inner, name, where)


def _convert_list(value: Any, annotation: Any, name: str, where: str) -> Any:
    items = _of_type(value, (list, tuple), "a list")
    inner, *rest = get_args(annotation) or (str,)
    if rest and rest != [Ellipsis]:
        raise TypeError(f"{name}: tuples of fixed length are no options")
    made = [_convert(item, inner, name, where) for item in items]
    return made if get_origin(annotation) is list else tuple(made)


def _convert_plain(value: Any, annotation: Any, name: str) -> Any:
    if annotation is Any:
        return value
    if annotation is bool:
        return _of_type(value, bool, "true or false")
    if annotation in (int, float):
        return _number(value, annotation, name)
    if annotation is str:
        return _of_type(value, str, "a text")
    if annotation is Path:
        return Path(_of_type(value, (str, Path), "a path")).expanduser()
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return annotation(_one_of(value, [each.value for each in annotation]))
    if hasattr(annotation, "parse"):
        return value if isinstance(value, annotation) else annotation.parse(_of_type(value, str, "a text"))
    raise TypeError(f"{name}: options cannot be of type {annotation}")


def _number(value: Any, annotation: type, name: str) -> Any:
    has_unit = name.endswith(("_bytes", "_seconds"))
    if isinstance(value, str) and has_unit:
        value = parse_size(value) if name.endswith("_bytes") else parse_duration(value)
        if annotation is int and value != int(value):
            raise ValueError("must be whole seconds")
    if isinstance(value, bool) or not isinstance(value, (int, float) if annotation is float or has_unit else int):
        raise ValueError(f"must be a {'whole ' if annotation is int else ''}number, not {_kind(value)}")
    if not math.isfinite(value):
        raise ValueError("must be finite")
    if has_unit and value < 0:
        raise ValueError("must not be negative")
    if annotation is int and value != int(value):
        raise ValueError("must be a whole number")
    return annotation(value)


def _one_of(value: Any, known: Iterable[Any]) -> Any:
    names = list(known)
    if value not in names or isinstance(value, bool) != isinstance(names[0], bool):
        raise ValueError(f"must be one of {', '.join(map(repr, names))}")
    return value


def _of_type(value: Any, kind: Any, words: str) -> Any:
    if not isinstance(value, kind):
        raise ValueError(f"must be {words}, not {_kind(value)}")
    return value


def _kind(value: Any) -> str:
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "a text", list: "a list"}
    return names.get(type(value), "a table" if isinstance(value, Mapping) else f"a {type(value).__name__}")


def _from_text(text: str, annotation: Any) -> Any:
    """What TOML would have said; a text that does not fit is handed on and refused with its own words."""
    if get_origin(annotation) in (Union, types.UnionType):
        (annotation,) = [each for each in get_args(annotation) if each is not type(None)]
    if get_origin(annotation) in (list, tuple):
        inner = (get_args(annotation) or (str,))[0]
        return [_from_text(part.strip(), inner) for part in text.split(",") if part.strip()]
    if annotation is bool:
        return {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}.get(text.lower(), text)
    if annotation in (int, float):
        try:
            return annotation(text)
        except ValueError:
            return text
    return text
