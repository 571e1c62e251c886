"""Where a field goes: the annotation of the field says it once, and everything else is derived from it. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

from pydantic import BaseModel

Place = TypeVar("Place")


@dataclass(frozen=True, slots=True)
class InHeader:
    """The field is sent as an HTTP header, and `extra_headers` must not contain that header."""

    name: str
    secret: bool = False
    """True if the value must not show anywhere. Only the constructor takes such a field."""
    by_client: bool = False
    """True if the openai client writes the header."""


@dataclass(frozen=True, slots=True)
class InBody:
    """The field is sent in the body of a chat request: in Chat Completions under its own name.

    A name or path of another interface says where it goes there; "" is the same name, None is nowhere.
    """

    responses: str | None = ""
    messages: str | None = ""

    def name(self, field: str, api: str) -> str | None:
        """Return where `field` goes on an interface (`completions`, `responses` or `messages`), or None."""
        name = {"responses": self.responses, "messages": self.messages}.get(api, "")
        return field if name == "" else name


@dataclass(frozen=True, slots=True)
class PerCall:
    """The field is not sent as it is, but a call may set it too."""


@cache
def headers(cls: type[BaseModel]) -> Mapping[str, InHeader]:
    """Return the header of each field that has one."""
    return _placed(cls, InHeader)


@cache
def labels(cls: type[BaseModel]) -> Mapping[str, InHeader]:
    """Return the headers that label or route a request; a call may set their fields too."""
    return {field: header for field, header in headers(cls).items() if not header.secret}


@cache
def field_of_header(cls: type[BaseModel]) -> Mapping[str, str]:
    """Return the field of each header, by its name in lower case."""
    return {header.name.lower(): field for field, header in headers(cls).items()}


@cache
def body_fields(cls: type[BaseModel]) -> tuple[str, ...]:
    """Return the fields that are sent in the body of a chat request, in the order of their declaration."""
    return tuple(_placed(cls, InBody))


@cache
def body_names(cls: type[BaseModel], api: str) -> Mapping[str, str | None]:
    """Return where each of those fields goes on an interface, or None for one that the interface lacks."""
    return {field: place.name(field, api) for field, place in _placed(cls, InBody).items()}


@cache
def call_fields(cls: type[BaseModel]) -> frozenset[str]:
    """Return the fields that are also keywords of a call."""
    return frozenset({*labels(cls), *body_fields(cls), *_placed(cls, PerCall)})


def _placed(cls: type[BaseModel], kind: type[Place]) -> dict[str, Place]:
    fields = cls.model_fields.items()
    return {name: place for name, info in fields for place in info.metadata if isinstance(place, kind)}


def of_field(cls: type[BaseModel], name: str) -> Any:
    """Return the place of a field, or None if it is not sent and no call may set it."""
    return next((p for p in cls.model_fields[name].metadata if isinstance(p, InHeader | InBody | PerCall)), None)
