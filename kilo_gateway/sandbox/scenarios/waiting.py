"""Register slow and silent answers, for tests of time limits, cancellation and clients that leave early."""

# ruff: noqa: ARG001 - the callables have the signatures that `Scenario` requires

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kilo_gateway.sandbox.gateway.call import Call
from kilo_gateway.sandbox.gateway.parts import HOLD, Pause
from kilo_gateway.sandbox.scenarios.base import Json, Page, Registry, beginning
from kilo_gateway.sandbox.wire import framing as sse
from kilo_gateway.sandbox.wire.framing import Item

REGISTRY = Registry()

SLOW_SECONDS = 5.0
_BEAT = Pause(0.05)


def _slow(call: Call, frames: list[Json]) -> Iterator[Item]:
    pause = Pause(SLOW_SECONDS / max(1, len(frames)))
    for frame in frames:
        yield frame
        yield pause


def _slow_body(call: Call, payload: Json) -> Page:
    return _held(payload, Pause(SLOW_SECONDS))


def _stall(call: Call, frames: list[Json]) -> Iterable[Item]:
    return [*beginning(call, frames, 2), HOLD]


def _stall_with_comments(call: Call, frames: list[Json]) -> Iterator[Item]:
    yield from beginning(call, frames, 2)
    beat = sse.comment(call.options.keepalive or "KILO PROCESSING")
    while True:
        yield _BEAT
        yield beat


def _stall_body(call: Call, payload: Json) -> Page:
    return _held(payload, HOLD)


def _held(payload: Json, pause: Pause) -> Page:
    from kilo_gateway.sandbox.scenarios.failures import page

    whole = page(200, payload)
    return Page(200, (pause, *whole.parts), whole.headers)


REGISTRY.add(
    "slow",
    f"an answer that takes about {SLOW_SECONDS:.0f} seconds",
    kind="hang",
    frames=_slow,
    body=_slow_body,
)
REGISTRY.add("stall", "two pieces of text, then silence", kind="hang", frames=_stall, body=_stall_body)
REGISTRY.add(
    "stall-keepalive",
    "two pieces of text, then only keep-alive comments",
    kind="hang",
    frames=_stall_with_comments,
    body=_stall_body,
)
