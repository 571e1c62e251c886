"""Every constructor field that ChatKilo and KiloLLM share, and the request they make of it. No I/O."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from pydantic import model_validator

from kilo_gateway import quirks, routing
from kilo_gateway._frames import user_stacklevel
from kilo_gateway.encoding.json_values import to_json
from kilo_gateway.settings import names, types
from kilo_gateway.settings.account import AccountSettings, check_field


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One chat request, complete but for the account: what `chat.py` sends and what the answer is labelled with."""

    payload: dict[str, Any]
    headers: dict[str, str] = field(repr=False)
    model: str
    tier: str | None
    mode: str | None
    query: Mapping[str, Any]
    timeout: float | None
    total_timeout: float | None
    stream_idle_timeout: float | None
    max_retries: int
    max_retry_wait: float | None
    include_response_headers: bool


class GatewaySettings(AccountSettings):
    """The fields of a Kilo model, those of `AccountSettings` included. Nothing is sent for a field that is None."""

    call_keywords = names.REQUEST_FIELDS

    model: types.Model | None = None
    """Model id such as `anthropic/claude-sonnet-4.6`; without model and tier, `kilo-auto/free`."""
    tier: types.Tier | None = None
    """Auto tier (`frontier`, `balanced`, `efficient`, `free`, `small`, `org`) instead of a model; alias `auto_tier`."""
    mode: types.Mode | None = None
    """Working mode (`plan`, `code`, ...): chooses the model of tier `frontier`; sent in lower case."""
    task_id: types.TaskId | None = None
    """Conversation id: keeps prompt cache and free-tier model stable over a conversation; "" for none at all."""

    temperature: types.Temperature | None = None
    max_tokens: types.MaxTokens | None = None
    """Upper limit of generated tokens, reasoning included."""
    top_p: types.Probability | None = None
    stop: types.Stop = None
    """Texts at which generation stops; alias `stop_sequences`."""
    seed: int | None = None
    frequency_penalty: types.Penalty | None = None
    presence_penalty: types.Penalty | None = None
    logprobs: bool | None = None
    top_logprobs: types.TopLogprobs | None = None
    logit_bias: types.LogitBias | None = None
    parallel_tool_calls: bool | None = None
    """Whether the model may call several tools at once; sent only beside tools."""
    reasoning: types.Reasoning = None
    """Effort (`none` ... `max`) or a dict {effort, max_tokens, exclude, enabled}; auto tiers may overwrite it."""
    verbosity: types.Verbosity | None = None
    plugins: list[dict[str, Any]] | None = None
    transforms: list[str] | None = None
    extra_body: types.ExtraBody | None = None
    """Further fields of the request body; merged deeply per call."""
    stream_idle_timeout: types.Seconds | None = 300.0
    """Seconds a stream may go without data (keep-alives do not count) before it fails; None: no limit."""
    include_response_headers: bool = False
    """Tell the HTTP headers of an answer, cookies left out, beside its other metadata, as `headers`."""

    @model_validator(mode="after")
    def _one_model(self) -> Self:
        routing.resolve_model(self.model, self.tier)
        return self

    def _check_beside_others(self, name: str, value: Any) -> None:
        super()._check_beside_others(name, value)
        if name in ("model", "tier"):
            routing.resolve_model(**{"model": self.model, "tier": self.tier, name: value})

    @property
    def model_id(self) -> str:
        """The model id that is requested when a call does not say otherwise."""
        return routing.resolve_model(self.model, self.tier)

    def with_mode(self, mode: str | None) -> Self:
        """Return a copy that works in another mode and shares the connections.

        Tools that are bound to a model are not part of it: call this first, or use `.bind(mode=...)`.
        """
        return self._copy(mode=check_field(type(self), "mode", mode))

    def with_tier(self, tier: str) -> Self:
        """Return a copy that asks another auto tier and shares the connections; see `with_mode`."""
        return self._copy(tier=check_field(type(self), "tier", tier), model=None)

    def _copy(self, **update: Any) -> Self:
        copy = self.model_copy(update=update)
        for name in copy.__dict__.keys() - type(self).model_fields.keys():
            del copy.__dict__[name]  # cached properties of the frameworks describe the original
        return copy

    def requested_model(self, call: Mapping[str, Any]) -> str:
        """Return the model id that a call with these keywords asks for."""
        routed = {names.ALIASES.get(name, name): value for name, value in call.items()}
        return self._pop_model(_checked_call(type(self), {k: v for k, v in routed.items() if k in ("model", "tier")}))

    def _pop_model(self, options: dict[str, Any]) -> str:
        model, tier = options.pop("model", None), options.pop("tier", None)
        return self.model_id if model is None and tier is None else routing.resolve_model(model, tier)

    def request(
        self,
        messages: list[dict[str, Any]],
        *,
        stream: bool,
        defaults: Mapping[str, Any] | None = None,
        call: Mapping[str, Any] | None = None,
    ) -> ChatRequest:
        """Build the request for `messages` (wire format).

        `call` holds the per-call keywords: they win over the fields, which win over `defaults`
        (`model_kwargs`, `additional_kwargs`). `provider` and `extra_body` are merged deeply, a None
        removes the field. Names that no field has go into the body as they are. Raises ValueError
        for a value a field would refuse and for fields that only the constructor takes.
        """
        options = _checked_call(type(self), call or {})
        mode = options.pop("mode", self.mode)
        model = self._pop_model(options)
        headers = {
            name: value
            for name, value in (
                (routing.MODE_HEADER, mode),
                (routing.TASK_HEADER, options.pop("task_id", self.task_id)),
                (routing.PROJECT_HEADER, options.pop("project_id", self.project_id)),
                (routing.FEATURE_HEADER, options.pop("feature", self.feature)),
            )
            if value
        }
        headers |= options.pop("extra_headers", None) or {}
        return ChatRequest(
            headers=headers,
            query={
                **to_json(self.default_query or {}, "default_query"),
                **to_json(options.pop("extra_query", None) or {}, "extra_query"),
            },
            timeout=options.pop("timeout", self.timeout),
            total_timeout=options.pop("total_timeout", self.total_timeout),
            stream_idle_timeout=options.pop("stream_idle_timeout", self.stream_idle_timeout),
            max_retries=self.max_retries if (retries := options.pop("max_retries", None)) is None else retries,
            max_retry_wait=options.pop("max_retry_wait", self.max_retry_wait),
            include_response_headers=self.include_response_headers,
            model=model,
            tier=routing.tier_of(model),
            mode=mode,
            payload=self._payload(messages, model=model, stream=stream, defaults=defaults or {}, call=options),
        )

    def _payload(
        self,
        messages: list[dict[str, Any]],
        *,
        model: str,
        stream: bool,
        defaults: Mapping[str, Any],
        call: dict[str, Any],
    ) -> dict[str, Any]:
        body = dict(types.check_extra_body(dict(defaults)))
        for name in names.BODY_FIELDS:
            if (value := self.preferences() if name == "provider" else getattr(self, name)) is not None:
                body[name] = _merged(body.get(name), value) if name == "provider" else value
        body = _merged(body, self.extra_body or {})
        extra = types.check_extra_body(call.pop("extra_body", None) or {})
        if (data_collection := call.pop("data_collection", None)) is not None:
            types.check_data_collection(data_collection, call.get("provider"))
            call["provider"] = {**(call.get("provider") or {}), "data_collection": data_collection}
        for name, value in call.items():
            body[name] = _merged(body.get(name), value) if name == "provider" else value
        body = {name: to_json(value, name) for name, value in _merged(body, extra).items() if value is not None}
        if not body.get("stop", True):
            del body["stop"]
        if not body.get("tools"):
            # Beside no tools these are a 400 at some providers.
            for name in ("tools", "tool_choice", "parallel_tool_calls"):
                body.pop(name, None)
        if stream:
            body.setdefault("stream_options", {"include_usage": True})
        return {**quirks.adapt(body, model), "model": model, "messages": messages, "stream": stream}


def _checked_call(cls: type[GatewaySettings], call: Mapping[str, Any]) -> dict[str, Any]:
    checked: dict[str, Any] = {}
    for given, value in call.items():
        name = names.ALIASES.get(given, given)
        # Headers of a call obey the rules of the field for headers of all calls.
        field = "default_headers" if name == "extra_headers" else name
        if field in names.CALL_FIELDS or name == "extra_headers":
            checked[name] = value if value is None else check_field(cls, field, value, told_as=given)
            continue
        if name in names.RESERVED_CALL_NAMES or name in cls.model_fields:
            raise ValueError(f"{given!r} is no keyword of a call: set it on the model, or call the method for it")
        if name not in names.REQUEST_FIELDS and (
            near := routing.nearest_name(name, [*names.CALL_FIELDS, *names.REQUEST_FIELDS])
        ):
            warnings.warn(
                f"{given!r} is sent as it is; did you mean {near!r}?", UserWarning, stacklevel=user_stacklevel()
            )
        checked[name] = value
    return checked


def _merged(base: Any, over: Any) -> Any:
    """Merge dicts deeply into a new one; anything else in `over` replaces what `base` had."""
    if not isinstance(base, Mapping) or not isinstance(over, Mapping):
        return over
    return {**base, **{key: _merged(base.get(key), value) for key, value in over.items()}}
