"""Test that KiloLLM fulfils the contract on Messages and on Responses.

The situations of `quirks.py` are forms of Chat Completions; `tests/unit/interfaces` has those of these two.
"""

from typing import ClassVar

from llama_index.core.llms import ChatMessage

from .answers import AnswerContract
from .base import CHAT
from .lifecycle import LifecycleContract
from .objects import ObjectContract
from .on_sandbox import InJSONMode, OnSandbox
from .tools import ToolContract


class OnMessages(OnSandbox):
    api = "messages"
    live_model = "anthropic/claude-haiku-4.5"
    failing_model = "anthropic/unknown"


class OnResponses(OnSandbox):
    api = "responses"
    model = "openai/gpt-5.5"
    failing_model = "openai/unknown"


class AllButQuirks(OnSandbox, AnswerContract, ToolContract, ObjectContract, LifecycleContract):
    signed: ClassVar[str]
    """The field of a request's parts that holds the signature or the encrypted reasoning."""

    def test_signed_thoughts_are_sent_back(self) -> None:
        """A thought and its signature go back unchanged, also through JSON, in the interface's own parts."""
        self.need(not self.is_live, "record of requests")
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
