"""The signature of a constructor, for `help`, completion and `inspect.signature`. No I/O."""

from __future__ import annotations

import functools
import operator
from inspect import Parameter, Signature
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Final, Union, get_args, get_origin

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo


class FieldSignature:
    """The arguments of the class that is asked: the name, plain type and default of each field.

    Pydantic's own one appears with the validator, which is built for the first object only, and shows the checks of
    each type too.
    """

    def __get__(self, instance: object, owner: type[BaseModel]) -> Signature:
        """Return the signature of the constructor; an object has none."""
        if instance is not None:
            raise AttributeError("__signature__ belongs to the class")
        parameters = [
            Parameter(
                field.alias or name,
                Parameter.KEYWORD_ONLY,
                default=_default(field),
                annotation=_plain(field.annotation),
            )
            for name, field in owner.model_fields.items()
        ]
        return Signature(parameters, return_annotation=None)


class _Factory:
    """The default that a function returns for each object; dataclasses show it in the same way."""

    def __repr__(self) -> str:
        return "<factory>"


_FACTORY: Final = _Factory()


def _default(field: FieldInfo) -> Any:
    if field.is_required():
        return Parameter.empty
    return field.default if field.default_factory is None else _FACTORY


def _plain(annotation: Any) -> Any:
    """Return a type without the checks that belong to it."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _plain(annotation.__origin__)
    if origin in (Union, UnionType):
        return functools.reduce(operator.or_, map(_plain, get_args(annotation)))
    return annotation
