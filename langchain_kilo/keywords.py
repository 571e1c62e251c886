"""The keywords of a call, as the request and as traces have them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kilo_gateway import output


def shown(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keywords of a call without headers and query parameters, which may be secrets, and without classes."""
    keywords = with_output_format(kwargs)
    return {name: value for name, value in keywords.items() if name not in ("extra_headers", "extra_query")}


def with_output_format(kwargs: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the keywords of a call, a class or JSON schema as `response_format` in the form of the wire."""
    form = kwargs.get("response_format")
    if not output.is_schema(form):
        return kwargs
    from langchain_kilo import structured  # deferred: its parsers take as long to import as everything else here

    return {**kwargs, "response_format": structured.response_format_of(form)}
