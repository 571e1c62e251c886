"""Turns a user's values into JSON's: numbers of any library become numbers, anything else is refused. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal
from numbers import Integral, Real
from pathlib import PurePath
from typing import Any, Final

from kilo_gateway.encoding.printable import NAME_CHARACTERS, described, printable

DEPTH: Final = 200
"""Upper limit of nesting; a structure that contains itself exceeds it."""
_BITS: Final = 10_000
_DIGITS: Final = 300

_REMEDIES: Final = (
    ((bytes, bytearray), "send text, for example value.decode(), or base64"),
    (PurePath, "send str(path), or what the file contains"),
    ((set, frozenset), "send a list"),
)


def to_json(value: Any, name: str) -> Any:
    """Return `value`, which the caller knows as `name`, as JSON has it.

    Raises ValueError that says which part cannot be sent, and what to send instead.
    """
    return _converted(value, name, DEPTH)


def _converted(value: Any, name: str, depth: int) -> Any:
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, Mapping):
        _check_depth(depth, name)
        return {_key(k, name): _converted(v, f"{name}[{k!r}]", depth - 1) for k, v in value.items()}
    if isinstance(value, list | tuple):
        _check_depth(depth, name)
        return [_converted(item, f"{name}[{position}]", depth - 1) for position, item in enumerate(value)]
    return _number(value, name)


def _number(value: Any, name: str) -> Any:
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        value = value.item()  # a scalar of numpy or of a library like it
    if isinstance(value, bool):
        return value
    if isinstance(value, Decimal) and value.is_finite() and value.adjusted() < _DIGITS and value == int(value):
        value = int(value)
    if isinstance(value, Integral):
        if (whole := int(value)).bit_length() > _BITS:
            raise ValueError(f"{name} is {described(whole)} of more digits than JSON is read with: send a smaller one")
        return whole
    if isinstance(value, Real | Decimal):
        try:
            number = float(value)
        except (OverflowError, ValueError):  # a Fraction too large for a float, a signaling NaN
            number = math.nan
        if math.isfinite(number):
            return number
        raise ValueError(f"{name} is {described(value)}, a number that JSON does not have: send a finite one")
    raise ValueError(f"{name} is {described(value)}, which JSON does not have: {_remedy(value)}")


def _key(key: Any, name: str) -> str:
    if isinstance(key, str):
        return key
    if isinstance(key, Integral) and not isinstance(key, bool):
        return str(int(key))
    raise ValueError(f"{name} has the key {described(key)}: the keys of an object in JSON are texts")


def _check_depth(depth: int, name: str) -> None:
    if not depth:
        raise ValueError(f"{printable(name, NAME_CHARACTERS)} is nested more than {DEPTH} levels deep: send less of it")


def _remedy(value: Any) -> str:
    remedies = (remedy for kinds, remedy in _REMEDIES if isinstance(value, kinds))
    return next(remedies, "send a text, a number, a bool, None, a list or a dict")
