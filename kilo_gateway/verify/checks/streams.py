"""Check streams. See docs/gateway.md, "Streams" and "Interfaces"."""

from __future__ import annotations

from kilo_gateway.verify.answer import Answer, Json, dicts
from kilo_gateway.verify.check import Group
from kilo_gateway.verify.findings import SINCE_E2, Differs, Era, Undecided
from kilo_gateway.verify.gateway import HELLO, NO_SUCH_MODEL, Gateway

GROUP = Group("streams", "Streams")
_LAST_OF_RESPONSES = ("response.completed", "response.incomplete")


def _stream(gateway: Gateway) -> Answer:
    """Return a stream of a free model, which asks not to get usage."""
    answer = gateway.chat(stream=True, stream_options={"include_usage": False}).served()
    return _frames(answer)


def _frames(answer: Answer) -> Answer:
    if not answer.frames:
        raise Differs("the answer is not a stream of events")
    if failed := next((frame for frame in answer.frames if frame.get("error")), None):
        raise Undecided(f"the stream failed: {failed['error']}")
    return answer


@GROUP.add()
def keep_alive(gateway: Gateway) -> Era:
    """Comments keep a stream alive: `KILO PROCESSING` since E2, upstream's `OPENROUTER PROCESSING` in E1."""
    comments = set(_stream(gateway).comments)
    if not comments:
        raise Undecided("the stream had no comment, which a short one need not have", expected=True)
    gateway.note(", ".join(sorted(comments)))
    eras = {"KILO PROCESSING": SINCE_E2, "OPENROUTER PROCESSING": Era.E1}
    found = [eras.get(comment) for comment in comments]
    if len(found) > 1 or found[0] is None:
        raise Differs("other comments")
    return found[0]


@GROUP.add()
def done(gateway: Gateway) -> None:
    """Nothing comes after `[DONE]`, which is the end if it is sent at all."""
    data = _stream(gateway).data
    gateway.note("[DONE] is sent" if b"[DONE]" in data else "no [DONE]")
    if b"[DONE]" in data[:-1]:
        raise Differs("events after [DONE]")


@GROUP.add()
def usage(gateway: Gateway) -> None:
    """A stream contains usage, even if the request asks for none."""
    stream = _stream(gateway)
    if not isinstance(stream.usage.get("prompt_tokens"), int):
        raise Differs("no chunk has usage")
    last = next(frame for frame in reversed(stream.frames) if frame.get("usage"))
    gateway.note(f"usage beside {len(last.get('choices') or [])} choices")


@GROUP.add()
def choices(gateway: Gateway) -> None:
    """Each chunk has a list `choices`, which may be empty."""
    if not all(isinstance(frame.get("choices"), list) for frame in _stream(gateway).frames):
        raise Differs("a chunk without choices")


@GROUP.add()
def role(gateway: Gateway) -> None:
    """No delta has `role: null`."""
    deltas = [choice.get("delta") for frame in _stream(gateway).frames for choice in dicts(frame.get("choices"))]
    if any(isinstance(delta, dict) and delta.get("role", "") is None for delta in deltas):
        raise Differs("a delta with role null")


@GROUP.add()
def finish(gateway: Gateway) -> None:
    """A complete stream has a `finish_reason`."""
    reasons = [c.get("finish_reason") for f in _stream(gateway).frames for c in dicts(f.get("choices"))]
    gateway.note(", ".join(filter(None, reasons)))
    if not any(reasons):
        raise Differs("no chunk has a finish_reason")


@GROUP.add()
def error_before(gateway: Gateway) -> Era:
    """An error before the first byte is an ordinary HTTP error, also for `stream: true`."""
    body = {"model": NO_SUCH_MODEL, "messages": [{"role": "user", "content": HELLO}], "stream": True}
    return gateway.post("/chat/completions", body).refused(401, "paid_model_auth_required")


@GROUP.add(section="Interfaces", eras=SINCE_E2)
def responses_events(gateway: Gateway) -> None:
    """A stream of Responses runs from `response.created` to `response.completed` or `.incomplete`, which has usage."""
    frames = _ordered(gateway.responses(stream=True), "response.created", _LAST_OF_RESPONSES)
    response = frames[-1].get("response")
    counts = response.get("usage") if isinstance(response, dict) else None
    if not isinstance(counts, dict) or not isinstance(counts.get("input_tokens"), int):
        raise Differs("the last event has no usage")


@GROUP.add(section="Interfaces", eras=SINCE_E2)
def messages_events(gateway: Gateway) -> None:
    """A stream of Messages runs from `message_start` to `message_stop`, with usage in `message_delta`."""
    frames = _ordered(gateway.messages(stream=True), "message_start", ("message_stop",))
    counts = [frame.get("usage") for frame in frames if frame.get("type") == "message_delta"]
    if not any(isinstance(usage, dict) and isinstance(usage.get("output_tokens"), int) for usage in counts):
        raise Differs("no message_delta has usage")


def _ordered(answer: Answer, first: str, last: tuple[str, ...]) -> list[Json]:
    """Return the events of a stream. Raises Differs if others come first or last."""
    frames = _frames(answer.served()).frames
    kinds = [str(frame.get("type")) for frame in frames]
    events = [kind for kind in kinds if kind != "ping"]
    if events[0] != first or events[-1] not in last:
        raise Differs(f"the events run from {events[0]} to {events[-1]}")
    return frames
