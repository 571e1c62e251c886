"""A request is the same in a cassette on every Python."""

import inspect
import json
from typing import Any

from vcr.request import Request

from tests.support import vcr_settings

DOCSTRING = """Add two numbers.

    Args:
        a: The first.
    """


def kept(description: str) -> Any:
    function = {
        "name": "add",
        "description": description,
        "parameters": {"properties": {"description": {"type": "string", "description": description}}},
    }
    body = {"messages": [{"role": "user", "content": DOCSTRING}], "tools": [{"type": "function", "function": function}]}
    request = Request("POST", "http://gateway/chat/completions", json.dumps(body), {})
    return json.loads(vcr_settings.config(vcr_settings.NOBODY)["before_record_request"](request).body)


def test_python_3_13_removes_the_indentation_of_docstrings() -> None:
    assert kept(DOCSTRING) == kept(inspect.cleandoc(DOCSTRING))
    assert kept(DOCSTRING) != kept("Add two numbers.")


def test_messages_keep_their_indentation() -> None:
    assert kept(DOCSTRING)["messages"][0]["content"] == DOCSTRING
