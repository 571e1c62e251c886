"""Test that KiloLLM fulfils the contract on Messages and on Responses.

The situations of `quirks.py` are forms of Chat Completions; `tests/unit/interfaces` has those of these two.
"""

from typing import ClassVar

from llama_index.core.llms import ChatMessage

from llama_index_kilo import KiloLLM

from .answers import AnswerContract
from .base import CHAT
from .lifecycle import LifecycleContract
from .objects import ObjectContract
from .on_sandbox import InJSONMode, OnSandbox
from .tools import ToolContract


class OnMessages(OnSandbox):
    api = "messages"

    def make_failing_llm(self) -> KiloLLM:
        return self.make("anthropic/unknown")


class OnResponses(OnSandbox):
    api = "responses"
    model = "openai/gpt-5.5"

    def make_failing_llm(self) -> KiloLLM:
        return self.make("openai/unknown")


class AllButQuirks(OnSandbox, AnswerContract, ToolContract, ObjectContract, LifecycleContract):
    signed: ClassVar[str]
    """The field of a request's parts that holds the signature or the encrypted reasoning."""

    def make_thinking_llm(self) -> KiloLLM:
        return self.make_llm(reasoning={"effort": "low"})

    def test_signed_thoughts_are_sent_back(self) -> None:
        """A thought and its signature go back unchanged, also through JSON, in the interface's own parts."""
        llm = self.make_thinking_llm()
        for endpoint in CHAT:
            answer = self.ask(llm, endpoint)[-1].message
            [thought] = [block for block in answer.blocks if block.block_type == "thinking"]
            bodies = []
            for message in (answer, ChatMessage.model_validate_json(answer.model_dump_json())):
                llm.chat([*self.user, message, ChatMessage(role="user", content="Go on")])
                bodies.append(self.sandbox.last.json)
            assert bodies[0] == bodies[1]
            assert thought.content in repr(bodies[0])
            assert f"'{self.signed}': '" in repr(bodies[0])


class TestKiloLLMOnMessages(OnMessages, AllButQuirks):
    signed = "signature"


class TestKiloLLMOnResponses(OnResponses, AllButQuirks):
    signed = "encrypted_content"


class TestKiloLLMOnMessagesInJSONMode(InJSONMode, OnMessages, ObjectContract):
    pass


class TestKiloLLMOnResponsesInJSONMode(InJSONMode, OnResponses, ObjectContract):
    pass
