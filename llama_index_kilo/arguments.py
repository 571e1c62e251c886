"""The arguments of the constructors as a caller writes them; see `kilo_gateway.settings.arguments`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.callbacks import CallbackManager
from llama_index.core.prompts import BasePromptTemplate
from llama_index.core.types import BaseOutputParser, PydanticProgramMode

from kilo_gateway.settings.arguments import ChatArguments, EmbeddingArguments


class KiloLLMArguments(ChatArguments, total=False):
    """The arguments of `KiloLLM`, LlamaIndex's included."""

    additional_kwargs: Mapping[str, Any]
    context_window: int | None
    is_function_calling_model: bool
    structured_output_method: Literal["function_calling", "json_schema"] | None
    strict: bool | None
    """True if tools and structured output must fit their schemas exactly."""
    callback_manager: CallbackManager
    """Handlers that are called for each event."""
    rate_limiter: Any
    """A limit on the number of requests."""
    system_prompt: str | None
    """Text before each conversation."""
    messages_to_prompt: Callable[[Sequence[ChatMessage]], str] | None
    """A function that makes a prompt of messages."""
    completion_to_prompt: Callable[[str], str] | None
    """A function that changes the prompt of a completion."""
    output_parser: BaseOutputParser | None
    """A parser of answers."""
    pydantic_program_mode: PydanticProgramMode
    """How structured answers are asked for."""
    query_wrapper_prompt: BasePromptTemplate | None
    """A prompt that is put around queries."""


class KiloEmbeddingArguments(EmbeddingArguments, total=False):
    """The arguments of `KiloEmbedding`, LlamaIndex's included."""

    embed_batch_size: int
    num_workers: int | None
    callback_manager: CallbackManager
    """Handlers that are called for each event."""
    embeddings_cache: Any
    """Store of vectors that are known already."""
    rate_limiter: Any
    """A limit on the number of requests."""
