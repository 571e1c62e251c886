"""Test that KiloLLM fulfils the contract, with a tool and with the model's own JSON mode."""

from llama_index_kilo import KiloLLM

from .llama_index_contract import LLMContract
from .objects import ObjectContract
from .on_sandbox import InJSONMode, OnSandbox

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


class TestKiloLLM(OnSandbox, LLMContract):
    thinking_model = "sandbox/reasoning-encrypted"

    def make_llm_meeting(self, situation: str) -> KiloLLM | None:
        return None if self.is_live else self.make(f"sandbox/{SCENARIOS[situation]}")


class TestKiloLLMInJSONMode(InJSONMode, ObjectContract):
    pass
