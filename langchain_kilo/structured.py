"""Structured output for `ChatKilo.with_structured_output`."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Literal, get_args

from langchain_core.exceptions import OutputParserException
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.output_parsers import JsonOutputParser, PydanticOutputParser
from langchain_core.output_parsers.base import BaseOutputParser, OutputParserLike
from langchain_core.output_parsers.openai_tools import (
    JsonOutputKeyToolsParser,
    JsonOutputToolsParser,
    PydanticToolsParser,
)
from langchain_core.outputs import ChatGeneration, Generation
from langchain_core.runnables import Runnable, RunnableMap, RunnablePassthrough
from langchain_core.utils.function_calling import convert_to_json_schema, convert_to_openai_tool
from langchain_core.utils.pydantic import is_basemodel_subclass

from langchain_kilo.errors import KiloRefusalError

if TYPE_CHECKING:
    from langchain_kilo.chat_models import ChatKilo

Method = Literal["function_calling", "json_schema", "json_mode"]


class _Complete(BaseOutputParser[Any]):
    """Refuses answers that LangChain's parsers would turn into None or into an unrelated complaint."""

    def parse_result(self, result: list[Generation], *, partial: bool = False) -> Any:
        message = result[0].message if isinstance(result[0], ChatGeneration) else None
        # A stream is parsed as partial to its end, which only the last chunk tells.
        whole = not partial or getattr(message, "chunk_position", None) == "last"
        if isinstance(message, AIMessage) and whole:
            _check(message, calls=isinstance(self, JsonOutputToolsParser))
        return super().parse_result(result, partial=partial)


def _complete(parser: type[Any]) -> type[Any]:
    return type(f"_{parser.__name__}", (_Complete, parser), {"__module__": __name__})


_PydanticToolsParser = _complete(PydanticToolsParser)
_JsonOutputKeyToolsParser = _complete(JsonOutputKeyToolsParser)
_PydanticOutputParser = _complete(PydanticOutputParser)
_JsonOutputParser = _complete(JsonOutputParser)


def _check(message: AIMessage, *, calls: bool) -> None:
    if refusal := message.additional_kwargs.get("refusal"):
        raise KiloRefusalError(refusal, message)
    cut = message.response_metadata.get("finish_reason") == "length"
    remedy = "it was cut at the output limit: raise max_tokens" if cut else "ask again, or try another method or model"
    if message.invalid_tool_calls:
        broken = message.invalid_tool_calls[0]["args"] or ""
        raise OutputParserException(f"The arguments are not a JSON object: {broken!r}; {remedy}", llm_output=broken)
    if cut and not calls:
        # The JSON parsers of LangChain would complete what is missing.
        raise OutputParserException(f"The answer is not complete: {remedy}", llm_output=message.text)
    if calls and not message.tool_calls:
        text = message.text
        raise OutputParserException(f"The model answered in text: {text[:500]!r}; {remedy}", llm_output=text)


def build(
    llm: ChatKilo,
    schema: Any,
    *,
    method: Method,
    include_raw: bool,
    strict: bool | None,
    tools: Sequence[Any] | None,
    **kwargs: Any,
) -> Runnable[LanguageModelInput, Any]:
    """Return `llm` bound so that it answers with `schema`, piped into the parser."""
    if method not in get_args(Method):
        raise ValueError(f"method={method!r} is unknown; methods: {', '.join(get_args(Method))}")
    if schema is None and method != "json_mode":
        raise ValueError(f"method={method!r} needs a schema; only 'json_mode' works without one")
    traced = {"kwargs": {"method": method, "strict": strict}, "schema": None if schema is None else _traced(schema)}
    is_pydantic = isinstance(schema, type) and is_basemodel_subclass(schema)
    parser: OutputParserLike[Any]
    bound: Runnable[LanguageModelInput, Any]
    if method == "function_calling":
        name = convert_to_openai_tool(schema)["function"]["name"]
        bound = llm.bind_tools(
            [schema, *(tools or ())],
            tool_choice="any" if tools else name,
            strict=strict,
            parallel_tool_calls=False,
            ls_structured_output_format=traced,
            **kwargs,
        )
        parser = (
            _PydanticToolsParser(tools=[schema], first_tool_only=True)
            if is_pydantic
            else _JsonOutputKeyToolsParser(key_name=name, first_tool_only=True)
        )
    else:
        response_format = {"type": "json_object"} if method == "json_mode" else json_schema_format(schema, strict)
        call = {"response_format": response_format, "ls_structured_output_format": traced, **kwargs}
        bound = llm.bind_tools(tools, strict=strict, **call) if tools else llm.bind(**call)
        parser = _PydanticOutputParser(pydantic_object=schema) if is_pydantic else _JsonOutputParser()
    if not include_raw:
        return bound | parser
    parsed = RunnablePassthrough.assign(parsed=itemgetter("raw") | parser, parsing_error=lambda _: None)
    failed = RunnablePassthrough.assign(parsed=lambda _: None)
    return RunnableMap(raw=bound) | parsed.with_fallbacks([failed], exception_key="parsing_error")


def json_schema_format(schema: Any, strict: bool | None) -> dict[str, Any]:
    """Return the `response_format` that asks for `schema`; a dict that already is one stays as it is."""
    if isinstance(schema, dict) and schema.get("type") == "json_schema" and "json_schema" in schema:
        return schema
    function = convert_to_openai_tool(schema, strict=strict)["function"]
    body: dict[str, Any] = {"name": function["name"], "schema": function.get("parameters") or {}}
    if description := function.get("description"):
        body["description"] = description
    if strict is not None:
        body["strict"] = strict
    return {"type": "json_schema", "json_schema": body}


def _traced(schema: Any) -> Any:
    return schema if isinstance(schema, dict) else convert_to_json_schema(schema)
