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
    cache: BaseCache | bool | None
    verbose: bool
    callbacks: Callbacks
    tags: list[str] | None
    metadata: dict[str, Any] | None
    custom_get_token_ids: Callable[[str], list[int]] | None
    rate_limiter: BaseRateLimiter | None
    disable_streaming: bool | Literal["tool_calling"]
    output_version: str | None
    profile: ModelProfile | None


class KiloEmbeddingsArguments(EmbeddingArguments, total=False):
    """The arguments of `KiloEmbeddings`."""

    batch_size: int
    chunk_size: int
    max_concurrency: int
    show_progress: bool
    show_progress_bar: bool
