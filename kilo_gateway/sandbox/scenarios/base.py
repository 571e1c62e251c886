"""Define scenarios: model ids of the sandbox whose answers differ from the usual ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from kilo_gateway.sandbox.gateway.call import Call
from kilo_gateway.sandbox.gateway.options import APIS, Api, Upstream
from kilo_gateway.sandbox.gateway.parts import Part
from kilo_gateway.sandbox.model.turn import Reply
from kilo_gateway.sandbox.wire.framing import PLAIN, Framing, Item
from kilo_gateway.sandbox.wire.interfaces import wire_of

Json = dict[str, Any]
Kind = Literal["success", "error", "hang", "load"]


@dataclass(frozen=True)
class Page:
    """An answer that is sent unchanged, streamed or not."""

    status: int
    parts: tuple[Part, ...]
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Scenario:
    """One model id of the sandbox; tests can use all scenarios as parameters.

    `kind` is the result that a client must return: an answer (`success`), an exception (`error`), nothing until it
    leaves, because the server is silent (`hang`), or an answer that takes long or is huge (`load`). `status`,
    `error_type`, `code`, `message` and `detail` (the provider's own text) describe an error. `stream_only` is True if
    the answer without a stream is only the nearest equivalent; `transient` is True if only the first call fails. The
    callables are the behaviour: `refuse` answers instead of the model, `reply` changes the model's reply, `body` the
    JSON answer, and `frames` the frames of a stream. `apis` are the interfaces on which the scenario has a meaning;
    on the others the gateway answers that the model does not support them.
    """

    id: str
    description: str
    apis: tuple[Api, ...] = APIS
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
    """The scenarios of one subject, by id; they have a meaning on `apis`, if they do not name others."""

    def __init__(self, *apis: Api) -> None:
        self.scenarios: dict[str, Scenario] = {}
        self._apis = apis or APIS

    def add(self, name: str, description: str, **fields: Any) -> None:
        """Register the scenario `sandbox/<name>`."""
        scenario = Scenario(f"sandbox/{name}", description, **{"apis": self._apis, **fields})
        if scenario.id in self.scenarios:
            raise ValueError(f"scenario {scenario.id!r} is already registered; choose another name")
        self.scenarios[scenario.id] = scenario


def deltas(chunks: list[Json]) -> list[Json]:
    """Return the deltas of all chunks."""
    return [choice["delta"] for chunk in chunks for choice in chunk["choices"]]


def is_text(chunk: Json) -> bool:
    """Return True if a chunk contains text of the answer."""
    return any(choice["delta"].get("content") for choice in chunk["choices"])


def is_finish(chunk: Json) -> bool:
    """Return True if a chunk ends a choice."""
    return any(choice["finish_reason"] for choice in chunk["choices"])


def usages(payload: Json) -> list[Json]:
    """Return the token counts in a frame or a body of any interface."""
    holders = (payload, payload.get("response"), payload.get("message"))
    found = (holder.get("usage") for holder in holders if isinstance(holder, dict))
    return [usage for usage in found if usage]


def beginning(call: Call, frames: list[Json], texts: int) -> list[Json]:
    """Return the first frames of a stream of any interface, up to some text; without text, less than half of them."""
    ends = [position for position, frame in enumerate(frames, 1) if wire_of(call).text_of(frame)][:texts]
    return frames[: ends[-1] if ends else (len(frames) - 1) // 2]
