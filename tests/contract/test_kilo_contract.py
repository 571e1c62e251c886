"""Test that KiloLLM fulfils the contract, with a tool and with the model's own JSON mode."""

from typing import Any

import pytest

from kilo_gateway.sandbox import Sandbox
from llama_index_kilo import KiloLLM

from .llama_index_contract import LLMContract

SCENARIOS = {
    "an error object in the stream": "stream-error-upstream",
    "a string error in the stream": "stream-error-string",
    "finish reason error": "finish-error",
    "an error inside the choice": "error-choice-error",
    "status 200 with an error": "error-200-credits",
    "no choices": "error-choices-empty-200",
    "the stream ends early": "cut-stream",
    "the connection breaks": "drop-connection",
    "the stream is empty": "empty-stream",
    "two calls in one chunk": "tool-two-in-one-chunk",
    "interleaved calls": "parallel-interleaved",
    "id and name in every chunk": "tool-id-repeated",
    "no index": "tool-no-index",
    "the same index for all calls": "parallel-same-index",
    "arguments cut at the output limit": "tool-args-truncated",
    "arguments that are not JSON": "tool-args-invalid",
}


class TestKiloLLM(LLMContract):
    is_deterministic = True
    sandbox: Sandbox

    @pytest.fixture(autouse=True)
    def _on_the_sandbox(self, kilo_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sandbox = kilo_sandbox
        monkeypatch.setenv("KILO_ORG_ID", "")

    def make(self, model: str, **fields: Any) -> KiloLLM:
        return KiloLLM(
            model=model,
            base_url=self.sandbox.base_url,
            api_key=self.sandbox.api_key,
            default_headers={"x-extra": "s3cr3t-header"},
            max_retries=0,
            **fields,
        )

    def make_llm(self, **fields: Any) -> KiloLLM:
        return self.make("anthropic/claude-sonnet-4.6", **fields)

    def make_thinking_llm(self) -> KiloLLM:
        return self.make("sandbox/reasoning-encrypted")

    def make_failing_llm(self) -> KiloLLM:
        return self.make("sandbox/finish-error")

    def make_slow_llm(self) -> KiloLLM:
        self.sandbox.clear()
        return self.make("sandbox/slow")

    def make_llm_meeting(self, situation: str) -> KiloLLM:
        return self.make(f"sandbox/{SCENARIOS[situation]}")

    def secrets(self) -> list[str]:
        return [self.sandbox.api_key, "s3cr3t-header"]

    def count_requests(self) -> int:
        return len(self.sandbox.requests)

    def last_messages(self) -> list[dict[str, Any]]:
        return list(self.sandbox.last.json["messages"])

    def was_disconnected(self) -> bool:
        return self.sandbox.wait_for(lambda record: record.disconnected, timeout=20).disconnected


class TestKiloLLMInJSONMode(TestKiloLLM):
    def make_llm(self, **fields: Any) -> KiloLLM:
        return super().make_llm(structured_output_method="json_schema", **fields)
