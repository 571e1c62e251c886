"""Structured output for `ChatKilo.with_structured_output`."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from operator import itemgetter
from typing import Any, Final, Literal, get_args

from langchain_core.exceptions import OutputParserException
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.output_parsers import JsonOutputParser, PydanticOutputParser
from langchain_core.output_parsers.base import BaseOutputParser, OutputParserLike
from langchain_core.output_parsers.openai_tools import (
    JsonOutputKeyToolsParser,
    PydanticToolsParser,
)
from langchain_core.outputs import ChatGeneration, Generation
from langchain_core.runnables import Runnable, RunnableMap, RunnablePassthrough
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_json_schema, convert_to_openai_tool
from langchain_core.utils.pydantic import is_basemodel_subclass
from pydantic import BaseModel

from kilo_gateway import json_schema, output
from kilo_gateway.call import json_schema_format
from kilo_gateway.encoding.printable import TEXT_CHARACTERS, printable
from langchain_kilo.from_gateway import invalid_calls

Method = Literal["function_calling", "json_schema", "json_mode"]


class _Complete(BaseOutputParser[Any]):
    """Refuses answers that LangChain's parsers would complete, misread or turn into None."""

    wanted: str = ""
    """The tool whose arguments are the answer; "" if the text is the answer."""
    others: bool = False
    """True if further tools are offered; an answer that calls one of them instead is None."""

    def parse_result(self, result: list[Generation], *, partial: bool = False) -> Any:
        message = result[0].message if isinstance(result[0], ChatGeneration) else None
        if not isinstance(message, AIMessage):
            return super().parse_result(result, partial=partial)
        # A stream is parsed as partial up to its end, which only the last chunk reports.
        whole = not partial or getattr(message, "chunk_position", None) == "last"
        fitting = [call for call in message.tool_calls if call["name"] == self.wanted]
        if self.others and message.tool_calls and not fitting:
            return None
        if whole:
            _check(message, self.wanted, fitting)
        if self.wanted and len(fitting) < len(message.tool_calls):
            result = [ChatGeneration(message=message.model_copy(update={"tool_calls": fitting}))]
        return super().parse_result(result, partial=partial and not whole)


_FENCED: Final = re.compile(r"^.*?```(?:json)?(.*?)```.*$", re.DOTALL)


class _PydanticToolsParser(_Complete, PydanticToolsParser):
    """Reads the arguments of a tool as a pydantic object."""

    @property
    def OutputType(self) -> Any:  # noqa: N802 -- LangChain's name
        """The class of the object, which core's parser does not report."""
        return Any if self.others else self.tools[0]


class _JsonOutputKeyToolsParser(_Complete, JsonOutputKeyToolsParser):
    """Reads the arguments of a tool as a dict."""


_HERE: Final = {"__module__": __name__}
# Not class statements, because pydantic's mypy plugin fails on subclasses of these two ("TBaseModel is not defined").
_PydanticOutputParser: type[Any] = type("_PydanticOutputParser", (_Complete, PydanticOutputParser), _HERE)
_JsonOutputParser: type[Any] = type("_JsonOutputParser", (_Complete, JsonOutputParser), _HERE)


def _check(message: AIMessage, wanted: str, fitting: Sequence[Any]) -> None:
    finish_reason = message.response_metadata.get("finish_reason")
    if refused := output.refused(message.additional_kwargs.get("refusal"), finish_reason):
        from langchain_kilo.errors import KiloRefusalError  # deferred: it imports the openai package

        raise KiloRefusalError(refused, message)
    remedy = output.remedy(finish_reason, "ask again, or try another method or model")
    if invalid := invalid_calls(message):
        broken = invalid[0]["args"] or ""
        shown = printable(broken, TEXT_CHARACTERS)
        raise OutputParserException(f"The arguments are not a JSON object: {shown!r}; {remedy}", llm_output=broken)
    text = message.text
    if wanted and not fitting:
        called = [call["name"] for call in message.tool_calls]
        what = f"called {called[0]!r}, which was not offered" if called else f"answered in text: {text[:500]!r}"
        raise OutputParserException(f"The model {what}; {remedy}", llm_output=text)
    # LangChain's JSON parsers would complete a truncated text.
    if not wanted and not (_is_json(text) or _is_json(_FENCED.sub(r"\1", text))):
        raise OutputParserException(f"The answer is not complete JSON: {text[:500]!r}; {remedy}", llm_output=text)


def _is_json(text: str) -> bool:
    try:
        json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return False
    return True


def build(
    llm: BaseChatModel,
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
    schema, strict = _unwrapped(schema, strict)
    traced = {"kwargs": {"method": method, "strict": strict}, "schema": None if schema is None else _traced(schema)}
    is_pydantic = isinstance(schema, type) and is_basemodel_subclass(schema)
    parser: OutputParserLike[Any]
    bound: Runnable[LanguageModelInput, Any]
    if method == "function_calling":
        tool = tool_of(schema, strict=strict)
        name = tool["function"]["name"]
        bound = llm.bind_tools(
            [tool, *(tools or ())],
            tool_choice="any" if tools else name,
            strict=strict,
            parallel_tool_calls=False,
            ls_structured_output_format=traced,
            **kwargs,
        )
        parser = (
            _PydanticToolsParser(tools=[schema], first_tool_only=True, wanted=name, others=bool(tools))
            if is_pydantic
            else _JsonOutputKeyToolsParser(key_name=name, first_tool_only=True, wanted=name, others=bool(tools))
        )
    else:
        response_format = {"type": "json_object"} if method == "json_mode" else dict(response_format_of(schema, strict))
        call = {"response_format": response_format, "ls_structured_output_format": traced, **kwargs}
        bound = llm.bind_tools(tools, strict=strict, **call) if tools else llm.bind(**call)
        parser = (
            _PydanticOutputParser(pydantic_object=schema, others=bool(tools))
            if is_pydantic
            else _JsonOutputParser(others=bool(tools))
        )
    if not include_raw:
        return bound | parser
    parsed = RunnablePassthrough.assign(parsed=itemgetter("raw") | parser, parsing_error=lambda _: None)
    failed = RunnablePassthrough.assign(parsed=lambda _: None)
    return RunnableMap(raw=bound) | parsed.with_fallbacks([failed], exception_key="parsing_error")


def response_format_of(schema: Any, strict: bool | None = None) -> dict[str, Any]:
    """Return the `response_format` that asks for `schema`; a dict that already is one is returned unchanged."""
    if isinstance(schema, dict) and not output.is_schema(schema):
        return schema
    unwrapped, strict = _unwrapped(schema, strict)
    form = json_schema_format(tool_of(unwrapped, strict=strict)["function"], strict=strict)
    return output.OutputFormat(form, schema)


def tool_of(tool: Any, *, strict: bool | None) -> dict[str, Any]:
    """Return a tool of any kind in OpenAI's form; server tools of the gateway are returned unchanged."""
    # A JSON schema, which is a function tool too, has the type "object".
    if isinstance(tool, dict) and tool.get("type", "function") not in ("function", "object"):
        return tool
    converted = _converted(tool, strict)
    extras = tool if isinstance(tool, dict) else getattr(tool, "extras", None)
    if isinstance(extras, dict) and "cache_control" in extras:
        return {**converted, "cache_control": extras["cache_control"]}
    return converted


def _converted(tool: Any, strict: bool | None) -> dict[str, Any]:
    if isinstance(tool, dict) and "$ref" in tool:
        tool = json_schema.with_top_level(tool)
    arguments = tool.tool_call_schema if isinstance(tool, BaseTool) else tool
    if isinstance(arguments, type) and issubclass(arguments, BaseModel):
        schema = arguments.model_json_schema()
        if json_schema.contains_itself(schema):
            # Core writes definitions out, and leaves an empty schema where one contains itself.
            full = json_schema.with_top_level(schema)
            function: dict[str, Any] = {
                "name": tool.name if isinstance(tool, BaseTool) else arguments.__name__,
                "description": tool.description if isinstance(tool, BaseTool) else full.get("description", ""),
                "parameters": json_schema.strict(full) if strict else full,
            }
            return {"type": "function", "function": function if strict is None else {**function, "strict": strict}}
    return convert_to_openai_tool(tool, strict=strict)


def _unwrapped(schema: Any, strict: bool | None) -> tuple[Any, bool | None]:
    """Return the schema and strictness inside OpenAI's `response_format`, or inside the `json_schema` of one."""
    inner = schema
    if isinstance(inner, dict) and inner.get("type") == "json_schema":
        inner = inner.get("json_schema")
    if not (isinstance(inner, dict) and isinstance(inner.get("schema"), dict) and "name" in inner):
        return schema, strict
    function = {"name": inner["name"], "description": inner.get("description", ""), "parameters": inner["schema"]}
    return {"type": "function", "function": function}, inner.get("strict") if strict is None else strict


def _traced(schema: Any) -> Any:
    return schema if isinstance(schema, dict) else convert_to_json_schema(schema)
