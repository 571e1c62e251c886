"""One answer of the server, as the checks look at it. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Self

from kilo_gateway.encoding import lenient_json
from kilo_gateway.encoding.sse import EventDecoder
from kilo_gateway.verify.findings import SINCE_E2, Differs, Era, Undecided

Json = dict[str, Any]

_HINDRANCES: Final = frozenset(
    {"usage_limit_exceeded", "top_up_in_progress", "rate_limit_exceeded", "promotion_limit_reached"}
    | {"no_free_models_available", "temporarily_unavailable", "upstream_error", "upstream_disconnect", "timeout"}
    | {"byok_error", "account_restricted", "model_not_allowed", "refusal_cooldown"}
)
"""Types of errors that say nothing about a fact: the account, a quota, or a provider stands in the way."""


@dataclass(frozen=True)
class Answer:
    """Status, headers (names in lower case) and body."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @cached_property
    def json(self) -> Any:
        """The body, or None if it is not JSON."""
        try:
            return json.loads(self.content)
        except (ValueError, RecursionError):
            return None

    @property
    def body(self) -> Json:
        """The body as an object; {} if it is not one."""
        return self.json if isinstance(self.json, dict) else {}

    @property
    def error(self) -> Any:
        """The value of `error`."""
        return self.body.get("error")

    @property
    def error_type(self) -> Any:
        """The gateway's own type of error, which E1 does not send."""
        return self.body.get("error_type")

    @property
    def code(self) -> Any:
        """The code inside `error`."""
        return self.error.get("code") if isinstance(self.error, dict) else None

    @property
    def brief(self) -> str:
        """The status, and the type of an error or the model that served."""
        code = self.code if isinstance(self.code, str) else ""
        return f"{self.status} {self.error_type or code or self.body.get('model') or ''}".strip()

    def __str__(self) -> str:
        """The answer in a few words."""
        inner = self.error.get("message") if isinstance(self.error, dict) else self.error
        message = _dict(_dict(self.error).get("metadata")).get("raw") or self.body.get("message") or inner
        if message and (self.status >= 400 or self.error):
            return f"{self.brief}: {message}"
        return self.brief if self.content else f"{self.status} (empty body)"

    # Judgements.

    def refused(self, status: int, error_type: str, code: str | None = None) -> Era:
        """Return the eras that refuse a request in this way: E1 without, later ones with the `error_type`.

        The shape must be one of the gateway's own: see docs/gateway.md, "Errors", S1 to S3.
        """
        if self.status != status:
            self.unhindered()
        if self.status != status or not self._is_own or self.error_type not in (None, error_type):
            raise Differs(f"{self} instead of {status} {error_type}")
        if code is not None and self.code != code:
            raise Differs(f"{self} instead of {status} {code}")
        return SINCE_E2 if self.error_type else Era.E1

    def served(self) -> Self:
        """Return the answer if a model has answered. Raises Differs, and Undecided if something stood in the way."""
        if self.status == 200 and not self.error:
            return self
        self.unhindered()
        if not self._is_own:
            raise Undecided(f"no answer: {self}")
        raise Differs(f"{self} instead of an answer")

    def unhindered(self) -> Self:
        """Return the answer. Raises Undecided if the account, a quota or a failure kept it from saying more."""
        if self.error_type in _HINDRANCES or self.status in (402, 429) or self.status >= 500:
            raise Undecided(f"no answer: {self}")
        return self

    @property
    def _is_own(self) -> bool:
        """True if an error has one of the gateway's own shapes."""
        return isinstance(self.error, str) or isinstance(self.code, str) or "title" in _dict(self.error)

    @property
    def is_invalid_path(self) -> bool:
        """True if the gateway does not serve the path."""
        return self.status == 400 and "invalid_path" in (self.error_type, str(self.error).lower().replace(" ", "_"))

    # Parts.

    @property
    def message(self) -> Json:
        """The message of the first choice of Chat Completions."""
        return _dict(self.choice.get("message"))

    @property
    def choice(self) -> Json:
        """The first choice of Chat Completions."""
        return next(dicts(self.body.get("choices")), {})

    @property
    def usage(self) -> Json:
        """The token counts, of a body or of the last frame that has some."""
        places = [self.body, *self.frames]
        found = [_dict(holder.get("usage")) for place in places for holder in _holders(place)]
        return next((usage for usage in reversed(found) if usage), {})

    @property
    def model(self) -> str:
        """The model that served. Raises Differs if the answer has none."""
        for holder in (holder for place in (self.body, *self.frames) for holder in _holders(place)):
            if isinstance(model := holder.get("model"), str) and model:
                return model
        raise Differs(f"{self}, without the name of the model that served")

    @cached_property
    def data(self) -> list[bytes]:
        """The data of each event of a stream; [] for a body that is JSON."""
        if self.json is not None:
            return []
        decoder = EventDecoder()
        return [*decoder.feed(self.content), *decoder.finish()]

    @cached_property
    def frames(self) -> list[Json]:
        """The events of a stream that are objects."""
        return list(_objects(self.data))

    @property
    def comments(self) -> list[str]:
        """The comments of a stream."""
        lines = self.content.decode("utf-8", "replace").splitlines()
        return [line[1:].strip() for line in lines if line.startswith(":")]

    @property
    def cost(self) -> float | None:
        """The reported price in USD, from any of its places; None if there is none."""
        for place in reversed([self.body, *self.frames]):
            for holder in _holders(place):
                for value in (_dict(holder.get("usage")).get("cost"), _vercel(holder)):
                    if (price := lenient_json.number(value)) is not None and price >= 0:
                        return float(price)
        return None

    def items(self, kind: str) -> list[Json]:
        """The items of Responses, or the blocks of Messages, of one type."""
        return [item for item in dicts(self.body.get("output", self.body.get("content"))) if item.get("type") == kind]


def dicts(value: object) -> Iterator[Json]:
    """Yield the objects of a list; none for anything else."""
    return (item for item in value if isinstance(item, dict)) if isinstance(value, list) else iter(())


def _dict(value: object) -> Json:
    return value if isinstance(value, dict) else {}


def _objects(data: list[bytes]) -> Iterator[Json]:
    for text in data:
        try:
            frame = json.loads(text)
        except (ValueError, RecursionError):
            continue
        if isinstance(frame, dict):
            yield frame


def _holders(place: Json) -> Iterator[Json]:
    """Yield the objects that may have model, usage and price: see docs/gateway.md, "Usage" and "Interfaces"."""
    yield place
    for name in ("response", "message"):
        if isinstance(place.get(name), dict):
            yield place[name]
    for choice in dicts(place.get("choices")):
        yield _dict(choice.get("message") or choice.get("delta"))


def _vercel(holder: Json) -> Any:
    return _dict(_dict(holder.get("provider_metadata")).get("gateway")).get("cost")
