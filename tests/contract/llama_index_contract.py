"""A contract for LLM classes of LlamaIndex: tests to inherit, in the manner of langchain-tests.

LlamaIndex has an interface for LLMs but no tests of it, so each integration tests what its author thought
of. These tests state what LlamaIndex's engines, agents, callbacks and pipelines rely on. To use them,
subclass with a factory and say what your model can do:

    class TestMyLLM(LLMContract):
        has_parallel_tools = False

        def make_llm(self, **fields):
            return MyLLM(api_key="...", **fields)

The factory is the only duty. The switches (`has_tools`, `has_usage`, ...), the questions and the hooks
(`make_thinking_llm`, `make_failing_llm`, `make_slow_llm`, `secrets`, `count_requests`, `last_messages`)
are told in `base.py`, and in `quirks.py` the hook `make_llm_meeting` for oddities of servers. A test whose
switch is off or whose hook is absent is skipped, and says so. Nothing here knows a particular LLM, server
or way of recording: the class may ask a live model, a local fake or a cassette. Async endpoints run in
event loops of their own, so no pytest plugin is needed.
"""

from __future__ import annotations

from .answers import AnswerContract
from .lifecycle import LifecycleContract
from .quirks import QuirkContract
from .tools import ToolContract


class LLMContract(AnswerContract, ToolContract, LifecycleContract, QuirkContract):
    """Everything that LlamaIndex relies on in an LLM."""
