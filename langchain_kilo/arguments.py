"""The arguments of the constructors as a caller writes them; see `kilo_gateway.settings.arguments`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from langchain_core.caches import BaseCache
from langchain_core.callbacks import Callbacks
from langchain_core.language_models import ModelProfile
from langchain_core.rate_limiters import BaseRateLimiter

from kilo_gateway.settings.arguments import ChatArguments, EmbeddingArguments


class ChatKiloArguments(ChatArguments, total=False):
    """The arguments of `ChatKilo`, LangChain's included."""

    streaming: bool
    model_kwargs: Mapping[str, Any]
    name: str | None
    """Name of the model in traces."""
    cache: BaseCache | bool | None
    """Cache of answers; True: the global one, None: the global one if there is one, False: none."""
    verbose: bool
    """True if answers are printed."""
    callbacks: Callbacks
    """Handlers that are called for each run of this model."""
    tags: list[str] | None
    """Tags of the runs of this model."""
    metadata: dict[str, Any] | None
    """Metadata of the runs of this model."""
    custom_get_token_ids: Callable[[str], list[int]] | None
    """A function that counts tokens."""
    rate_limiter: BaseRateLimiter | None
    """A limit on the number of requests."""
    disable_streaming: bool | Literal["tool_calling"]
    """True if streams ask for whole answers; "tool_calling": only calls with tools."""
    output_version: str | None
    """Format of the content of messages: "v0" or "v1"."""
    profile: ModelProfile | None
    """Facts about the model; None: those that are known."""


class KiloEmbeddingsArguments(EmbeddingArguments, total=False):
    """The arguments of `KiloEmbeddings`."""

    batch_size: int
    chunk_size: int
    """Another name of `batch_size`."""
    max_concurrency: int
    show_progress: bool
    show_progress_bar: bool
    """Another name of `show_progress`."""
