"""A worker process that asks with limits applied; its module imports little, because each new process reads it."""

import asyncio
import os
from typing import Any

import ray

from kilo_gateway.ray.limits import ClusterLimits
from langchain_kilo import ChatKilo


class _Worker:
    """A worker process, which asks with the limits applied; it has no list of models, as on another machine."""

    def __init__(self, cache: str) -> None:
        os.environ["KILO_CACHE_DIR"] = cache

    def ask(
        self, llm: ChatKilo, limits: ClusterLimits, number: int, *, within: float | None = None, **call: Any
    ) -> list[Any]:
        """Ask `number` times at the same time; return the texts and the errors."""

        async def one() -> Any:
            with limits.applied():
                try:
                    async with asyncio.timeout(within):
                        return (await llm.ainvoke("hi", **call)).text
                except Exception as error:  # the test looks at it
                    return error

        async def several() -> list[Any]:
            return await asyncio.gather(*(one() for _ in range(number)))

        return asyncio.run(several())

    def ask_until_it_is_spent(self, llm: ChatKilo, limits: ClusterLimits, **call: Any) -> tuple[int, Any]:
        """Ask until a call raises; return how many were answered, and the error."""
        answered = 0
        while True:
            answers = self.ask(llm, limits, 4, **call)
            answered += sum(isinstance(answer, str) for answer in answers)
            for answer in answers:
                if isinstance(answer, Exception):
                    return answered, answer

    def end(self, limits: ClusterLimits) -> None:
        limits.close_share()

    def process(self) -> int:
        return os.getpid()


Worker: Any = ray.remote(num_cpus=0.1)(_Worker)
