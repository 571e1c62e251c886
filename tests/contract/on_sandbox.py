"""Put KiloLLM under the contract, with the sandbox as its gateway, or the live one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, ClassVar

import pytest

from kilo_gateway.sandbox import Sandbox
from kilo_gateway.sandbox.wire.reading import as_chat
from llama_index_kilo import KiloLLM
from tests.support.vcr_settings import Source

from .base import ContractBase


class OnSandbox(ContractBase):
    """The factory and the hooks of the contract; a subclass names interface and model.

    On the live gateway, what only the sandbox can show is skipped: its records, its faults, and equal answers.
    """

    api: ClassVar[Any] = "completions"
    model: ClassVar[str] = "anthropic/claude-sonnet-4.6"
    live_model: ClassVar[str] = "openai/gpt-5.4-mini"
    """A cheaper model, for the live gateway."""
    thinking_model: ClassVar[str | None] = None
    failing_model: ClassVar[str] = "sandbox/finish-error"
    gateway: Source
    sandbox: Sandbox
    is_live: bool

    @pytest.fixture(autouse=True)
    def _on_a_gateway(
        self, tested_gateway: Source, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[None]:
        self.gateway = tested_gateway
        self.is_live = tested_gateway.budget is not None
        self.is_deterministic = not self.is_live  # type: ignore[misc] # of this run, for all tests of the class
        if not self.is_live:
            self.sandbox = request.getfixturevalue("kilo_sandbox")
        monkeypatch.setenv("KILO_ORG_ID", "")
        with ExitStack() as self.sandboxes:
            yield

    def make(self, model: str, **fields: Any) -> KiloLLM:
        return KiloLLM(
            model=model,
            api=self.api,
            default_headers={"x-extra": "s3cr3t-header"},
            merge_ready=False,  # responses of two calls are compared one by one
            max_retries=0,
            **self.gateway.chat_params,
            **fields,
        )

    def make_llm(self, **fields: Any) -> KiloLLM:
        return self.make(self.live_model if self.is_live else self.model, **fields)

    def make_thinking_llm(self) -> KiloLLM:
        if self.is_live or self.thinking_model is None:
            return self.make_llm(reasoning={"effort": "low"})
        return self.make(self.thinking_model)

    def make_failing_llm(self) -> KiloLLM:
        return self.make("kilo-gateway/no-such-model" if self.is_live else self.failing_model)

    def make_slow_llm(self) -> KiloLLM | None:
        if self.is_live:
            return None
        slow = self.sandboxes.enter_context(Sandbox(delay=0.1))
        self.sandbox, self.gateway = slow, replace(self.gateway, base_url=slow.base_url)
        return self.make_llm()

    def secrets(self) -> list[str]:
        return [self.gateway.api_key or "", "s3cr3t-header"]

    def count_requests(self) -> int | None:
        return None if self.is_live else len(self.sandbox.requests)

    def last_messages(self) -> list[dict[str, Any]] | None:
        if self.is_live:
            return None
        body = self.sandbox.last.json
        return list((body if self.api == "completions" else as_chat(self.api, body))["messages"])

    def was_disconnected(self) -> bool:
        return self.sandbox.wait_for(lambda record: record.disconnected, timeout=20).disconnected


class InJSONMode(OnSandbox):
    """Structured output with the model's own JSON mode in place of a forced tool."""

    def make_llm(self, **fields: Any) -> KiloLLM:
        return super().make_llm(structured_output_method="json_schema", **fields)
