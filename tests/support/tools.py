"""The tools that tests offer to models."""

from langchain_core.tools import tool
from llama_index.core.tools import FunctionTool


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def greet(name: str) -> str:
    """Greet a person by name."""
    return f"Hello {name}, welcome"


FUNCTION_TOOLS = [FunctionTool.from_defaults(add), FunctionTool.from_defaults(greet)]
"""Both as LlamaIndex has them."""


@tool
def weather(city: str, days: int = 1) -> str:
    """Tell the weather in a city."""
    return f"{city}: sunny for {days} days"


@tool
def clock() -> str:
    """Tell the time."""
    return "12:00"
