"""The state of one answer while its events, or its one body, are read. Pure. See docs/gateway.md, "Responses".

Answers are built from items and deltas. The last event repeats everything, or nothing (QuantumNous/new-api#4362), so
only what never came before is taken from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from kilo_gateway.encoding.lenient_json import cleaned, mapping, number, string
from kilo_gateway.errors import KiloError, translate
from kilo_gateway.errors.sent import Sent
from kilo_gateway.interfaces.endings import mended, opened
from kilo_gateway.interfaces.responses import usage as usages
from kilo_gateway.interfaces.responses.ending import complete, in_order
from kilo_gateway.interfaces.responses.items import CALL, MESSAGE, Item
from kilo_gateway.interfaces.responses.output import DELTAS, PARTS, WHOLE_TEXTS, Output
from kilo_gateway.reply import Delta
from kilo_gateway.usage import Usage

_TERMINAL: Final = {
    "response.completed": "completed",
    "response.done": "completed",
    "response.incomplete": "incomplete",
    "response.failed": "failed",
    "response.cancelled": "cancelled",
}
_FAILED: Final = ("failed", "cancelled")
_ERROR_KEYS: Final = ("id", "code", "message", "error_type")
_FINISH_REASONS: Final = {"max_output_tokens": "length", "content_filter": "content_filter"}
_REPORTED: Final = ("id", "model", "provider", "service_tier")


class Answer:
    """Takes in events and returns their deltas. Raises a KiloError for an error, wherever an event holds it."""

    def __init__(self, response: Any, sent: Sent) -> None:
        self.response = response
        self._sent = sent
        self.progress = 0
        """Number of events that carried anything."""
        self.ended = False
        """True if the last event has come."""
        self._ending = opened("responses", response)
        self._output = Output()
        self._usage: Any = None
        self._metadata: Any = None
        self._odd = False

    @property
    def partial_text(self) -> str:
        """The text so far."""
        return self._output.text

    @property
    def has_usage(self) -> bool:
        """True if tokens or cost have been reported."""
        return self._usage is not None

    @property
    def usage(self) -> Usage | None:
        """Tokens and cost that have been reported so far."""
        if self._odd:
            return usages.parse(cleaned(self._usage), cleaned(self._metadata))
        return usages.parse(self._usage, self._metadata)

    @property
    def hidden_bytes(self) -> int:
        """Bytes generated so far that no delta's text or reasoning shows: calls, refusals, signed reasoning, media."""
        return sum(len(item.hidden().encode("utf-8", "replace")) for item in self._output.items)

    @property
    def finished(self) -> bool:
        """True if the answer is whole: its last event has come, or each item is complete and the last one says it all.

        OpenRouter at times leaves out the last event (moeru-ai/airi#2589). Then a message that is only a comment, and
        reasoning, announce something that has not come.
        """
        if self.ended:
            return True
        last = in_order(self._output.items)[-1:]
        return all(item.done and not item.unfinished for item in self._output.items) and any(
            item.kind == CALL or (item.kind == MESSAGE and item.value.get("phase") != "commentary") for item in last
        )

    def frame(self, frame: dict[str, Any], *, odd: bool = False) -> list[Delta]:
        """Return the deltas of one event. `odd` is the second value of `parse_odd`."""
        delta = Delta(raw=frame)
        if frame.get("error"):
            raise self._error(frame)
        if odd:
            self._odd = True
            delta.raw = cleaned(frame)
        match frame:
            case {"type": str(kind), "delta": str(text)} if kind in DELTAS:
                if text:
                    self.progress += 1
                    self._output.add(frame, kind, text, delta)
            case {"type": str(kind)}:
                return self._event(kind, frame, delta)
        return [delta]

    def body(self, body: dict[str, Any], *, odd: bool = False) -> list[Delta]:
        """Return all deltas of an answer that is not streamed. Raises KiloError if the body holds none."""
        self._odd = odd
        self._describe(body)
        status = string(body.get("status")) or "completed"
        output = body.get("output")
        if body.get("error") or status in _FAILED:
            raise self._error(body)
        if not isinstance(output, list):
            if text := string(body.get("message")) or string(body.get("detail")):
                raise self._error({**body, "error": {"message": text}})
            raise translate.unreadable("it has no output", response=self.response, body=body)
        if status not in ("completed", "incomplete"):
            raise translate.unreadable(
                f"its status is {status!r}, so that it is not complete", response=self.response, body=body
            )
        self.ended = True
        return self._close(body, status, body)

    def done(self) -> list[Delta]:
        """Return nothing: the mark `[DONE]` may come before the last event, and after it has no meaning."""
        return []

    def missing(self) -> str:
        """Say what an answer that is not finished lacks."""
        return "it has no last event, such as response.completed"

    def finish(self) -> list[Delta]:
        """Return the last deltas of an answer that is whole."""
        return self._finish("completed", None)

    def _event(self, kind: str, frame: dict[str, Any], delta: Delta) -> list[Delta]:
        if kind == "error":
            raise self._error({**frame, "error": {name: frame.get(name) for name in ("code", "message")}})
        response = frame.get("response")
        if isinstance(response, dict):
            self._describe(response)
            if kind in _TERMINAL or response.get("error") or response.get("status") in _FAILED:
                return self._last(kind, response, frame)
        elif kind in _TERMINAL:
            return self._last(kind, {}, frame)
        part, value = frame.get("part"), frame.get("item")
        if kind in WHOLE_TEXTS:
            self._output.take_whole(frame, WHOLE_TEXTS[kind], frame, delta)
        elif isinstance(part, dict) and string(part.get("type")) in PARTS:
            self._output.take_whole(frame, PARTS[part["type"]], part, delta)
        elif isinstance(value, dict):
            self._output.take_item(value, frame.get("output_index"), delta, done=kind.endswith("done"))
        elif kind == "response.output_text.annotation.added":
            self._output.annotate(frame)
        elif "output_index" not in frame:
            return [delta]  # a sign of life, such as response.in_progress or keepalive
        self.progress += 1
        return [delta]

    def _last(self, kind: str, response: dict[str, Any], frame: dict[str, Any]) -> list[Delta]:
        status = _TERMINAL.get(kind, "failed")
        if response.get("status") in _FAILED or response.get("error"):
            status = "failed"
        if status in _FAILED:
            raise self._error(response)
        self.progress += 1
        self.ended = True
        return self._close(response, status, frame)

    def _close(self, response: dict[str, Any], status: str, frame: dict[str, Any]) -> list[Delta]:
        """Return the deltas of the end of an answer: of items that never came before, and the ending."""
        deltas = self._output.take_rest(response.get("output"))
        reason = string(mapping(response.get("incomplete_details")).get("reason"))
        if reason or response.get("status") == "incomplete":
            status = "incomplete"
        deltas += self._finish(status, reason or status)
        deltas[-1].raw = cleaned(frame) if self._odd else frame
        return deltas

    def _describe(self, response: dict[str, Any]) -> None:
        """Take in what an event says of the whole answer."""
        ending = self._ending
        for name in _REPORTED:
            if value := string(response.get(name)):
                setattr(ending, name, value)
        if (created := number(response.get("created_at"))) is not None:
            ending.created = int(created)
        if isinstance(usage := response.get("usage"), dict):
            self._usage = usage
        self._metadata = response.get("provider_metadata") or self._metadata
        routing = mapping(mapping(mapping(self._metadata).get("gateway")).get("routing"))
        ending.provider = ending.provider or string(routing.get("finalProvider")) or None

    def _finish(self, status: str, native: str | None) -> list[Delta]:
        deltas = []
        items = in_order(self._output.items)
        for item in items:
            if item.kind == CALL:
                self._check(item, status)
            deltas.append(self._output.finish(item))
        deltas = [delta for delta in deltas if delta.text or delta.reasoning or delta.tool_calls]
        ending = self._ending
        ending.usage = self.usage
        complete(ending, items, self._output.spoken)
        ending.native_finish_reason = native
        if status == "incomplete":
            ending.finish_reason = _FINISH_REASONS.get(native or "", "length")
        else:
            called = ending.tool_calls or any(item.kind == "custom_tool_call" for item in items)
            ending.finish_reason = "tool_calls" if called else "stop"
        if self._odd:
            ending = mended(ending)
        refusal = "".join(item.text("refusal") for item in items)
        return [*deltas, Delta(refusal=refusal, ending=ending)]

    def _check(self, item: Item, status: str) -> None:
        """Raise KiloResponseError for a call that nobody may execute, unless the answer was cut off before it."""
        if item.position < 0 and not (item.name and status == "incomplete"):
            lack = f"announces a call of {item.name!r} without arguments" if item.name else "has a call without a name"
            raise translate.unreadable(f"it {lack}", response=self.response, partial=self.partial_text)

    def _error(self, body: Mapping[str, Any]) -> KiloError:
        """Return the error that an event or a body reports, with the code wherever the provider put it."""
        if isinstance(response := body.get("response"), dict):
            self._describe(response)
        error = body.get("error")
        if isinstance(error, dict):
            code = next((code for code in (error.get("code"), error.get("type"), body.get("error_type")) if code), None)
            error = {**error, "code": code}
        shaped = {name: body[name] for name in _ERROR_KEYS if body.get(name) is not None}
        status = "was cancelled" if body.get("status") == "cancelled" else "failed, without a reason"
        shaped["error"] = error or {"message": f"The provider says that the answer {status}"}
        failure = translate.from_body(
            shaped, status=None, response=self.response, sent=self._sent, partial=self.partial_text
        )
        failure.usage = self.usage or failure.usage
        return failure
