"""The object of an answer whose form the caller gave: a class or a JSON schema as `response_format`. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from kilo_gateway.encoding.printable import TEXT_CHARACTERS, printable

if TYPE_CHECKING:
    from kilo_gateway.reply import Ending

FILTERED = "the provider's content filter stopped the answer"


class OutputFormat(dict[str, Any]):
    """A response format in the form of the wire, with the class or the JSON schema that it was made of."""

    def __init__(self, form: Mapping[str, Any], schema: Any) -> None:
        super().__init__(form)
        self.schema = schema
        """A class gives objects of that class; everything else gives dicts."""


def is_schema(response_format: Any) -> bool:
    """Return True for a class, a JSON schema or a function's definition; False for what the wire takes as it is."""
    if isinstance(response_format, Mapping):
        return response_format.get("type", "object") in ("object", "function")
    return response_format is not None


def refused(refusal: str | None, finish_reason: str | None) -> str | None:
    """Return the model's refusal, or that the provider's content filter stopped the answer; None for any other."""
    return refusal or (FILTERED if finish_reason == "content_filter" else None)


def remedy(finish_reason: str | None, otherwise: str) -> str:
    """Return what to do about an answer that is not the object: raise the limit that cut it, else `otherwise`."""
    return "the answer was cut at the output limit: raise max_tokens" if finish_reason == "length" else otherwise


def read(form: OutputFormat, text: str, refusal: str, ending: Ending) -> dict[str, Any]:
    """Return the object of a complete answer as `parsed`, or as `parsing_error` why there is none.

    An answer that calls tools has neither.
    """
    if reason := refused(refusal, ending.finish_reason):
        return {"parsing_error": f"The model refused: {printable(reason, TEXT_CHARACTERS)}"}
    if ending.tool_calls:
        return {}
    try:
        return {"parsed": _reader(form.schema)(text)}
    except ValueError as error:
        advice = remedy(ending.finish_reason, "ask again, or try another model")
        return {"parsing_error": f"The answer is not the object: {printable(str(error), TEXT_CHARACTERS)}; {advice}"}


def _reader(schema: Any) -> Callable[[str], Any]:
    """Return the method of a pydantic class, of version 2 or 1, that reads JSON; for other schemas, the JSON reader."""
    reader = getattr(schema, "model_validate_json", None) or getattr(schema, "parse_raw", None)
    return reader or _object


def _object(text: str) -> dict[str, Any]:
    if not isinstance(value := json.loads(text), dict):
        raise ValueError("it is not a JSON object")
    return value
