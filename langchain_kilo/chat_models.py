"""`ChatKilo`: the Kilo AI Gateway as a LangChain chat model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any, Self, Unpack

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, BaseRunManager, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LangSmithParams, LanguageModelInput, ModelProfile
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.messages.utils import count_tokens_approximately
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.runnables.config import ensure_config
from langchain_core.utils.pydantic import TypeBaseModel
from pydantic import ConfigDict, Field, model_validator

import kilo_gateway as kilo
from kilo_gateway.call import Call, as_tool_choice
from kilo_gateway.models import prices
from kilo_gateway.reply import Reply
from kilo_gateway.settings.chat import GatewaySettings
from kilo_gateway.settings.keys import KeyFunction
from kilo_gateway.settings.types import ExtraBody, SecretFromEnv, revealed
from langchain_kilo import from_gateway
from langchain_kilo.keywords import shown, with_output_format
from langchain_kilo.profiles import known_profile
from langchain_kilo.to_gateway import conversation
from langchain_kilo.translation import langchain_errors

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool  # 4 ms, which the first ChatKilo() need not take

    from langchain_kilo.arguments import ChatKiloArguments
    from langchain_kilo.binding import ChatKiloBinding
    from langchain_kilo.structured import Method


class _TraceParams(LangSmithParams, total=False):
    """LangChain's facts about a call for traces, and the gateway's own one."""

    kilo_mode: str


class ChatKilo(BaseChatModel, GatewaySettings):
    """Chat with any model behind the Kilo AI Gateway.

    `ChatKilo()` needs no key: it asks the free tier. `ChatKilo(tier="frontier", mode="plan")` lets the
    gateway choose the model; `ChatKilo(model="anthropic/claude-sonnet-4.6")` names one. Every field of
    `kilo_gateway.GatewaySettings` is an argument here, and routing and sampling fields are also call
    keywords: `llm.invoke(text, mode="code", temperature=0)`.

    In a LangGraph run with a `thread_id`, a digest of it is the `task_id`, so that the gateway's prompt
    cache and free-tier model follow the conversation; `task_id=""` turns that off.

    With `n=2`, `generate` returns each answer as a generation of its own; `invoke` and streams return the
    first, with the others apart in `additional_kwargs["choices"]`.

    Answers carry `usage_metadata` and, in `response_metadata`, the served model, the requested model,
    tier, mode, provider, generation id, finish reason and, if the gateway reports it, `cost` in USD.
    Errors are `kilo_gateway.KiloError`s, and also the openai package's classes and LangChain's `ModelError`s.
    """

    model_config = ConfigDict(hide_input_in_errors=True, protected_namespaces=(), arbitrary_types_allowed=True)

    streaming: bool = False
    """True if `invoke` streams internally, for token callbacks."""
    model_kwargs: ExtraBody = Field(default_factory=dict)
    """Further request fields; any other field and any call keyword override them."""

    if TYPE_CHECKING:  # pydantic's own constructor stays, which takes the same

        def __init__(self, **arguments: Unpack[ChatKiloArguments]) -> None:
            """Check the arguments. Raises pydantic.ValidationError, a ValueError."""

    @model_validator(mode="after")
    def _set_kilo_version(self) -> Self:
        self._add_version("kilo-gateway", kilo.__version__)
        if self.__dict__["profile"] is None:
            del self.__dict__["profile"]  # so that `__getattr__` is asked for it
        return self

    def _resolve_model_profile(self) -> ModelProfile | None:
        return None  # see `known_profile`; core would keep the facts of the day on which the model was built

    if not TYPE_CHECKING:  # as pydantic's own one, so that type checkers refuse unknown names

        def __getattr__(self, name: str) -> Any:
            return known_profile(self) if name == "profile" else super().__getattr__(name)

    __repr_args__ = GatewaySettings.__repr_args__  # core's class comes first, and shows the profile

    @property
    def _llm_type(self) -> str:
        return "kilo-chat"

    @property
    def lc_secrets(self) -> dict[str, str]:
        """Arguments that are written as environment variable names when the model is serialized."""
        defaults = {name: field.default_factory for name, field in type(self).model_fields.items()}
        return {name: default.variable for name, default in defaults.items() if isinstance(default, SecretFromEnv)}

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """Return True: `langchain_core.load.dumps` works, without the secrets."""
        return True

    @classmethod
    def get_lc_namespace(cls) -> list[str]:
        """Return the path under which the class is loaded again."""
        return ["langchain_kilo", "chat_models"]

    @property
    def model_name(self) -> str:
        """The model id that is requested."""
        return self.model_id

    @property
    def _identifying_params(self) -> dict[str, Any]:
        mode = {"mode": self.mode} if self.mode else {}
        return {"model": self.model_id, **self.request_options(self.model_kwargs, {}), **mode}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> _TraceParams:
        params = _TraceParams(ls_provider=from_gateway.PROVIDER, ls_model_type="chat")
        params["ls_model_name"] = self.requested_model(kwargs)
        if (temperature := kwargs.get("temperature", self.temperature)) is not None:
            params["ls_temperature"] = temperature
        if (max_tokens := kwargs.get("max_tokens", self.max_tokens)) is not None:
            params["ls_max_tokens"] = max_tokens
        if stop := stop or self.stop:
            params["ls_stop"] = stop
        # Many tools record these facts as metadata, and nothing else that has the mode.
        if (mode := self.requested_mode(kwargs)) is not None:
            params["kilo_mode"] = mode
        return params

    def _get_invocation_params(self, stop: list[str] | None = None, **kwargs: Any) -> dict[str, Any]:
        # These go to callbacks and traces.
        params: dict[str, Any] = super()._get_invocation_params(stop=stop, **shown(kwargs))
        return params

    def _get_llm_string(self, stop: list[str] | None = None, **kwargs: Any) -> str:
        """Return the cache key: core's, and a digest of the account and of other values that may be secret."""
        # Core caches the serialized model on first use, and would not see later assignments and copies.
        self.__dict__.pop("_serialized", None)
        key: str = super()._get_llm_string(stop=stop, **shown(kwargs))
        # An answer that one account paid for, or that it alone may see, must not be returned to another.
        payer = self.bearer.identity if isinstance(self.bearer, KeyFunction) else self.bearer
        account = [payer or "anonymous", self.private_headers(), self.default_query]
        unseen = [*account, revealed(kwargs.get("extra_headers")), kwargs.get("extra_query")]
        return f"{key}---{_digest(json.dumps(unseen, sort_keys=True, default=str))}"

    def get_num_tokens(self, text: str) -> int:
        """Return an estimate of the tokens of `text`, or the count of `custom_get_token_ids`; works offline."""
        if self.custom_get_token_ids is not None:
            return len(self.custom_get_token_ids(text))
        return self.get_num_tokens_from_messages([HumanMessage(text)])

    def get_num_tokens_from_messages(self, messages: Sequence[BaseMessage], tools: Sequence[Any] | None = None) -> int:
        """Return an estimate of the tokens of `messages`, tools included; works offline."""
        from langchain_kilo import structured  # deferred: its parsers take as long to import as everything else here

        wire: list[Any] | None = None if tools is None else [structured.tool_of(tool, strict=None) for tool in tools]
        if self.custom_get_token_ids is not None:
            texts = [message.text for message in messages] + [json.dumps(tool) for tool in wire or ()]
            return sum(len(self.custom_get_token_ids(text)) for text in texts)
        return count_tokens_approximately(messages, tools=wire)

    def estimate_cost(self, messages: LanguageModelInput, max_tokens: int | None = None, **kwargs: Any) -> float | None:
        """Return the most that a call may cost in USD, or None if it is not known."""
        if max_tokens is not None:
            kwargs["max_tokens"] = max_tokens
        call = self._call(self._convert_input(messages).to_messages(), None, None, kwargs, stream=False)
        return prices.estimate(call, base_url=self.base_url)

    def _combine_llm_outputs(self, llm_outputs: list[dict[str, Any] | None]) -> dict[str, Any]:
        combined: dict[str, Any] = {}
        for llm_output in filter(None, llm_outputs):
            usage = from_gateway.summed(combined.get("token_usage", {}), llm_output.get("token_usage", {}))
            combined = {**llm_output, **combined, "token_usage": usage}
        return combined

    def _call(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None,
        run_manager: BaseRunManager | None,
        kwargs: dict[str, Any],
        *,
        stream: bool,
    ) -> Call:
        # LangChain passes on its own switch between invoke and stream.
        keywords = {name: value for name, value in with_output_format(kwargs).items() if name != "stream"}
        if stop is not None:
            keywords["stop"] = stop
        if self.task_id is None and "task_id" not in keywords and (thread := _thread_id(run_manager)):
            keywords["task_id"] = thread
        return self.prepare(conversation(messages), stream=stream, defaults=self.model_kwargs, keywords=keywords)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        call = self._call(messages, stop, run_manager, kwargs, stream=False)
        with langchain_errors():
            reply = kilo.chat.create(self, call)
        return _result(reply, call)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        call = self._call(messages, stop, run_manager, kwargs, stream=False)
        with langchain_errors():
            reply = await kilo.chat.acreate(self, call)
        return _result(reply, call)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        call = self._call(messages, stop, run_manager, kwargs, stream=True)
        deltas, written = kilo.chat.stream(self, call), from_gateway.text_to_read(call)
        with langchain_errors(), closing(deltas):
            for delta in deltas:
                message = from_gateway.to_chunk(delta, call, written)
                info = None if delta.ending is None else from_gateway.generation_info(message)
                chunk = ChatGenerationChunk(message=message, generation_info=info)
                if run_manager:
                    run_manager.on_llm_new_token(str(chunk.message.content), chunk=chunk)
                yield chunk

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        call = self._call(messages, stop, run_manager, kwargs, stream=True)
        deltas, written = kilo.chat.astream(self, call), from_gateway.text_to_read(call)
        with langchain_errors():
            async with aclosing(deltas):
                async for delta in deltas:
                    message = from_gateway.to_chunk(delta, call, written)
                    info = None if delta.ending is None else from_gateway.generation_info(message)
                    chunk = ChatGenerationChunk(message=message, generation_info=info)
                    if run_manager:
                        await run_manager.on_llm_new_token(delta.text, chunk=chunk)
                    yield chunk

    def bind(self, **kwargs: Any) -> ChatKiloBinding:
        """Return the model with keywords of a call; the values of `extra_headers` do not show in it."""
        from langchain_kilo.binding import ChatKiloBinding

        return ChatKiloBinding(bound=self, kwargs=kwargs, config={})

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | bool | dict[str, Any] | None = None,
        strict: bool | None = None,
        parallel_tool_calls: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Offer tools to the model.

        `tools` may be functions, pydantic classes, `BaseTool`s, JSON schemas, OpenAI tool dicts and
        server tools of the gateway (dicts of another type than "function", passed through).
        `tool_choice`: "auto", "none", "required" (or "any", True), a tool's name, or the wire's dict.
        `parallel_tool_calls`: False if the model may make only one call at a time.
        """
        from langchain_kilo import structured  # deferred, see get_num_tokens_from_messages

        wire = [structured.tool_of(tool, strict=strict) for tool in tools]
        names = [tool["function"]["name"] for tool in wire if "function" in tool]
        if (choice := as_tool_choice(tool_choice, names)) is not None:
            kwargs["tool_choice"] = choice
        if parallel_tool_calls is not None:
            # langgraph-supervisor sets it only on a model whose signature has it.
            kwargs["parallel_tool_calls"] = parallel_tool_calls
        if kwargs.get("response_format") is not None:
            kwargs["response_format"] = structured.response_format_of(kwargs["response_format"], strict)
        return self.bind(tools=wire, **kwargs)

    def with_structured_output(
        self,
        schema: dict[str, Any] | TypeBaseModel | type | None = None,
        *,
        method: Method | None = None,
        include_raw: bool = False,
        strict: bool | None = None,
        tools: Sequence[Any] | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]:
        """Make the model answer with data that fits `schema`.

        `schema` is a pydantic class, TypedDict, JSON schema or OpenAI tool dict. `method`: "function_calling" forces a
        tool call, "json_schema" uses the model's own structured output (and is the default if `profile` reports it),
        "json_mode" only asks for JSON (say in the prompt what it must hold). With `include_raw` the result is
        {"raw", "parsed", "parsing_error"} and parsing problems do not raise.
        """
        if method is None:
            method = "json_schema" if (self.profile or {}).get("structured_output") else "function_calling"
        from langchain_kilo import structured  # deferred, see get_num_tokens_from_messages

        return structured.build(
            self, schema, method=method, include_raw=include_raw, strict=strict, tools=tools, **kwargs
        )


def _thread_id(run_manager: BaseRunManager | None) -> str | None:
    """Return a digest of LangGraph's thread id, if the run has one; the id itself stays in this process."""
    thread = ensure_config().get("configurable", {}).get("thread_id")
    if thread is None and run_manager is not None:
        thread = run_manager.metadata.get("thread_id")
    return None if thread is None else _digest(f"thread {thread}")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _result(reply: Reply, call: Call) -> ChatResult:
    choices = [reply, *(other for _, other in sorted(reply.others.items()))]
    messages = [from_gateway.to_message(choice, call) for choice in choices]
    first = messages[0].response_metadata
    return ChatResult(
        generations=[
            ChatGeneration(message=message, generation_info=from_gateway.generation_info(message))
            for message in messages
        ],
        llm_output={name: first[name] for name in ("model_name", "token_usage") if name in first},
    )
