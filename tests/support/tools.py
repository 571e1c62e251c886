"""Define the tools that tests offer to models."""

from langchain_core.tools import tool
from langchain_core.utils.function_calling import convert_to_openai_tool
from llama_index.core.tools import FunctionTool


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def greet(name: str) -> str:
    """Greet a person by name."""
    return f"Hello {name}, welcome"


TOOLS = [convert_to_openai_tool(add), convert_to_openai_tool(greet)]
"""The two tools for LangChain, converted once, because that takes some milliseconds."""
FUNCTION_TOOLS = [FunctionTool.from_defaults(add), FunctionTool.from_defaults(greet)]
"""The same two tools for LlamaIndex."""


@tool
def weather(city: str, days: int = 1) -> str:
    """Tell the weather in a city."""  # words: keep -- a model receives it
    return f"{city}: sunny for {days} days"


@tool
def clock() -> str:
    """Tell the time."""  # words: keep -- a model receives it
    return "12:00"
