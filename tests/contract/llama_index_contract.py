"""Define a contract for LLM classes of LlamaIndex: tests to inherit, like those of langchain-tests.

LlamaIndex has an interface for LLMs but no tests of it, so each integration has only the tests of its own
author. These tests check the behaviour that LlamaIndex's engines, agents, callbacks and pipelines rely on.
To use them, write a subclass with a factory, and declare the capabilities of your model:

    class TestMyLLM(LLMContract):
        has_parallel_tools = False

        def make_llm(self, **fields):
            return MyLLM(api_key="...", **fields)

Only the factory is required. The switches (`has_tools`, `has_usage`, ...), the questions and the hooks
(`make_thinking_llm`, `make_failing_llm`, `make_slow_llm`, `secrets`, `count_requests`, `last_messages`)
are described in `base.py`, and the hook `make_llm_meeting` for oddities of servers in `quirks.py`. A test is
skipped, with a reason, if its switch is off or its hook is absent. Nothing here depends on a particular LLM,
server or recording: the class may call a live model, a local fake or a cassette. Async endpoints run in new
event loops, so no pytest plugin is needed.
"""

from __future__ import annotations

from .answers import AnswerContract
from .lifecycle import LifecycleContract
from .objects import ObjectContract
from .quirks import QuirkContract
from .tools import ToolContract


class LLMContract(AnswerContract, ToolContract, ObjectContract, LifecycleContract, QuirkContract):
    """All tests of the contract."""
