"""Define what a wire format offers to the scenarios that work on all interfaces."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from kilo_gateway.sandbox.gateway.call import Call
from kilo_gateway.sandbox.model.turn import Reply
from kilo_gateway.sandbox.wire.framing import Item

Json = dict[str, Any]


@dataclass(frozen=True)
class Fault:
    """An error that comes after status 200; `more` are further fields of the error on Chat Completions.

    `error_type` is the gateway's own word, or, if `by_gateway` is False, OpenRouter's.
    """

    status: int
    message: str
    error_type: str
    by_gateway: bool = True
    more: Mapping[str, Any] = field(default_factory=dict)


class Wire(Protocol):
    """The form of answers on one interface. A module with these names has this type."""

    @property
    def ANSWER(self) -> str:  # noqa: N802 - a constant of a module
        """The field of a body that contains the answer."""

    @property
    def DONE(self) -> bool:  # noqa: N802 - a constant of a module
        """True if the mark [DONE] follows the last frame."""

    @property
    def LAST(self) -> tuple[str, ...]:  # noqa: N802 - a constant of a module
        """The types of the events that end a stream."""

    def body(self, call: Call, replies: list[Reply], /) -> Json:
        """Return the body of an answer that is not streamed."""

    def frames(self, call: Call, replies: list[Reply], /) -> list[Json]:
        """Return the frames of a stream."""

    def sent(self, items: Iterable[Item], /) -> Iterator[Item]:
        """Yield what the gateway sends of a stream: nothing after the event that ends it."""

    def text_of(self, frame: Json, /) -> str:
        """Return the text of the answer that a frame adds."""

    def with_text(self, frame: Json, text: str, /) -> Json:
        """Return the smallest frame that adds a text in the place of `frame`."""

    def fault_frame(self, call: Call, fault: Fault, /) -> Json:
        """Return the frame of a stream that reports an error."""

    def fault_body(self, call: Call, fault: Fault, /) -> Json:
        """Return the body that reports an error with status 200."""
