"""The bodies of requests, without sending them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.messages import BaseMessage
from llama_index.core.base.llms.types import ChatMessage

import langchain_kilo.to_gateway
import llama_index_kilo.to_gateway
from kilo_gateway.call import Call
from kilo_gateway.interfaces.chat_completions import history, request


def body(call: Call) -> dict[str, Any]:
    """Return the body of a chat request."""
    return request.body(call)


def of_langchain(messages: Sequence[BaseMessage]) -> list[dict[str, Any]]:
    """Return LangChain messages as the gateway gets them."""
    return history.messages(langchain_kilo.to_gateway.conversation(messages))


def of_llama_index(messages: Sequence[ChatMessage]) -> list[dict[str, Any]]:
    """Return LlamaIndex messages as the gateway gets them."""
    return history.messages(llama_index_kilo.to_gateway.conversation(messages))


def sent_back(details: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return entries of reasoning as they go back: without the ids of OpenAI's items, which are not stored."""
    return [{k: v for k, v in entry.items() if not (k == "id" and str(v).startswith("rs_"))} for entry in details]
