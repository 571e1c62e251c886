"""A supervisor of langgraph-supervisor delegates to one agent at a time."""

import inspect

from langchain_kilo import ChatKilo
from tests.support.tools import add


def test_a_supervisor_turns_off_parallel_calls() -> None:
    """It does so on a model whose `bind_tools` names the parameter, and says nothing about other models."""
    llm = ChatKilo()
    assert "parallel_tool_calls" in inspect.signature(llm.bind_tools).parameters
    assert llm.bind_tools([add], parallel_tool_calls=False).kwargs["parallel_tool_calls"] is False  # type: ignore[attr-defined] # of a binding
    assert "parallel_tool_calls" not in llm.bind_tools([add]).kwargs  # type: ignore[attr-defined] # of a binding
