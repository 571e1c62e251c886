"""The arguments of the constructors as a caller writes them, for type checkers and editors.

The fields say what an object holds, and take more than that: a key as text, an effort as `reasoning`, names that other
packages use. Only type checkers read this module (docs/decisions/types-of-arguments.md).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal, TypedDict

from pydantic import SecretStr

from kilo_gateway import routing
from kilo_gateway.budget import KiloBudget
from kilo_gateway.settings import types

Secret = str | SecretStr
Key = Secret | Callable[[], Secret] | Callable[[], Awaitable[Secret]]


class AccountArguments(TypedDict, total=False):
    """The arguments of all classes."""

    api_key: Key | None
    base_url: str | None
    api_base: str | None
    """Another name of `base_url`."""
    allow_insecure: bool
    organization_id: Secret | None
    project_id: str | None
    feature: str | None
    provider: Mapping[str, Any] | None
    data_collection: Literal["allow", "deny"] | None
    acknowledge_data_policy: bool
    budget: KiloBudget | None
    default_headers: Mapping[str, Secret] | None
    default_query: Mapping[str, Any] | None
    timeout: float | None
    request_timeout: float | None
    """Another name of `timeout`."""
    total_timeout: float | None
    max_retries: int
    max_retry_wait: float | None
    max_response_bytes: int
    transport: Literal["aiohttp", "httpx"] | None
    http_client: Any
    http_async_client: Any


class ChatArguments(AccountArguments, total=False):
    """The arguments of both chat classes."""

    model: str | None
    model_name: str | None
    """Another name of `model`."""
    tier: routing.Tier | None
    auto_tier: routing.Tier | None
    """Another name of `tier`."""
    mode: routing.Mode | str | None  # editors complete the documented ones; organisations have modes of their own
    api: routing.Api
    use_responses_api: bool
    """True means `api="responses"`."""
    task_id: str | None
    temperature: float | None
    max_tokens: int | None
    top_p: float | None
    stop: str | Sequence[str] | None
    stop_sequences: str | Sequence[str] | None
    """Another name of `stop`."""
    seed: int | None
    frequency_penalty: float | None
    presence_penalty: float | None
    logprobs: bool | None
    top_logprobs: int | None
    logit_bias: Mapping[str, float] | Mapping[int, float] | None
    parallel_tool_calls: bool | None
    reasoning: types.Effort | Mapping[str, Any] | None
    verbosity: types.Level | None
    plugins: Sequence[Mapping[str, Any]] | None
    transforms: Sequence[str] | None
    extra_body: Mapping[str, Any] | None
    stream_idle_timeout: float | None
    merge_ready: bool
    include_response_headers: bool


class EmbeddingArguments(AccountArguments, total=False):
    """The arguments of both embedding classes."""

    model: str
    model_name: str
    """Another name of `model`."""
    dimensions: int | None
    query_input_type: str | None
    document_input_type: str | None
    extra_body: Mapping[str, Any] | None
