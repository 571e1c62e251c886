"""Define an LLM in memory that fulfils the contract, except for the defects that a test sets."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import AsyncGenerator, Generator, Sequence
from typing import Any

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    LLMMetadata,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.llm import ToolSelection
from pydantic import Field, PrivateAttr

KEY = "scripted-s3cr3t"
ARGUMENTS = {
    "multiply": '{"a": 6, "b": 7}',
    "greet": '{"name": "Ada"}',
    "City": '{"name": "Oslo", "population": 700000}',
}
USAGE = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
THOUGHT = "The user asks about rivers"


class Server:
    """The requests to the scripted LLM; its copies share them, as they would share a server."""

    requests: list[list[dict[str, Any]]] = []  # noqa: RUF012 -- one server for all


class ScriptedLLM(FunctionCallingLLM):
    """An LLM with fixed answers; `defects` names its errors."""

    defects: frozenset[str] = Field(default=frozenset(), exclude=True)
    thinks: bool = False
    fails: bool = False
    breaks_arguments: bool = False
    key: str = Field(default=KEY, exclude=True, repr=False)
    shown_key: str | None = None
    _client: Any = PrivateAttr(default=None)
    _loop: Any = PrivateAttr(default=None)

    @classmethod
    def class_name(cls) -> str:
        return "ScriptedLLM"

    @property
    def metadata(self) -> LLMMetadata:
        if "metadata asks" in self.defects:
            Server.requests.append([])
        return LLMMetadata(model_name="scripted", is_chat_model=True, is_function_calling_model=True)

    def __getstate__(self) -> dict[str, Any]:
        if "not picklable" in self.defects:
            raise TypeError("cannot pickle '_thread.RLock' object")
        return dict(super().__getstate__())

    def to_payload(self) -> dict[str, Any]:
        shown = {"key": self.key} if "key in payload" in self.defects else {}
        return {"class_name": self.class_name(), **shown}

    def to_dict(self, **kwargs: Any) -> dict[str, Any]:
        # Earlier versions of LlamaIndex add this to their events.
        return {**super().to_dict(**kwargs), **self.to_payload()}

    # The answers.

    def _answer(self, messages: Sequence[ChatMessage], kwargs: dict[str, Any]) -> list[Any]:
        """Return the blocks of the whole answer."""
        if "messages changed" in self.defects:
            messages[0].additional_kwargs["seen"] = True
        if "key in logs" in self.defects:
            logging.getLogger("scripted").debug("asking with %s", self.key)
        if "client kept" in self.defects:
            self._client = threading.Lock()
        if self.system_prompt and "system prompt in chat" in self.defects:
            messages = self._extend_messages(list(messages))
        Server.requests += [[_wire(m, "thoughts lost" in self.defects) for m in messages]] * (
            2 if "asks twice" in self.defects else 1
        )
        names = [t.metadata.name for t in kwargs.get("tools", ()) if messages[-1].role.value != "tool"]
        if kwargs.get("tool_choice") == "auto":
            names = [name for name in names if f"{name}(" in (messages[-1].content or "")]
        if kwargs.get("one_call"):
            names = names[:1]
        if "second call lost" in self.defects:
            names = names[:1]
        blocks: list[Any] = [ThinkingBlock(content=THOUGHT)] if self.thinks else []
        end = -1 if self.breaks_arguments else None
        calls: list[Any] = [
            ToolCallBlock(tool_call_id=f"c{position}", tool_name=name, tool_kwargs=ARGUMENTS[name][:end])
            for position, name in enumerate(names)
        ]
        return [*blocks, *(calls or [TextBlock(text="Rivers flow to the sea")])]

    def _steps(self, messages: Sequence[ChatMessage], kwargs: dict[str, Any]) -> Generator[ChatResponse]:
        """Yield the answer piece by piece, for sync and async streams."""
        blocks = self._answer(messages, kwargs)
        thoughts = [b for b in blocks if isinstance(b, ThinkingBlock)]
        calls = [b for b in blocks if isinstance(b, ToolCallBlock)]
        if thoughts:
            where = "message" if "thoughts on the message" in self.defects else "response"
            yield _response(thoughts, thought=THOUGHT, where=where)
        text = ""
        shared = TextBlock(text="")
        message = ChatMessage(role="assistant", blocks=[shared])
        for word in [] if calls else ["Rivers", " flow", " to", " the", " sea"]:
            text += word
            kept = [ThinkingBlock(content=b.content) for b in thoughts]
            if "blocks shared" in self.defects:
                shared.text = text
                yield ChatResponse(message=message, delta=word)
            else:
                shown = word if "not cumulative" in self.defects else text
                parts = (
                    [TextBlock(text=shown[:2]), TextBlock(text=shown[2:])] if "many blocks" in self.defects else None
                )
                yield _response([*kept, *(parts or [TextBlock(text=shown)])], delta=word)
            if self.fails and "fails in silence" not in self.defects:
                raise RuntimeError("the model broke off")
            if self.fails:
                return
        if calls:
            name = "" if "nameless calls" in self.defects else calls[0].tool_name
            yield _response([*thoughts, ToolCallBlock(tool_call_id="c0", tool_name=name, tool_kwargs='{"a"')])
            yield _response([*thoughts, *calls], usage=True)
        elif "no usage in streams" not in self.defects and "blocks shared" not in self.defects:
            yield _response([*(ThinkingBlock(content=b.content) for b in thoughts), TextBlock(text=text)], usage=True)

    def _whole(self, messages: Sequence[ChatMessage], kwargs: dict[str, Any]) -> ChatResponse:
        if self.fails and "fails in silence" not in self.defects:
            raise RuntimeError("the model broke off")
        return _response(self._answer(messages, kwargs), usage=True)

    # The eight endpoints.

    @llm_chat_callback()
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        return self._whole(messages, kwargs)

    @llm_chat_callback()
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        self._enter_loop()
        return self._whole(messages, kwargs)

    @llm_chat_callback()
    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> Generator[ChatResponse]:
        return self._steps(messages, kwargs)

    @llm_chat_callback()
    async def astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> AsyncGenerator[ChatResponse]:
        self._enter_loop()

        async def gen() -> AsyncGenerator[ChatResponse]:
            for number, response in enumerate(self._steps(messages, kwargs)):
                if number or "first async delta lost" not in self.defects:
                    yield response

        return gen()

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        ask = self.chat if "counted twice" in self.defects else lambda messages: self._whole(messages, kwargs)
        return _completion(ask([ChatMessage(content=prompt)]))

    @llm_completion_callback()
    async def acomplete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        self._enter_loop()
        return _completion(self._whole([ChatMessage(content=prompt)], kwargs))

    @llm_completion_callback()
    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Generator[CompletionResponse]:
        return (_completion(response) for response in self._steps([ChatMessage(content=prompt)], kwargs))

    @llm_completion_callback()
    async def astream_complete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> AsyncGenerator[CompletionResponse]:
        self._enter_loop()

        async def gen() -> AsyncGenerator[CompletionResponse]:
            for response in self._steps([ChatMessage(content=prompt)], kwargs):
                yield _completion(response)

        return gen()

    def _enter_loop(self) -> None:
        loop = asyncio.get_running_loop()
        if "bound to a loop" in self.defects and self._loop not in (None, loop):
            raise RuntimeError("Event loop is closed")
        if "bound to a loop" in self.defects:
            self._loop = loop

    # Tools.

    def _prepare_chat_with_tools(
        self,
        tools: Sequence[Any],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        verbose: bool = False,
        allow_parallel_tool_calls: bool = False,
        tool_required: bool = False,
        **kwargs: Any,
    ) -> dict[str, Any]:
        messages = chat_history if "history extended" in self.defects else list(chat_history or [])
        messages = [] if messages is None else messages
        if user_msg is not None:
            messages.append(ChatMessage(content=user_msg) if isinstance(user_msg, str) else user_msg)
        if not tools and (tool_required or "tool_choice" in kwargs) and "choice without tools" in self.defects:
            raise ValueError("tool_choice needs tools")
        one_call = not allow_parallel_tool_calls and "parallel calls kept" not in self.defects
        choice = "required" if tool_required and "demand ignored" not in self.defects else "auto"
        return {"messages": messages, "tools": tools, "tool_choice": choice, "one_call": one_call}

    def get_tool_calls_from_response(
        self, response: ChatResponse, error_on_no_tool_call: bool = True, **kwargs: Any
    ) -> list[ToolSelection]:
        selections = []
        for block in response.message.blocks:
            if isinstance(block, ToolCallBlock):
                try:
                    arguments = json.loads(str(block.tool_kwargs))
                except ValueError:
                    if "half arguments raise" in self.defects:
                        raise
                    arguments = {"invalid": block.tool_kwargs} if response.raw else {}
                selections.append(
                    ToolSelection(tool_id=block.tool_call_id, tool_name=block.tool_name, tool_kwargs=arguments)
                )
        if not selections and error_on_no_tool_call:
            raise ValueError("no call")
        return selections


class NamelessLLM(ScriptedLLM):
    """An LLM class without its own `class_name`."""


def _response(
    blocks: Sequence[Any], *, delta: str = "", usage: bool = False, thought: str = "", where: str = "response"
) -> ChatResponse:
    calls = [b for b in blocks if isinstance(b, ToolCallBlock)]
    extra: dict[str, Any] = {}
    if calls:
        extra["tool_calls"] = [
            {"id": c.tool_call_id, "function": {"name": c.tool_name, "arguments": c.tool_kwargs}} for c in calls
        ]
    thinking = {"thinking_delta": thought} if thought else {}
    return ChatResponse(
        message=ChatMessage(
            role="assistant", blocks=list(blocks), additional_kwargs=extra | (thinking if where == "message" else {})
        ),
        delta=delta,
        raw={"usage": USAGE} if usage else {},
        additional_kwargs=thinking if where == "response" else {},
    )


def _completion(response: ChatResponse) -> CompletionResponse:
    return CompletionResponse(text=response.message.content or "", delta=response.delta, raw=response.raw)


def _wire(message: ChatMessage, thoughts_lost: bool) -> dict[str, Any]:
    wire: dict[str, Any] = {"role": message.role.value, "content": message.content}
    for block in message.blocks:
        if isinstance(block, ThinkingBlock) and not thoughts_lost:
            wire["reasoning"] = block.content
        if isinstance(block, ToolCallBlock):
            function = {"name": block.tool_name, "arguments": block.tool_kwargs}
            wire.setdefault("tool_calls", []).append({"id": block.tool_call_id, "function": function})
    if message.additional_kwargs.get("tool_call_id"):
        wire["tool_call_id"] = message.additional_kwargs["tool_call_id"]
    return wire
