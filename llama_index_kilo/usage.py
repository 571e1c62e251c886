"""What calls of `KiloLLM` have used: tokens and cost by served model."""

from __future__ import annotations

from typing import Any, Self

from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events import BaseEvent
from llama_index.core.instrumentation.events.llm import LLMChatEndEvent, LLMCompletionEndEvent
from llama_index_instrumentation import get_dispatcher
from pydantic import PrivateAttr

from kilo_gateway.ledger import Ledger, Spent


class KiloUsageHandler(BaseEventHandler):
    """Adds up what `KiloLLM` uses, for everything inside a `with` block or as an event handler.

    `usage` is a `kilo_gateway.Ledger`: `usage.total`, `usage.by_model`, and a table when printed.
    LlamaIndex's events are process-wide: calls of other threads count too.

        with KiloUsageHandler() as used:
            query_engine.query(question)
        print(used.usage)
    """

    _usage: Ledger = PrivateAttr(default_factory=Ledger)

    @property
    def usage(self) -> Ledger:
        """The sums so far."""
        return self._usage

    @classmethod
    def class_name(cls) -> str:
        """Return the name under which LlamaIndex knows the handler."""
        return "KiloUsageHandler"

    def __enter__(self) -> Self:
        """Count all calls from here on."""
        get_dispatcher().add_event_handler(self)
        return self

    def __exit__(self, *error: object) -> None:
        """Stop counting."""
        handlers = get_dispatcher().event_handlers
        handlers[:] = [handler for handler in handlers if handler is not self]

    def handle(self, event: BaseEvent, **kwargs: Any) -> None:
        """Count an answer."""
        if not isinstance(event, LLMChatEndEvent | LLMCompletionEndEvent) or event.response is None:
            return
        told = event.response.additional_kwargs
        if "requested_model" not in told:
            return  # another LLM's
        cost = told.get("cost")
        counts = ("prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens")
        spent = Spent(calls=1, cost=cost or 0.0, unpriced=cost is None, **{n: told.get(n, 0) for n in counts})
        self._usage.add(told["model"], spent)
