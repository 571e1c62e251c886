"""Tokens and cost of calls of `ChatKilo`, by served model."""

from __future__ import annotations

from contextvars import ContextVar, Token
from typing import Any, Self

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, LLMResult
from langchain_core.tracers.context import register_configure_hook

from kilo_gateway.ledger import Ledger, Spent
from langchain_kilo.from_gateway import PROVIDER

_CURRENT: ContextVar[KiloUsageCallback | None] = ContextVar("kilo_usage", default=None)


class KiloUsageCallback(BaseCallbackHandler):
    """Adds up the usage of `ChatKilo` and `KiloEmbeddings`, as a callback or for everything inside a `with` block.

    `usage` is a `kilo_gateway.Ledger`: `usage.total`, `usage.by_model`, and a table when printed.

        with KiloUsageCallback() as used:
            agent.invoke(question)
        print(used.usage)
    """

    def __init__(self) -> None:
        super().__init__()
        self.usage = Ledger()
        self._token: Token[KiloUsageCallback | None] | None = None
        self._outer: KiloUsageCallback | None = None

    def __enter__(self) -> Self:
        """Count all calls of this context, which an outer block then counts too."""
        if self._token is not None:
            raise RuntimeError("this KiloUsageCallback is already active; create a new one for the nested block")
        self._outer = _CURRENT.get()
        self._token = _CURRENT.set(self)
        return self

    def __exit__(self, *error: object) -> None:
        """Stop counting."""
        if self._token is not None:
            _CURRENT.reset(self._token)
        self._token = self._outer = None

    def on_llm_end(self, response: LLMResult, **kwargs: Any) -> None:
        """Count an answer."""
        for generation in (choices[0] for choices in response.generations if choices):
            # The first of several choices carries the usage of all.
            message = generation.message if isinstance(generation, ChatGeneration) else None
            if isinstance(message, AIMessage) and message.response_metadata.get("model_provider") == PROVIDER:
                # Core marks an answer from LangChain's cache with the total_cost 0.
                usage: Any = message.usage_metadata or {}
                if "total_cost" not in usage:
                    self._count(message)

    def _count(self, message: AIMessage) -> None:
        self._add(message.response_metadata["model_name"], _spent(message))

    def _add(self, model: str, spent: Spent) -> None:
        self.usage.add(model, spent)
        if self._outer is not None:
            self._outer._add(model, spent)

    def __repr__(self) -> str:
        return f"KiloUsageCallback({self.usage.total})"


def count(model: str, spent: Spent) -> None:
    """Count a call that has no callbacks of LangChain, as embeddings have none."""
    if (used := _CURRENT.get()) is not None:
        used._add(model, spent)


def _spent(message: AIMessage) -> Spent:
    usage: Any = message.usage_metadata or {}
    return Spent.one_call(
        message.response_metadata.get("cost"),
        prompt_tokens=usage.get("input_tokens", 0),
        completion_tokens=usage.get("output_tokens", 0),
        cached_tokens=usage.get("input_token_details", {}).get("cache_read", 0),
        reasoning_tokens=usage.get("output_token_details", {}).get("reasoning", 0),
    )


register_configure_hook(_CURRENT, inheritable=True)
