"""Checks of one field at a time, and of the names that a constructor is given. No I/O.

They take the class as an argument, so that they lie below it.
"""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from kilo_gateway.encoding.printable import described


@cache
def known_names(cls: type[BaseModel]) -> frozenset[str]:
    """Return the names that the constructor of `cls` knows, aliases of pydantic included."""
    return frozenset(cls.model_fields) | {f.alias for f in cls.model_fields.values() if f.alias}


@cache
def fields_from(base: type[BaseModel], cls: type[BaseModel]) -> frozenset[str]:
    """Return the fields of `cls` that it and its parents below `base` declare; others check theirs themselves."""
    ours = (parent for parent in cls.__mro__ if issubclass(parent, base))
    return frozenset(name for parent in ours for name in parent.__annotations__ if name in cls.model_fields)


@cache
def _field_adapter(cls: type[BaseModel], name: str) -> TypeAdapter[Any]:
    info = cls.model_fields[name]
    annotation: Any = info.annotation
    for constraint in info.metadata:
        annotation = Annotated[annotation, constraint]
    return TypeAdapter(annotation, config=ConfigDict(hide_input_in_errors=True, arbitrary_types_allowed=True))


def check_field(cls: type[BaseModel], name: str, value: Any, *, called: str | None = None) -> Any:
    """Return `value` as the field `name` would hold it; raises ValueError that calls the field `called`."""
    try:
        return _field_adapter(cls, name).validate_python(value)
    except ValueError as error:
        shown = cls.model_fields[name].repr  # others may be secrets
        raise ValueError(f"{called or name}: {_first_message(error, shown=shown)}") from None


def _first_message(error: ValueError, *, shown: bool) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors(include_url=False)[0]
    message = without_prefix(first["msg"])
    # Our own checks name the value themselves.
    if not shown or first["type"] == "value_error":
        return message
    return f"{message}, not {described(first['input'])}"


def field_errors(error: ValidationError) -> list[tuple[str, str]]:
    """Return (field, text) of each fault that pydantic reports; the field is "" for a fault of several together."""
    return [(".".join(map(str, fault["loc"])), without_prefix(fault["msg"])) for fault in error.errors()]


def without_prefix(message: str) -> str:
    """Return a message without the words that pydantic puts before the text of a ValueError."""
    return message.removeprefix("Value error, ")
