"""Every constructor field that ChatKilo and KiloLLM share, and the call that they make of it. No I/O."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Self, Unpack

from pydantic import model_validator

from kilo_gateway import routing
from kilo_gateway._frames import user_stacklevel
from kilo_gateway.call import Call
from kilo_gateway.conversation import Conversation, as_conversation
from kilo_gateway.encoding.json_values import to_json
from kilo_gateway.output import OutputFormat
from kilo_gateway.settings import names, places, types
from kilo_gateway.settings.account import AccountSettings, refuse_headers_of_fields
from kilo_gateway.settings.places import InBody, InHeader, PerCall
from kilo_gateway.settings.validation import check_field

if TYPE_CHECKING:
    from kilo_gateway.settings.arguments import ChatArguments


class GatewaySettings(AccountSettings):
    """The fields of a Kilo model, those of `AccountSettings` included. Nothing is sent for a field that is None."""

    call_keywords = names.REQUEST_FIELDS

    model: Annotated[types.Model | None, PerCall()] = None
    """Model id such as `anthropic/claude-sonnet-4.6`; without model and tier, `kilo-auto/free`."""
    tier: Annotated[types.Tier | None, PerCall()] = None
    """Auto tier (`frontier`, `balanced`, `efficient`, `free`, `small`, `org`) instead of a model; alias `auto_tier`."""
    mode: Annotated[types.Mode | None, InHeader("x-kilocode-mode")] = None
    """Working mode (`plan`, `code`, ...): chooses the model of tier `frontier`; sent in lower case."""
    api: Annotated[routing.Api, PerCall()] = "completions"
    """Interface of the gateway: `completions`, `responses`, `messages`, or `auto`, which follows the list of models.
    `use_responses_api=True` means `responses`."""
    task_id: Annotated[types.TaskId | None, InHeader("x-kilocode-taskid")] = None
    """Conversation id, which keeps prompt cache and free-tier model stable over a conversation; "" sends none."""

    temperature: Annotated[types.Temperature | None, InBody()] = None
    """How freely the model chooses its words, 0 to 2; 0 is the most predictable."""
    max_tokens: Annotated[types.MaxTokens | None, InBody(responses="max_output_tokens")] = None
    """Upper limit of generated tokens, reasoning included."""
    top_p: Annotated[types.Probability | None, InBody()] = None
    """Share of the probability, 0 to 1, that the likeliest next tokens must reach; the others are not chosen."""
    stop: Annotated[types.Stop, InBody(responses=None, messages="stop_sequences")] = None
    """Texts at which generation stops; alias `stop_sequences`."""
    seed: Annotated[int | None, InBody(responses=None, messages=None)] = None
    """Number with which some providers repeat an answer."""
    frequency_penalty: Annotated[types.Penalty | None, InBody(messages=None)] = None
    """How much a token is avoided for each time that it occurred, -2 to 2."""
    presence_penalty: Annotated[types.Penalty | None, InBody(messages=None)] = None
    """How much a token is avoided once it has occurred, -2 to 2."""
    logprobs: Annotated[bool | None, InBody(responses=None, messages=None)] = None
    """True if the answer reports the log probability of each token."""
    top_logprobs: Annotated[types.TopLogprobs | None, InBody(messages=None)] = None
    """Number of likely tokens that are reported at each place, 0 to 20."""
    logit_bias: Annotated[types.LogitBias | None, InBody(responses=None, messages=None)] = None
    """Token ids and the number that is added to the score of each, usually -100 to 100."""
    parallel_tool_calls: Annotated[bool | None, InBody(messages="tool_choice.disable_parallel_tool_use")] = None
    """True if the model may call several tools at once; sent only together with tools."""
    reasoning: Annotated[types.Reasoning, InBody(messages="thinking")] = None
    """Effort (`none` ... `max`) or a dict {effort, max_tokens, exclude, enabled}; auto tiers may overwrite it."""
    verbosity: Annotated[
        types.Verbosity | None, InBody(responses="text.verbosity", messages="output_config.effort")
    ] = None
    """Length of the answer (`low` ... `max`), not of the thoughts; auto tiers may overwrite it."""
    plugins: Annotated[list[dict[str, Any]] | None, InBody()] = None
    """Plugins of the gateway's upstream, such as `[{"id": "web"}]`; sent unchanged."""
    transforms: Annotated[list[str] | None, InBody(responses=None, messages=None)] = None
    """Changes that the upstream makes to a long prompt, such as `["middle-out"]`; sent unchanged."""
    extra_body: Annotated[types.ExtraBody | None, PerCall()] = None
    """Further fields of the request body; merged deeply per call."""
    stream_idle_timeout: Annotated[types.Seconds | None, PerCall()] = 300.0
    """Seconds a stream may go without data (keep-alives do not count) before it fails; None: no limit."""
    merge_ready: Annotated[bool, PerCall()] = True
    """True if pieces of a stream that arrived together are one chunk; False gives a chunk for each frame."""
    include_response_headers: bool = False
    """True if the metadata of an answer contains its HTTP headers, without cookies, as `headers`."""

    if TYPE_CHECKING:  # pydantic's own constructor stays, which takes the same

        def __init__(self, **arguments: Unpack[ChatArguments]) -> None:
            """Check the arguments. Raises pydantic.ValidationError, a ValueError."""

    @classmethod
    def _translated(cls, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        for holder in names.DEFAULTS:
            if arguments.get(holder) and holder in cls.model_fields and isinstance(arguments[holder], Mapping):
                arguments = _unpacked(cls, arguments, holder)
        return _with_api(arguments)

    @model_validator(mode="after")
    def _one_model(self) -> Self:
        routing.resolve_model(self.model, self.tier)
        return self

    def _check_beside_others(self, name: str, value: Any) -> None:
        super()._check_beside_others(name, value)
        if name in ("model", "tier"):
            routing.resolve_model(**{"model": self.model, "tier": self.tier, name: value})

    def __repr_args__(self) -> Iterator[tuple[str, Any]]:
        """Yield the model that is asked, and the other arguments that were given."""
        yield "model", self.model_id
        yield from super().__repr_args__()

    @property
    def model_id(self) -> str:
        """The model id that is requested when a call does not say otherwise."""
        return routing.resolve_model(self.model, self.tier)

    def with_mode(self, mode: routing.Mode | str | None) -> Self:
        """Return a copy that works in another mode and shares the connections.

        Tools that are bound to a model are not part of it: call this first, or use `.bind(mode=...)`.
        """
        return self._copy(mode=check_field(type(self), "mode", mode))

    def with_tier(self, tier: routing.Tier) -> Self:
        """Return a copy that asks another auto tier and shares the connections; see `with_mode`."""
        return self._copy(tier=check_field(type(self), "tier", tier), model=None)

    def with_api(self, api: routing.Api) -> Self:
        """Return a copy that uses another interface and shares the connections; see `with_mode`."""
        return self._copy(api=check_field(type(self), "api", api))

    def _copy(self, **update: Any) -> Self:
        copy = self.model_copy(update=update)
        for name in copy.__dict__.keys() - type(self).model_fields.keys():
            del copy.__dict__[name]  # cached properties of the frameworks describe the original
        return copy

    def requested_model(self, keywords: Mapping[str, Any]) -> str:
        """Return the model id that a call with these keywords asks for."""
        routed = {names.ALIASES.get(name, name): value for name, value in keywords.items()}
        return self._pop_model(_checked_call(type(self), {k: v for k, v in routed.items() if k in ("model", "tier")}))

    def requested_mode(self, keywords: Mapping[str, Any]) -> str | None:
        """Return the mode in which a call with these keywords works; None if it names none."""
        given = {"mode": keywords["mode"]} if "mode" in keywords else {}
        mode: str | None = _checked_call(type(self), given).get("mode", self.mode)
        return mode

    def _pop_model(self, options: dict[str, Any]) -> str:
        model, tier = options.pop("model", None), options.pop("tier", None)
        return self.model_id if model is None and tier is None else routing.resolve_model(model, tier)

    def prepare(
        self,
        conversation: Conversation | str,
        *,
        stream: bool,
        defaults: Mapping[str, Any] | None = None,
        keywords: Mapping[str, Any] | None = None,
    ) -> Call:
        """Build the call that asks for an answer to `conversation`, or to a text as one user message.

        `keywords` are those of the call: they override the fields, which override `defaults`
        (`model_kwargs`, `additional_kwargs`). `provider` and `extra_body` are merged deeply, a None
        removes the field. Names that are not fields go into the request unchanged. Raises ValueError
        for a value that a field would refuse and for fields that only the constructor takes.
        """
        given = _checked_call(type(self), _with_api(keywords or {}))
        model = self._pop_model(given)
        labels = {field: given.pop(field, getattr(self, field)) for field in places.labels(type(self))}
        headers = {places.headers(type(self))[field].name: value for field, value in labels.items() if value}
        headers |= given.pop("extra_headers", None) or {}
        form = given.get("response_format")
        return Call(
            conversation=as_conversation(conversation),
            headers=headers,
            query=self._query(given.pop("extra_query", None)),
            timeout=given.pop("timeout", self.timeout),
            total_timeout=given.pop("total_timeout", self.total_timeout),
            stream_idle_timeout=given.pop("stream_idle_timeout", self.stream_idle_timeout),
            max_retries=self.max_retries if (retries := given.pop("max_retries", None)) is None else retries,
            max_retry_wait=given.pop("max_retry_wait", self.max_retry_wait),
            merge_ready=given.pop("merge_ready", self.merge_ready),
            include_response_headers=self.include_response_headers,
            model=model,
            tier=routing.tier_of(model),
            mode=labels["mode"],
            api=given.pop("api", None) or self.api,
            stream=stream,
            output=form if isinstance(form, OutputFormat) else None,
            options=self.request_options(defaults or {}, given),
        )

    def _query(self, extra: Mapping[str, Any] | None) -> dict[str, Any]:
        parts = {"default_query": self.default_query, "extra_query": extra}
        given = (to_json(value, name) for name, value in parts.items() if value)
        return {key: value for part in given for key, value in part.items()}

    def request_options(self, defaults: Mapping[str, Any], keywords: dict[str, Any]) -> dict[str, Any]:
        """Merge what goes into the request: the later source overrides the earlier one (docs/arguments.md)."""
        fields = {name: value for name in places.body_fields(type(self)) if (value := getattr(self, name)) is not None}
        if (preferences := self.preferences()) is not None:
            fields["provider"] = preferences
        extra_body = types.check_extra_body(keywords.pop("extra_body", None) or {})
        if (data_collection := keywords.pop("data_collection", None)) is not None:
            types.check_data_collection(data_collection, keywords.get("provider"))
            keywords["provider"] = {**(keywords.get("provider") or {}), "data_collection": data_collection}
        options: dict[str, Any] = dict(types.check_extra_body(dict(defaults)))
        _override(options, fields)
        options = _merged(options, self.extra_body or {})
        _override(options, keywords)
        options = _merged(options, extra_body)
        options = {name: to_json(value, name) for name, value in options.items() if value is not None}
        if not options.get("stop", True):
            del options["stop"]
        if not options.get("tools"):
            # Beside no tools these are a 400 at some providers.
            for name in ("tools", "tool_choice", "parallel_tool_calls"):
                options.pop(name, None)
        return options


def _with_api(arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return arguments with `use_responses_api` as the `api` that it means. Raises ValueError if they contradict."""
    if "use_responses_api" not in arguments:
        return arguments
    api = "responses" if arguments["use_responses_api"] else "completions"
    rest = {name: value for name, value in arguments.items() if name != "use_responses_api"}
    if rest.get("api") not in (None, api):
        given = arguments["use_responses_api"]
        raise ValueError(f"use_responses_api={given!r} contradicts api={rest['api']!r}: give one of them")
    return {**rest, "api": api}


def _unpacked(cls: type[GatewaySettings], arguments: Mapping[str, Any], holder: str) -> dict[str, Any]:
    """Return arguments with the values of `holder` that are not fields of the body as the arguments that they are.

    There they are checked, sent in their place and, if they may be secrets, hidden. An argument of its own wins.
    """
    elsewhere = places.call_fields(cls) - {"model", *places.body_fields(cls)}
    unpacked, rest = dict(arguments), {}
    given = {names.ALIASES.get(name, name): name for name in arguments}
    for name, value in arguments[holder].items():
        known = names.ALIASES.get(name, name)
        argument = types.CLIENT_ARGUMENTS.get(known, known)
        if known not in types.CLIENT_ARGUMENTS and known not in elsewhere:
            rest[known] = value
            continue
        own = given.get(argument, argument)
        unpacked[own] = value if unpacked.get(own) is None else _merged(value, unpacked[own])
    return {**unpacked, holder: rest}


def _override(options: dict[str, Any], values: Mapping[str, Any]) -> None:
    """Put values in place of earlier ones; routing preferences are merged with them."""
    for name, value in values.items():
        options[name] = _merged(options.get(name), value) if name == "provider" else value


def _checked_call(cls: type[GatewaySettings], call: Mapping[str, Any]) -> dict[str, Any]:
    checked: dict[str, Any] = {}
    for given, value in call.items():
        name = names.ALIASES.get(given, given)
        # Headers of a call obey the rules of the field for headers of all calls.
        field = "default_headers" if name == "extra_headers" else name
        if field in places.call_fields(cls) or name == "extra_headers":
            checked[name] = value if value is None else check_field(cls, field, value, called=given)
            if name == "extra_headers":
                refuse_headers_of_fields(cls, checked[name], given)
            continue
        if name in names.DEFAULTS and name in cls.model_fields:
            raise ValueError(f"{given!r} cannot be set per call; give what it contains as keywords of the call")
        if name in names.RESERVED_CALL_NAMES or name in cls.model_fields:
            raise ValueError(
                f"{given!r} cannot be set per call; set it on the model, or use the method that controls it"
            )
        if name not in names.REQUEST_FIELDS and (
            near := routing.nearest_name(name, [*places.call_fields(cls), *names.REQUEST_FIELDS])
        ):
            warnings.warn(
                f"{given!r} is sent unchanged; did you mean {near!r}?", UserWarning, stacklevel=user_stacklevel()
            )
        checked[name] = value
    return checked


def _merged(base: Any, over: Any) -> Any:
    """Merge dicts deeply into a new one; anything else in `over` replaces what `base` had."""
    if not isinstance(base, Mapping) or not isinstance(over, Mapping):
        return over
    return {**base, **{key: _merged(base.get(key), value) for key, value in over.items()}}
