"""Structured output of `KiloLLM`: one object per call, by a forced tool or by the model's own JSON mode.

LlamaIndex's own programs forget the system prompt in async calls, do not force the tool in streams, and return
anything that a stream ends with as the object.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import aclosing, closing
from dataclasses import dataclass, field
from typing import Any, Final, Generic, cast

from llama_index.core.base.llms.types import ChatMessage, ChatResponse, ToolCallBlock
from llama_index.core.instrumentation.events.llm import LLMStructuredPredictEndEvent, LLMStructuredPredictStartEvent
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.program.utils import FlexibleModel, create_flexible_model
from llama_index.core.prompts import PromptTemplate
from llama_index.core.types import Model, PydanticProgramMode
from llama_index_instrumentation import get_dispatcher
from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from kilo_gateway import json_schema, output
from kilo_gateway.call import as_tool_choice, json_schema_format
from kilo_gateway.encoding.printable import TEXT_CHARACTERS, printable

_OURS: Final = frozenset({"tools", "tool_required", "tool_choice", "allow_parallel_tool_calls", "response_format"})
"""Call keywords that the requested form of the answer sets."""

_UNFINISHED_NUMBER: Final = re.compile(r"[-+.\d][-+.\deE]*\Z")


@dataclass(frozen=True, slots=True)
class Form(Generic[Model]):
    """The way in which an object of `output_cls` is requested and read from the answer."""

    output_cls: type[Model]
    native: bool
    strict: bool | None = None

    def request(self, llm_kwargs: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return the keywords of the call."""
        function = exactly(_function(self.output_cls), self.strict)
        call = {key: value for key, value in (llm_kwargs or {}).items() if key not in _OURS}
        if self.native:
            return {**call, "response_format": json_schema_format(function, strict=self.strict)}
        offered = [{"type": "function", "function": function}]
        choice = as_tool_choice(function["name"], [function["name"]])
        return {**call, "tools": offered, "tool_choice": choice, "parallel_tool_calls": False}

    def written(self, response: ChatResponse) -> str | None:
        """Return the JSON text of the object so far."""
        if self.native:
            return response.message.content
        blocks = response.message.blocks
        call = next((block for block in blocks if isinstance(block, ToolCallBlock)), None)
        if call is None:
            return None
        given = call.tool_kwargs
        return given if isinstance(given, str) else json.dumps(given)

    def result(self, response: ChatResponse) -> Model:
        """Return the object of a complete answer. Raises ValueError that says why the object is missing."""
        name = self.output_cls.__name__
        finish_reason = response.additional_kwargs.get("finish_reason")
        if refused := output.refused(response.message.additional_kwargs.get("refusal"), finish_reason):
            raise ValueError(f"The model refused to give a {name}: {printable(refused, TEXT_CHARACTERS)}")
        text = self.written(response)
        remedy = output.remedy(finish_reason, "ask again, or try another model or structured_output_method")
        if text is None or (self.native and not text):
            said = response.message.content or ""
            raise ValueError(f"The model gave no {name}, it answered in text: {said[:500]!r}; {remedy}")
        try:
            return self.output_cls.model_validate_json(text if text.strip() else "{}")
        except ValidationError as error:
            errors = error.errors(include_url=False, include_context=False)
            faults = printable("; ".join(map(_fault, errors)), TEXT_CHARACTERS)
            raise ValueError(
                f"The model's {name} is not valid: {faults}; {remedy}. It wrote: {text[:500]!r}"
            ) from error


@dataclass(slots=True)
class Growth(Generic[Model]):
    """The partial objects of a stream; a later one never contradicts an earlier one."""

    form: Form[Model]
    last: ChatResponse | None = None
    _shown: Any = field(default_factory=dict)
    _flexible: type[FlexibleModel] = field(init=False)

    def __post_init__(self) -> None:
        self._flexible = create_flexible_model(self.form.output_cls)

    def feed(self, response: ChatResponse) -> Model | FlexibleModel | None:
        """Return the next partial object, or None if a response adds nothing to it."""
        self.last = response
        try:
            text = _UNFINISHED_NUMBER.sub("", self.form.written(response) or "")
            partial = from_json(text, allow_partial="trailing-strings")
        except ValueError:
            return None
        if partial == self._shown or not isinstance(partial, dict) or not _extends(self._shown, partial):
            return None
        self._shown = partial
        try:
            return self.form.output_cls.model_validate(partial)
        except Exception:
            # The user's validators may fail on half a value in any way.
            return self._flexible.model_validate(partial)

    def result(self) -> Model:
        """Return the whole object. Raises ValueError that says why the object is missing."""
        assert self.last is not None, "a stream without an answer raises"  # noqa: S101 -- chat.py's promise
        return self.form.result(self.last)


class StructuredPrediction(FunctionCallingLLM):
    """The structured methods of an LLM, which share the reader of the object."""

    strict: bool | None = None
    """True if the model must follow the schemas of tools and of structured output exactly; all their fields are then
    required, and no others allowed. None: the provider's default."""

    def structured_predict(
        self,
        output_cls: type[Model],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Model:
        """Return an object of `output_cls`. Raises ValueError if the model returns none that is valid and complete."""
        form = self._form(output_cls, llm_kwargs)
        if form is None:
            return cast("Model", super().structured_predict(output_cls, prompt, llm_kwargs, **prompt_args))
        _send(LLMStructuredPredictStartEvent(output_cls=output_cls, template=prompt, template_args=prompt_args))
        result = form.result(self.chat(self._prompted(prompt, prompt_args), **form.request(llm_kwargs)))
        _send(LLMStructuredPredictEndEvent(output=result))
        return result

    async def astructured_predict(
        self,
        output_cls: type[Model],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Model:
        """Return an object of `output_cls`. Raises ValueError if the model returns none that is valid and complete."""
        form = self._form(output_cls, llm_kwargs)
        if form is None:
            return cast("Model", await super().astructured_predict(output_cls, prompt, llm_kwargs, **prompt_args))
        _send(LLMStructuredPredictStartEvent(output_cls=output_cls, template=prompt, template_args=prompt_args))
        result = form.result(await self.achat(self._prompted(prompt, prompt_args), **form.request(llm_kwargs)))
        _send(LLMStructuredPredictEndEvent(output=result))
        return result

    # LlamaIndex's public streaming methods send the events and yield the objects of these two.

    def _structured_stream_call(
        self,
        output_cls: type[Model],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Generator[Any, None, None]:
        form = self._form(output_cls, llm_kwargs)
        if form is None:
            yield from super()._structured_stream_call(output_cls, prompt, llm_kwargs, **prompt_args)
            return
        responses = self.stream_chat(self._prompted(prompt, prompt_args), **form.request(llm_kwargs))
        growth = Growth(form)
        with closing(responses):
            for response in responses:
                if (partial := growth.feed(response)) is not None:
                    yield partial
        yield growth.result()

    async def _structured_astream_call(
        self,
        output_cls: type[Model],
        prompt: PromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> AsyncGenerator[Any, None]:
        form = self._form(output_cls, llm_kwargs)
        if form is None:
            return await super()._structured_astream_call(output_cls, prompt, llm_kwargs, **prompt_args)

        async def objects() -> AsyncGenerator[Any, None]:
            responses = await self.astream_chat(self._prompted(prompt, prompt_args), **form.request(llm_kwargs))
            growth = Growth(form)
            async with aclosing(responses):
                async for response in responses:
                    if (partial := growth.feed(response)) is not None:
                        yield partial
            yield growth.result()

        return objects()

    def _form(self, output_cls: type[Model], llm_kwargs: Mapping[str, Any] | None) -> Form[Model] | None:
        """Return the form of the answer, or None where one of LlamaIndex's text programs is to be used."""
        mode = self.pydantic_program_mode
        if mode is PydanticProgramMode.FUNCTION:
            return Form(output_cls, native=False, strict=self.strict)
        if mode is not PydanticProgramMode.DEFAULT:
            return None
        if self._is_natively_structured(llm_kwargs or {}):
            return Form(output_cls, native=True, strict=self.strict)
        return Form(output_cls, native=False, strict=self.strict) if self.metadata.is_function_calling_model else None

    def _is_natively_structured(self, call: Mapping[str, Any]) -> bool:
        """Return True if the model itself answers a call with these keywords in a JSON schema's form."""
        raise NotImplementedError

    def _prompted(self, prompt: PromptTemplate, prompt_args: dict[str, Any]) -> list[ChatMessage]:
        return self._extend_messages(prompt.format_messages(llm=self, **prompt_args))


def with_output_format(kwargs: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the keywords of a call, a class or JSON schema as `response_format` in the form of the wire."""
    form = kwargs.get("response_format")
    if not output.is_schema(form):
        return kwargs
    function = form["function"] if isinstance(form, Mapping) and "function" in form else _function(form)
    return {**kwargs, "response_format": output.OutputFormat(json_schema_format(function), form)}


def _function(output_cls: Any) -> dict[str, Any]:
    """Return the definition of the function whose arguments are the fields of a class or JSON schema."""
    given = output_cls if isinstance(output_cls, Mapping) else TypeAdapter(output_cls).json_schema()
    # The schema of a class that contains itself is a reference, but an object is needed at the top.
    schema = json_schema.with_top_level(given)
    title = schema.pop("title", None)
    title = title if isinstance(output_cls, Mapping) else output_cls.__name__
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", str(title or "")).strip("_")[:64] or "Output"
    # pydantic uses this class's own docstring, never an inherited one.
    described = schema.pop("description", None) or f"Return a {name}."
    return {"name": name, "description": described, "parameters": schema}


def exactly(function: Mapping[str, Any], strict: bool | None) -> dict[str, Any]:
    """Return the definition of a function that asks for arguments in strict mode, or for no such thing if None."""
    if strict is None:
        return dict(function)
    if not strict:
        return {**function, "strict": False}
    from kilo_gateway import json_schema  # 2 ms, which imports of the adapter need not take

    return {**function, "parameters": json_schema.strict(function["parameters"]), "strict": True}


def _send(event: Any) -> None:
    get_dispatcher(__name__).event(event)


def _fault(fault: Any) -> str:
    place = ".".join(map(str, fault["loc"]))
    return f"{place}: {fault['msg']}" if place else str(fault["msg"])


def _extends(before: Any, after: Any) -> bool:
    """Return True if `after` contains everything that `before` contains."""
    if isinstance(before, dict):
        return isinstance(after, dict) and all(k in after and _extends(v, after[k]) for k, v in before.items())
    if isinstance(before, list):
        return isinstance(after, list) and len(before) <= len(after) and all(map(_extends, before, after))
    if isinstance(before, str):
        return isinstance(after, str) and after.startswith(before)
    return bool(before == after)
