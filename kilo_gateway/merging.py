"""Joins deltas that arrived together, so that a program that falls behind catches up. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from kilo_gateway.errors import KiloError
from kilo_gateway.reply import Delta, ToolCallDelta


def merged(deltas: Iterator[Delta]) -> Iterator[Delta]:
    """Yield `deltas`, with those joined that continue the same text, reasoning or tool call.

    `raw` is that of the last one. The start of a tool call, a refusal, an ending and the deltas of further choices
    stay as they are. Deltas before an error are yielded before it is raised.
    """
    run: list[Delta] = []
    kind: str | int | None = None
    try:
        for delta in deltas:
            before, kind = kind, _kind(delta)
            if run and (kind is None or kind != before):
                together, run = run, []
                yield _joined(together)
            run.append(delta)
    except KiloError:
        if run:
            yield _joined(run)
        raise
    if run:
        yield _joined(run)


def _kind(delta: Delta) -> str | int | None:
    """Return the thing that a delta continues (a call by its position), or None if it must stay as it is."""
    if delta.ending is not None or delta.refusal or delta.choice:
        return None
    calls = delta.tool_calls
    if not calls:
        if delta.text:
            return None if delta.reasoning else "text"
        return "reasoning" if delta.reasoning else None
    call = calls[0]
    starts = call.id is not None or call.name is not None
    return None if starts or len(calls) > 1 or delta.text or delta.reasoning else call.position


def _joined(run: list[Delta]) -> Delta:
    last = run[-1]
    if len(run) == 1:
        return last
    calls: tuple[ToolCallDelta, ...] = ()
    if last.tool_calls:
        arguments = "".join(delta.tool_calls[0].arguments for delta in run)
        calls = (ToolCallDelta(last.tool_calls[0].position, arguments=arguments),)
    return Delta(
        text="".join(delta.text for delta in run),
        reasoning="".join(delta.reasoning for delta in run),
        tool_calls=calls,
        raw=last.raw,
    )
