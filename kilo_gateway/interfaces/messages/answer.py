"""The state of one answer while its events, or its one body, are read. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from kilo_gateway.encoding.lenient_json import cleaned, dicts, mapping, mend, number, string
from kilo_gateway.errors import KiloError, connection, translate
from kilo_gateway.errors.sent import Sent
from kilo_gateway.interfaces.endings import mended, opened
from kilo_gateway.interfaces.messages import blocks, usage
from kilo_gateway.interfaces.messages.content import Content
from kilo_gateway.reply import Delta
from kilo_gateway.usage import Usage

_FINISH_REASONS: Final = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
"""The `finish_reason` of a `stop_reason`. Any other is kept: after `pause_turn` the answer goes on in a next call."""

_STATUS: Final = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""The HTTP status of an error that came too late to have one (anthropics/anthropic-sdk-python#1918)."""

_REPORTED_ONCE: Final = ("id", "model", "provider", "service_tier")


class Answer:
    """Takes in events and returns their deltas. Raises a KiloError for an error, wherever an event holds it."""

    def __init__(self, response: Any, sent: Sent) -> None:
        self.response = response
        self._sent = sent
        self.progress = 0
        """Number of events that carried anything."""
        self.ended = False
        """True if the answer is complete, and nothing that follows can change it."""
        self._content = Content()
        self._reported: dict[str, str] = {}
        self._stop_reason = ""
        self._explanation = ""
        self._usage: dict[str, Any] = {}
        self._metadata: Any = None
        self._counted = False
        self._odd = False

    @property
    def partial_text(self) -> str:
        """The text so far."""
        return "".join(self._content.text)

    @property
    def has_usage(self) -> bool:
        """True if the tokens of the whole answer have been reported: those of its beginning count none of it."""
        return self._counted

    @property
    def usage(self) -> Usage | None:
        """Tokens and cost of the answer; None until they are those of its end.

        The usage at the beginning has a placeholder for the output, and a budget would take it for the price.
        """
        if not self._counted and not self._stop_reason:
            return None
        counts, metadata = self._usage, self._metadata
        return usage.read(cleaned(counts), cleaned(metadata)) if self._odd else usage.read(counts, metadata)

    @property
    def hidden_bytes(self) -> int:
        """Bytes generated so far that no delta's text or reasoning shows: calls, signatures, opaque blocks."""
        hidden = "".join([self._explanation, *(block.hidden for block in self._content.blocks)])
        return len(hidden.encode("utf-8", "replace"))

    @property
    def finished(self) -> bool:
        """True if the answer is whole.

        Vercel leaves out the last two events for models of OpenAI, and Bedrock does at max_tokens
        (Chia1104/chia1104.dev#3016, maximhq/bifrost#6081).
        """
        return self._stop_reason != "" or self._content.whole

    def frame(self, frame: dict[str, Any], *, odd: bool = False) -> Sequence[Delta]:
        """Return the deltas of one event. `odd` is the second value of `parse_odd`."""
        # The type is read from the JSON: proxies drop the `event:` line.
        kind = frame.get("type")
        if frame.get("error") or kind == "error":
            raise self._error(frame)
        if odd:
            self._odd = True
        delta = Delta(raw=cleaned(frame) if odd else frame)
        match kind:
            case "content_block_delta":
                self.progress += self._content.grow(frame.get("index"), frame.get("delta"), delta)
            case "content_block_start":
                self.progress += self._content.start(frame.get("index"), frame.get("content_block"), delta)
            case "content_block_stop":
                self.progress += self._content.stop(frame.get("index"), delta)
            case "message_start":
                self.progress += 1
                message = mapping(frame.get("message"))
                self._identify(message)
                self._take(message)
                for index, block in enumerate(dicts(message.get("content"))):
                    self._content.start(index, block, delta)
            case "message_delta":
                self._take(mapping(frame.get("delta")))
                self._take(frame, at_the_end=True)
            case "message_stop":
                self._take(frame, at_the_end=True)
                if not self.finished:
                    raise connection.interrupted(self.missing(), self.response, self.partial_text)
                self.ended = True
                return [delta, *self.finish()]
            case "ping":
                return ()
        return [delta]

    def body(self, body: dict[str, Any], *, odd: bool = False) -> list[Delta]:
        """Return all deltas of an answer that is not streamed. Raises KiloError if the body holds none."""
        if body.get("error") or body.get("type") == "error":
            raise self._error(body)
        content = body.get("content")
        if isinstance(content, str):
            content = [{"type": "text", "text": content}]
        if not isinstance(content, list):
            raise translate.unreadable("it has no content", response=self.response, body=body)
        self._odd = odd
        self._identify(body)
        self._take(body, at_the_end=True)
        deltas = [Delta(raw=cleaned(body) if odd else body)]
        for index, block in enumerate(content):
            delta = Delta()
            if self._content.start(index, block, delta):
                self._content.stop(index, delta)
                deltas.append(delta)
        if not self._stop_reason and all(
            block.kind == "text" and not block.characters for block in self._content.blocks
        ):
            raise translate.unreadable("it has neither content nor a stop_reason", response=self.response, body=body)
        return [*deltas, *self.finish()]

    def done(self) -> Sequence[Delta]:
        """Return the last deltas if the answer is whole when the mark `[DONE]` comes, which alone ends nothing."""
        self.ended = self.finished
        return self.finish() if self.ended else ()

    def missing(self) -> str:
        """Say what an answer that is not finished lacks."""
        return "it has no stop_reason"

    def finish(self) -> list[Delta]:
        """Return the last delta, with the ending."""
        content, reason = self._content, _FINISH_REASONS.get(self._stop_reason, self._stop_reason)
        if any(not call.name for call in content.calls):
            raise translate.unreadable(
                "it has a tool call without a name", response=self.response, partial=self.partial_text
            )
        delta = Delta(refusal=mend(self._explanation))
        content.settle(delta, cut=reason == "length")
        ending = replace(
            opened("messages", self.response),
            finish_reason=reason or ("tool_calls" if content.calls else "stop"),
            native_finish_reason=self._stop_reason or None,
            usage=self.usage,
            id=self._reported.get("id"),
            model=blocks.fallback_model(content.blocks) or self._reported.get("model"),
            provider=self._reported.get("provider"),
            service_tier=self._reported.get("service_tier"),
            reasoning_details=blocks.details(content.blocks),
            annotations=blocks.citations(content.blocks),
            tool_calls=[call.call for call in content.calls],
            layout=blocks.layout(content.blocks),
        )
        if self._odd:
            ending = mended(ending)
        delta.ending = ending
        return [delta]

    def _identify(self, message: Mapping[str, Any]) -> None:
        for name in _REPORTED_ONCE:
            if value := string(message.get(name)):
                self._reported[name] = value

    def _take(self, message: Mapping[str, Any], *, at_the_end: bool = False) -> None:
        """Take in what an event reports of the answer as a whole."""
        if isinstance(report := message.get("usage"), dict):
            counts = usage.merged(self._usage, report)
            self.progress += counts != self._usage
            self._usage, self._counted = counts, self._counted or at_the_end
            if tier := string(report.get("service_tier")):
                self._reported["service_tier"] = tier
        if isinstance(metadata := message.get("provider_metadata"), dict):
            self._metadata = metadata or self._metadata
            routing = mapping(mapping(metadata.get("gateway")).get("routing"))
            if provider := string(routing.get("finalProvider")):
                self._reported["provider"] = provider
        if reason := string(message.get("stop_reason")):
            self.progress += reason != self._stop_reason
            self._stop_reason = reason
        self._explanation = string(mapping(message.get("stop_details")).get("explanation")) or self._explanation

    def _error(self, frame: dict[str, Any]) -> KiloError:
        if isinstance(report := frame.get("usage"), dict):
            self._usage, self._counted = usage.merged(self._usage, report), True
        body = cleaned(frame)
        failure = body.get("error")
        if not failure and not string(body.get("message")).strip():
            body = {**body, "error": {"message": "The provider reported an error without a message"}}
        facts = mapping(failure)
        status = None if number(facts.get("code")) else _STATUS.get(string(facts.get("type")))
        error = translate.from_body(
            body, status=status, response=self.response, sent=self._sent, partial=self.partial_text
        )
        error.request_id = error.request_id or string(body.get("request_id")) or None
        error.usage = error.usage or self.usage
        return error
