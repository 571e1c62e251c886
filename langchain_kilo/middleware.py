"""Middleware for `langchain.agents.create_agent`: the mode of each model call, and marks for the prompt cache."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, Literal, TypeVar, cast

from langchain_core.messages import BaseMessage, HumanMessage, ToolMessage
from langchain_core.tools import BaseTool

try:
    from langchain.agents.middleware import AgentMiddleware, ModelRequest, ModelResponse
except ImportError as error:
    raise ImportError("langchain_kilo.middleware needs langchain: pip install langchain") from error

from langchain_kilo.chat_models import ChatKilo

Message = TypeVar("Message", bound=BaseMessage)
Rule = Callable[[ModelRequest[Any]], str | None]
"""From the coming model call to its mode; None leaves the model's own mode."""

_MARKABLE: Final = frozenset({"text", "image", "image_url", "file"})
"""Types of blocks that may carry the mark; an empty text may not."""


def plan_then_code(request: ModelRequest[Any]) -> str:
    """Return `plan` until the first tool result since the user last spoke, then `code`."""
    for message in reversed(request.messages):
        if isinstance(message, ToolMessage):
            return "code"
        if isinstance(message, HumanMessage):
            break
    return "plan"


class KiloModeMiddleware(AgentMiddleware):
    """Sets the mode of each call that an agent makes to a `ChatKilo`.

    Modes choose the model on tier `frontier`; other models know no mode and are left alone, so a
    ModelFallbackMiddleware belongs before this one. The rule is by default `plan_then_code`; give a function
    of the model request, or the name of a field of the agent's state that holds the mode:

        create_agent(ChatKilo(tier="frontier"), tools, middleware=[KiloModeMiddleware()])
        KiloModeMiddleware(lambda request: "debug")
        KiloModeMiddleware(field="mode")
    """

    def __init__(self, rule: Rule | None = None, *, field: str | None = None) -> None:
        super().__init__()
        if rule is not None and field is not None:
            raise ValueError(f"rule and field={field!r} exclude each other: give one of the two")
        self._rule: Rule = rule or plan_then_code
        if field is not None:
            self._rule = lambda request: cast("dict[str, Any]", request.state).get(field)

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any]:
        """Run the call in the mode of the rule."""
        return handler(self._in_mode(request))

    async def awrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]]
    ) -> ModelResponse[Any]:
        """Run the call in the mode of the rule."""
        return await handler(self._in_mode(request))

    def _in_mode(self, request: ModelRequest[Any]) -> ModelRequest[Any]:
        mode = self._rule(request) if isinstance(request.model, ChatKilo) else None
        return request if mode is None else request.override(model_settings={**request.model_settings, "mode": mode})


class KiloPromptCachingMiddleware(AgentMiddleware):
    """Marks system prompt, tools and newest message for the provider's prompt cache.

    Claude and some other models read a marked prompt from the cache at a tenth of its price. Marks are set on Chat
    Completions and Messages; on Responses the gateway sets them itself. `ttl` is "5m" or "1h".

        create_agent(ChatKilo(model="anthropic/claude-sonnet-4.6"), tools, middleware=[KiloPromptCachingMiddleware()])
    """

    def __init__(self, ttl: Literal["5m", "1h"] = "5m") -> None:
        super().__init__()
        if ttl not in ("5m", "1h"):
            raise ValueError(f"ttl={ttl!r} must be '5m' or '1h'")
        self._mark = {"type": "ephemeral"} if ttl == "5m" else {"type": "ephemeral", "ttl": ttl}

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any]:
        """Run the call with a marked prompt."""
        return handler(self._marked(request))

    async def awrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]]
    ) -> ModelResponse[Any]:
        """Run the call with a marked prompt."""
        return await handler(self._marked(request))

    def _marked(self, request: ModelRequest[Any]) -> ModelRequest[Any]:
        if not isinstance(request.model, ChatKilo):
            return request
        if request.model_settings.get("api", request.model.api) not in ("completions", "messages"):
            return request
        changed: dict[str, Any] = {}
        if request.system_message is not None:
            changed["system_message"] = self._with_mark(request.system_message)
        if request.messages:
            changed["messages"] = [*request.messages[:-1], self._with_mark(request.messages[-1])]
        if request.tools and isinstance(last := request.tools[-1], BaseTool):
            extras = {**(last.extras or {}), "cache_control": self._mark}
            changed["tools"] = [*request.tools[:-1], last.model_copy(update={"extras": extras})]
        return request.override(**changed) if changed else request

    def _with_mark(self, message: Message) -> Message:
        """Return a copy of a message whose last text or medium has the mark."""
        content = [{"type": "text", "text": message.content}] if isinstance(message.content, str) else message.content
        blocks: list[Any] = [dict(block) if isinstance(block, dict) else block for block in content]
        for block in reversed(blocks):
            if isinstance(block, dict) and block.get("type") in _MARKABLE and block.get("text") != "":
                block["cache_control"] = self._mark
                return message.model_copy(update={"content": blocks})
        return message
