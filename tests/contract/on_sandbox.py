"""Put KiloLLM under the contract, with the sandbox as its gateway."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, ClassVar

import pytest

from kilo_gateway.sandbox import Sandbox
from kilo_gateway.sandbox.wire.reading import as_chat
from llama_index_kilo import KiloLLM

from .base import ContractBase


class OnSandbox(ContractBase):
    """The factory and the hooks of the contract; a subclass names interface and model."""

    is_deterministic = True
    api: ClassVar[Any] = "completions"
    model: ClassVar[str] = "anthropic/claude-sonnet-4.6"
    sandbox: Sandbox

    @pytest.fixture(autouse=True)
    def _on_the_sandbox(self, kilo_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        self.sandbox = kilo_sandbox
        monkeypatch.setenv("KILO_ORG_ID", "")
        with ExitStack() as self.sandboxes:
            yield

    def make(self, model: str, **fields: Any) -> KiloLLM:
        return KiloLLM(
            model=model,
            api=self.api,
            base_url=self.sandbox.base_url,
            api_key=self.sandbox.api_key,
            default_headers={"x-extra": "s3cr3t-header"},
            merge_ready=False,  # responses of two calls are compared one by one
            max_retries=0,
            **fields,
        )

    def make_llm(self, **fields: Any) -> KiloLLM:
        return self.make(self.model, **fields)

    def make_slow_llm(self) -> KiloLLM:
        self.sandbox = self.sandboxes.enter_context(Sandbox(delay=0.1))
        return self.make_llm()

    def secrets(self) -> list[str]:
        return [self.sandbox.api_key, "s3cr3t-header"]

    def count_requests(self) -> int:
        return len(self.sandbox.requests)

    def last_messages(self) -> list[dict[str, Any]]:
        body = self.sandbox.last.json
        return list((body if self.api == "completions" else as_chat(self.api, body))["messages"])

    def was_disconnected(self) -> bool:
        return self.sandbox.wait_for(lambda record: record.disconnected, timeout=20).disconnected


class InJSONMode(OnSandbox):
    """Structured output with the model's own JSON mode in place of a forced tool."""

    def make_llm(self, **fields: Any) -> KiloLLM:
        return super().make_llm(structured_output_method="json_schema", **fields)
