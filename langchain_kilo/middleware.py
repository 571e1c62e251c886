"""Middleware for `langchain.agents.create_agent`: the mode of each model call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

from langchain_core.messages import HumanMessage, ToolMessage

try:
    from langchain.agents.middleware import AgentMiddleware, ModelRequest, ModelResponse
except ImportError as error:
    raise ImportError("langchain_kilo.middleware needs langchain: pip install langchain") from error

from langchain_kilo.chat_models import ChatKilo

Rule = Callable[[ModelRequest[Any]], str | None]
"""From the coming model call to its mode; None leaves the model's own mode."""


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
