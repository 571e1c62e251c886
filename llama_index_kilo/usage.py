"""Tokens and cost of calls of `KiloLLM`, by served model."""

from __future__ import annotations

from typing import Any, Self
from weakref import WeakValueDictionary

from llama_index.core.callbacks.base_handler import BaseCallbackHandler
from llama_index.core.callbacks.schema import CBEventType, EventPayload
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events import BaseEvent
from llama_index.core.instrumentation.events.llm import LLMChatEndEvent, LLMCompletionEndEvent
from llama_index_instrumentation import get_dispatcher
from pydantic import PrivateAttr

from kilo_gateway.ledger import Ledger, Spent
from llama_index_kilo.embeddings import KiloEmbeddingUsageEvent


class KiloUsageHandler(BaseEventHandler, BaseCallbackHandler):
    """Adds up the usage of `KiloLLM` and `KiloEmbedding`.

    It counts everything inside a `with` block, or serves as an event or callback handler. `usage` is a
    `kilo_gateway.Ledger`: `usage.total`, `usage.by_model`, and a table when printed.
    LlamaIndex's events are process-wide: calls of other threads count too. As a handler of one
    `CallbackManager` it counts the calls of objects with that manager, without embeddings, whose callbacks report no
    usage. An answer that is reported in both ways counts once. Copies are the handler itself; in another process
    it starts from zero.

        with KiloUsageHandler() as used:
            query_engine.query(question)
        print(used.usage)
    """

    # The attributes and methods of a callback handler of LlamaIndex.
    event_starts_to_ignore: tuple[CBEventType, ...] = ()
    event_ends_to_ignore: tuple[CBEventType, ...] = ()

    _usage: Ledger = PrivateAttr(default_factory=Ledger)
    _counted: Any = PrivateAttr(default_factory=WeakValueDictionary)

    @property
    def usage(self) -> Ledger:
        """The sums so far."""
        return self._usage

    @classmethod
    def class_name(cls) -> str:
        """Return the name under which LlamaIndex knows the handler."""
        return "KiloUsageHandler"

    def __enter__(self) -> Self:
        """Count all calls from here on. Raises RuntimeError inside a block that is already counting."""
        if any(handler is self for handler in get_dispatcher().event_handlers):
            raise RuntimeError("this KiloUsageHandler is already active; create a new one for the nested block")
        get_dispatcher().add_event_handler(self)
        return self

    def __exit__(self, *error: object) -> None:
        """Stop counting."""
        handlers = get_dispatcher().event_handlers
        handlers[:] = [handler for handler in handlers if handler is not self]

    def handle(self, event: BaseEvent, **kwargs: Any) -> None:
        """Count the answer that an event reports."""
        if isinstance(event, LLMChatEndEvent | LLMCompletionEndEvent):
            self._count(event.response)
        elif isinstance(event, KiloEmbeddingUsageEvent):
            self._usage.add(event.model, event.spent)

    def on_event_start(
        self,
        event_type: CBEventType,
        payload: dict[str, Any] | None = None,
        event_id: str = "",
        parent_id: str = "",
        **kwargs: Any,
    ) -> str:
        """Do nothing: the usage of a call is known at its end."""
        return event_id

    def on_event_end(
        self, event_type: CBEventType, payload: dict[str, Any] | None = None, event_id: str = "", **kwargs: Any
    ) -> None:
        """Count the answer that an event reports."""
        reported = payload or {}
        if event_type is CBEventType.LLM:
            self._count(reported.get(EventPayload.RESPONSE) or reported.get(EventPayload.COMPLETION))

    def start_trace(self, trace_id: str | None = None) -> None:
        """Do nothing."""

    def end_trace(self, trace_id: str | None = None, trace_map: dict[str, list[str]] | None = None) -> None:
        """Do nothing."""

    def _count(self, response: Any) -> None:
        facts = getattr(response, "additional_kwargs", {})
        if "requested_model" not in facts or self._counted.get(id(response)) is response:
            return  # another LLM's, or reported a second time
        self._counted[id(response)] = response
        counts = ("prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens")
        self._usage.add(facts["model"], Spent.one_call(facts.get("cost"), **{n: facts.get(n, 0) for n in counts}))

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), ()
