"""What a scenario is: a model id of the sandbox, and how its answers differ from the usual ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from kilo_gateway.sandbox.gateway.call import Call
from kilo_gateway.sandbox.gateway.options import Upstream
from kilo_gateway.sandbox.gateway.parts import Part
from kilo_gateway.sandbox.model.turn import Reply
from kilo_gateway.sandbox.wire.framing import PLAIN, Framing, Item

Json = dict[str, Any]
Kind = Literal["success", "error", "hang", "load"]


@dataclass(frozen=True)
class Page:
    """An answer given as it is, streamed or not."""

    status: int
    parts: tuple[Part, ...]
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Scenario:
    """One model id of the sandbox, for tests to parametrise over.

    `kind` says what a client owes its caller: an answer, an exception, or (`hang`) nothing, because the server
    goes silent until the client leaves; `load` is an answer too, but one that takes long or is huge. `status`,
    `error_type`, `code`, `message` and `detail` (the provider's own words) describe an error; `stream_only` marks
    those whose not streamed form is only the nearest equivalent, `transient` those that fail once. The callables
    are the behaviour: `refuse` answers instead of the model, `reply` changes what it says, `body` the JSON answer,
    `frames` the chunk objects of a stream.
    """

    id: str
    description: str
    kind: Kind = "success"
    status: int = 200
    error_type: str | None = None
    code: str | int | None = None
    message: str | None = None
    detail: str | None = None
    stream_only: bool = False
    transient: bool = False
    upstream: Upstream | None = None
    framing: Framing = field(default=PLAIN, repr=False)
    refuse: Callable[[Call], Page | None] | None = field(default=None, repr=False)
    reply: Callable[[Call, Reply], None] | None = field(default=None, repr=False)
    body: Callable[[Call, Json], Json | Page] | None = field(default=None, repr=False)
    frames: Callable[[Call, list[Json]], Iterable[Item]] | None = field(default=None, repr=False)


class Registry:
    """The scenarios of one subject, by id."""

    def __init__(self) -> None:
        self.found: dict[str, Scenario] = {}

    def add(self, name: str, description: str, **facts: Any) -> None:
        """Register `sandbox/<name>`."""
        scenario = Scenario(f"sandbox/{name}", description, **facts)
        if scenario.id in self.found:
            raise ValueError(f"{scenario.id} is registered twice")
        self.found[scenario.id] = scenario


def deltas(frames: list[Json]) -> list[Json]:
    """Return the delta objects of all chunks."""
    return [choice["delta"] for frame in frames for choice in frame["choices"]]


def is_text(frame: Json) -> bool:
    """Return True if a chunk carries text of the answer."""
    return any(choice["delta"].get("content") for choice in frame["choices"])


def is_finish(frame: Json) -> bool:
    """Return True if a chunk ends a choice."""
    return any(choice["finish_reason"] for choice in frame["choices"])
