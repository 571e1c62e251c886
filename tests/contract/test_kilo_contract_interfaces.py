"""Test that KiloLLM fulfils the contract on Messages and on Responses.

The situations of `quirks.py` are forms of Chat Completions; `tests/unit/interfaces` has those of these two.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, ClassVar

import pytest
from llama_index.core.llms import ChatMessage

from kilo_gateway.sandbox import Sandbox
from kilo_gateway.sandbox.wire.reading import as_chat
from llama_index_kilo import KiloLLM

from .answers import AnswerContract
from .base import CHAT
from .lifecycle import LifecycleContract
from .tools import ToolContract


class OnInterface(AnswerContract, ToolContract, LifecycleContract):
    is_deterministic = True
    api: ClassVar[Any]
    model: ClassVar[str]
    signed: ClassVar[str]
    """The field of a request's parts that holds the signature or the encrypted reasoning."""
    sandbox: Sandbox

    @pytest.fixture(autouse=True)
    def _on_the_sandbox(self, kilo_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        self.sandbox = kilo_sandbox
        monkeypatch.setenv("KILO_ORG_ID", "")
        with ExitStack() as self.sandboxes:
            yield

    def make_llm(self, **fields: Any) -> KiloLLM:
        fields = {"model": self.model, "base_url": self.sandbox.base_url, **fields}
        return KiloLLM(api=self.api, api_key=self.sandbox.api_key, max_retries=0, **fields)

    def make_thinking_llm(self) -> KiloLLM:
        return self.make_llm(reasoning={"effort": "low"})

    def make_failing_llm(self) -> KiloLLM:
        return self.make_llm(model="anthropic/unknown")

    def make_slow_llm(self) -> KiloLLM:
        self.sandbox = self.sandboxes.enter_context(Sandbox(delay=0.5))
        return self.make_llm()

    def secrets(self) -> list[str]:
        return [self.sandbox.api_key]

    def count_requests(self) -> int:
        return len(self.sandbox.requests)

    def last_messages(self) -> list[dict[str, Any]]:
        return list(as_chat(self.api, self.sandbox.last.json)["messages"])

    def was_disconnected(self) -> bool:
        return self.sandbox.wait_for(lambda record: record.disconnected, timeout=20).disconnected

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


class TestKiloLLMOnMessages(OnInterface):
    api = "messages"
    model = "anthropic/claude-sonnet-4.6"
    signed = "signature"


class TestKiloLLMOnResponses(OnInterface):
    api = "responses"
    model = "openai/gpt-5.5"
    signed = "encrypted_content"


class TestKiloLLMOnMessagesInJSONMode(TestKiloLLMOnMessages):
    def make_llm(self, **fields: Any) -> KiloLLM:
        return super().make_llm(structured_output_method="json_schema", **fields)


class TestKiloLLMOnResponsesInJSONMode(TestKiloLLMOnResponses):
    def make_llm(self, **fields: Any) -> KiloLLM:
        return super().make_llm(structured_output_method="json_schema", **fields)
