"""Targets of the tests, which workers import; a function inside a test would travel with the whole test."""

import asyncio
from typing import Any

from langchain_kilo import ChatKilo

PAID = "anthropic/claude-sonnet-4.6"


class Asking:
    """Asks a model for a row, slowly, unless the row is to fail."""

    def __init__(self, llm: ChatKilo, seconds: float = 0.0) -> None:
        self.llm = llm
        self.seconds = seconds

    async def __call__(self, row: dict[str, Any]) -> str:
        """Return the answer to the question."""
        await asyncio.sleep(self.seconds)
        if row.get("bad"):
            raise LookupError("no such river")
        answer = await self.llm.ainvoke(row["question"])
        return str(answer.text)
