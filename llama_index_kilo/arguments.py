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
    callback_manager: CallbackManager
    rate_limiter: Any
    system_prompt: str | None
    messages_to_prompt: Callable[[Sequence[ChatMessage]], str] | None
    completion_to_prompt: Callable[[str], str] | None
    output_parser: BaseOutputParser | None
    pydantic_program_mode: PydanticProgramMode
    query_wrapper_prompt: BasePromptTemplate | None


class KiloEmbeddingArguments(EmbeddingArguments, total=False):
    """The arguments of `KiloEmbedding`, LlamaIndex's included."""

    embed_batch_size: int
    num_workers: int | None
    callback_manager: CallbackManager
    embeddings_cache: Any
    rate_limiter: Any
