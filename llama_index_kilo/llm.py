"""`KiloLLM`: the Kilo AI Gateway as a LlamaIndex LLM."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Unpack

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
    CompletionResponse,
    CompletionResponseAsyncGen,
    CompletionResponseGen,
    LLMMetadata,
    MessageRole,
    ToolCallBlock,
)
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback
from llama_index.core.llms.llm import ToolSelection
from pydantic import ConfigDict, Field

import kilo_gateway as kilo
from kilo_gateway.call import Call, as_tool_choice
from kilo_gateway.conversation import ToolCall, broken_arguments
from kilo_gateway.models import known as known_models
from kilo_gateway.models import prices
from kilo_gateway.reply import Reply
from kilo_gateway.settings.chat import GatewaySettings
from kilo_gateway.settings.types import ExtraBody
from llama_index_kilo import from_gateway
from llama_index_kilo.streams import AsyncResponses, atraced, traced
from llama_index_kilo.structured import StructuredPrediction, exactly, with_output_format
from llama_index_kilo.to_gateway import calls_beside_blocks, conversation

if TYPE_CHECKING:
    from llama_index.core.tools.types import BaseTool

    from llama_index_kilo.arguments import KiloLLMArguments


class KiloLLM(StructuredPrediction, GatewaySettings):
    """Use any model behind the Kilo AI Gateway in query engines, chat engines and agents.

    `KiloLLM()` needs no key: it asks the free tier. `KiloLLM(tier="frontier", mode="plan")` lets the
    gateway choose the model; `KiloLLM(model="anthropic/claude-sonnet-4.6")` names one. Every field of
    `kilo_gateway.GatewaySettings` is an argument here, and routing and sampling fields are also call
    keywords: `llm.chat(messages, mode="code", temperature=0)`.

    Responses carry tokens, `cost` in USD (if the gateway reports it), finish reason, served model,
    requested model, tier and mode in `additional_kwargs`, and the gateway's own JSON in `raw`; where its usage
    has other names, `raw` has the totals too that LlamaIndex's token counter reads.
    Errors are `kilo_gateway.KiloError`s and also the openai package's classes. LlamaIndex's events show the
    keywords of a call, so secret headers belong into `default_headers`, or their values into `pydantic.SecretStr`.
    """

    model_config = ConfigDict(hide_input_in_errors=True, protected_namespaces=(), arbitrary_types_allowed=True)

    additional_kwargs: ExtraBody = Field(default_factory=dict)
    """Further request fields; any other field and any call keyword override them."""
    context_window: int | None = Field(default=None, gt=0)
    """Tokens that prompt and answer may have together; None: the model's own, if it is known."""
    is_function_calling_model: bool = True
    """True if agents may offer tools to the model."""
    structured_output_method: Literal["function_calling", "json_schema"] | None = None
    """How `structured_predict` and `as_structured_llm` ask for an object: by a forced tool, or by the model's own
    JSON mode; None: what is known of the model, else a tool."""

    if TYPE_CHECKING:  # pydantic's own constructor stays, which takes the same

        def __init__(self, **arguments: Unpack[KiloLLMArguments]) -> None:
            """Check the arguments. Raises pydantic.ValidationError, a ValueError."""

    @classmethod
    def class_name(cls) -> str:
        """Return the name under which the class is serialized."""
        return "KiloLLM"

    @property
    def model_name(self) -> str:
        """The model id that is requested."""
        return self.model_id

    @property
    def metadata(self) -> LLMMetadata:
        """The facts that LlamaIndex plans prompts with; never uses the network.

        `num_output` is `max_tokens`, but at most half the window: LlamaIndex subtracts it from the size of a prompt.
        """
        window = self.context_window or known_models.context_window(self.model_id, base_url=self.base_url)
        return LLMMetadata(
            context_window=window,
            num_output=min(self.max_tokens, window // 2) if self.max_tokens else -1,
            is_chat_model=True,
            is_function_calling_model=self.is_function_calling_model,
            model_name=self.model_id,
        )

    def to_payload(self) -> dict[str, Any]:
        """Return the fields that traces may show of this LLM; no secrets."""
        shown = {
            "model": self.model_id,
            "tier": self.tier,
            "mode": self.mode,
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
        }
        return {"class_name": self.class_name(), **self.metadata.model_dump(), **shown}

    def estimate_cost(
        self, messages: Sequence[ChatMessage] | str, max_tokens: int | None = None, **kwargs: Any
    ) -> float | None:
        """Return the most that a call may cost in USD, or None if it is not known."""
        if max_tokens is not None:
            kwargs["max_tokens"] = max_tokens
        chat = _as_messages(messages) if isinstance(messages, str) else messages
        return prices.estimate(self._call(chat, kwargs, stream=False), base_url=self.base_url)

    @llm_chat_callback()
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Answer `messages`."""
        return self._chat(messages, kwargs)

    @llm_chat_callback()
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Answer `messages`."""
        return await self._achat(messages, kwargs)

    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        """Answer `messages` piece by piece; closing the generator closes the connection."""
        source = self._stream_chat(messages, kwargs)
        return traced(llm_chat_callback, self, messages, source, source, **kwargs)

    async def astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseAsyncGen:
        """Answer `messages` piece by piece; closing the generator closes the connection."""
        source = self._astream_chat(messages, kwargs)
        responses = (response async for response in source)
        return await atraced(llm_chat_callback, self, messages, responses, source, **kwargs)

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """Answer a prompt, sent as one user message."""
        return from_gateway.completion(self._chat(_as_messages(prompt), kwargs))

    @llm_completion_callback()
    async def acomplete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """Answer a prompt, sent as one user message."""
        return from_gateway.completion(await self._achat(_as_messages(prompt), kwargs))

    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponseGen:
        """Answer a prompt piece by piece, sent as one user message."""
        source = self._stream_chat(_as_messages(prompt), kwargs)
        completions = (from_gateway.completion(response) for response in source)
        return traced(llm_completion_callback, self, prompt, completions, source, **kwargs)

    async def astream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponseAsyncGen:
        """Answer a prompt piece by piece, sent as one user message."""
        source = self._astream_chat(_as_messages(prompt), kwargs)
        completions = (from_gateway.completion(response) async for response in source)
        return await atraced(llm_completion_callback, self, prompt, completions, source, **kwargs)

    # The endpoints above count and trace a call; these do it, so that no endpoint counts another's call again.

    def _call(self, messages: Sequence[ChatMessage], kwargs: dict[str, Any], *, stream: bool) -> Call:
        keywords = with_output_format(kwargs)
        call = self.prepare(conversation(messages), stream=stream, defaults=self.additional_kwargs, keywords=keywords)
        if call.answers != 1:
            raise ValueError(
                f"n={call.answers!r}: a response of LlamaIndex holds one answer; send the call once for each answer"
            )
        return call

    def _chat(self, messages: Sequence[ChatMessage], kwargs: dict[str, Any]) -> ChatResponse:
        call = self._call(messages, kwargs, stream=False)
        return from_gateway.response_of(kilo.chat.create(self, call), call)

    async def _achat(self, messages: Sequence[ChatMessage], kwargs: dict[str, Any]) -> ChatResponse:
        call = self._call(messages, kwargs, stream=False)
        return from_gateway.response_of(await kilo.chat.acreate(self, call), call)

    def _stream_chat(self, messages: Sequence[ChatMessage], kwargs: dict[str, Any]) -> ChatResponseGen:
        call = self._call(messages, kwargs, stream=True)
        reply, deltas = Reply(), kilo.chat.stream(self, call)
        try:
            for delta in deltas:
                yield from_gateway.step(reply, delta, call)
        finally:
            deltas.close()

    def _astream_chat(self, messages: Sequence[ChatMessage], kwargs: dict[str, Any]) -> AsyncResponses:
        return AsyncResponses(self, lambda: self._call(messages, kwargs, stream=True))

    def _prepare_chat_with_tools(
        self,
        tools: Sequence[BaseTool],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        verbose: bool = False,
        allow_parallel_tool_calls: bool = False,
        tool_required: bool = False,
        **kwargs: Any,
    ) -> dict[str, Any]:
        messages = list(chat_history or [])
        if user_msg is not None:
            messages.append(
                ChatMessage(role=MessageRole.USER, content=user_msg) if isinstance(user_msg, str) else user_msg
            )
        if not tools:
            kwargs.pop("tool_choice", None)
            return {"messages": messages, **kwargs}
        offered = [tool.metadata.to_openai_tool(skip_length_check=True) for tool in tools]
        offered = [{**tool, "function": exactly(tool["function"], self.strict)} for tool in offered]
        choice = kwargs.pop("tool_choice", None)
        if choice is None:
            choice = "required" if tool_required else "auto"
        parallel = allow_parallel_tool_calls if self.parallel_tool_calls is None else self.parallel_tool_calls
        return {
            "messages": messages,
            "tools": offered,
            "tool_choice": as_tool_choice(choice, [tool["function"]["name"] for tool in offered]),
            # from_gateway.py keeps the first call only where this is False: not every model honours the request.
            "parallel_tool_calls": parallel,
            **kwargs,
        }

    def _is_natively_structured(self, call: Mapping[str, Any]) -> bool:
        if self.structured_output_method is not None:
            return self.structured_output_method == "json_schema"
        info = known_models.known(self.requested_model(call), base_url=self.base_url)
        return info is not None and info.supports_structured_outputs is True

    def get_tool_calls_from_response(
        self, response: ChatResponse, error_on_no_tool_call: bool = True, **kwargs: Any
    ) -> list[ToolSelection]:
        """Return the calls in a response, also of one that is still streaming, or of another LLM class.

        While a response streams, arguments that are not yet a JSON object appear as `{}`. If they are not one
        when it is complete, they appear as text in `invalid_arguments`, beside a name with which Python calls no
        tool: it is not run on guessed arguments, and the model gets an error. Raises ValueError if there is no call and
        `error_on_no_tool_call` is set.
        """
        blocks = [block for block in response.message.blocks if isinstance(block, ToolCallBlock)]
        foreign = [] if blocks else list(calls_beside_blocks(response.message))
        # from_gateway.py reports the requested model for whole answers only.
        complete = bool(foreign) or "requested_model" in response.additional_kwargs
        calls = [
            ToolSelection(
                tool_id=block.tool_call_id or "",
                tool_name=block.tool_name,
                tool_kwargs=_arguments(block, complete=complete),
            )
            for block in blocks or foreign
        ]
        if not calls and error_on_no_tool_call:
            raise ValueError(
                "The model called no tool; it said: "
                f"{(response.message.content or '')[:200]!r}. Pass tool_required=True to force a call"
            )
        return calls


def _arguments(block: ToolCallBlock, *, complete: bool) -> dict[str, Any]:
    if isinstance(block.tool_kwargs, dict):
        return block.tool_kwargs
    parsed = ToolCall("", "", block.tool_kwargs).parsed()
    if parsed is None and complete:
        # Python calls no method with a second `self`, so that not even a tool with **kwargs is run. With one name
        # alone, LlamaIndex would call a tool of one parameter with its value.
        return {**broken_arguments(block.tool_kwargs), "self": "the tool is not run"}
    return parsed or {}


def _as_messages(prompt: str) -> list[ChatMessage]:
    return [ChatMessage(role=MessageRole.USER, content=prompt)]
