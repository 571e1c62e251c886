"""One call in no wire format: everything that an interface needs to write its request. Data only.

Tools, tool choices and response formats have the form of OpenAI's Chat Completions, which both frameworks speak.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kilo_gateway.conversation import Conversation
from kilo_gateway.encoding.lenient_json import mapping, number
from kilo_gateway.output import OutputFormat


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a chat model, complete except for the account."""

    conversation: Conversation
    options: Mapping[str, Any]
    """Sampling, tools and further request fields, by the names of the constructor's fields; unknown names are sent
    unchanged. JSON only."""
    model: str
    """The requested model id."""
    tier: str | None
    """The auto tier that `model` stands for, or None."""
    mode: str | None
    """The working mode that is sent."""
    stream: bool
    headers: Mapping[str, str] = field(repr=False)
    query: Mapping[str, Any]
    timeout: float | None
    total_timeout: float | None
    stream_idle_timeout: float | None
    max_retries: int
    max_retry_wait: float | None
    include_response_headers: bool
    merge_ready: bool = True
    """True if deltas that arrived together are joined."""
    api: str = "completions"
    """The interface: `completions`, `responses` or `messages`; `auto` until the driver has chosen one."""
    output_limit: int | None = None
    """The most tokens that the model can answer with, if the interface needs it and it is known."""
    output: OutputFormat | None = None
    """The form of the object that the answer is, if the caller gave a class or a JSON schema as `response_format`."""

    @property
    def max_tokens(self) -> int | None:
        """Upper limit of the tokens of one answer; None if the call sets none."""
        limits = (number(self.options.get(name)) for name in ("max_tokens", "max_completion_tokens"))
        return next((int(limit) for limit in limits if limit is not None), None)

    @property
    def answers(self) -> Any:
        """How many answers are asked for: 1, or what the caller gave as `n`."""
        count = self.options.get("n")
        return 1 if count is None else count

    @property
    def parallel_tool_calls(self) -> Any:
        """False if the answer may call one tool only."""
        return self.options.get("parallel_tool_calls")

    @property
    def tools(self) -> Any:
        """The offered tools."""
        return self.options.get("tools") or ()

    @property
    def output_schema(self) -> Any:
        """The response format, if one is asked for."""
        return self.options.get("response_format")

    @property
    def refuses_data_collection(self) -> bool:
        """True if the gateway may not choose a provider that keeps prompts."""
        return refuses_data_collection(self.options.get("provider"))


def refuses_data_collection(provider: Any) -> bool:
    """Return True if routing preferences exclude providers that keep prompts."""
    preferences = mapping(provider)
    return preferences.get("data_collection") == "deny" or preferences.get("zdr") is True


def as_tool_choice(choice: Any, tool_names: Iterable[str]) -> Any:
    """Return a tool choice in OpenAI's form.

    "any" and True mean "required", False means "none", and a tool's name forces that tool. Raises
    ValueError for a name that no offered tool has.
    """
    if choice is None or isinstance(choice, Mapping):
        return choice
    if isinstance(choice, bool):
        return "required" if choice else "none"
    if choice in ("auto", "none", "required"):
        return choice
    if choice == "any":
        return "required"
    names = list(tool_names)
    if choice not in names:
        raise ValueError(
            f"tool_choice={choice!r} names no offered tool; offered: {', '.join(names) or 'none'}. "
            "Other values: 'auto', 'none', 'required' (or 'any')"
        )
    return {"type": "function", "function": {"name": choice}}


def json_schema_format(function: Mapping[str, Any], *, strict: bool | None = None) -> dict[str, Any]:
    """Return the response format that asks for an object like the arguments of `function`, a tool's definition."""
    schema = {"name": function["name"], "schema": function.get("parameters") or {}}
    if description := function.get("description"):
        schema["description"] = description
    if strict is not None:
        schema["strict"] = strict
    return {"type": "json_schema", "json_schema": schema}
