"""What the tests of KiloLLM share: a paid model on the sandbox, and two tools."""

from typing import Any

import pytest

from kilo_gateway.sandbox import Sandbox
from llama_index_kilo import KiloLLM

PAID = "anthropic/claude-sonnet-4.6"


@pytest.fixture
def llm(kilo_sandbox: Sandbox) -> KiloLLM:
    return KiloLLM(model=PAID, base_url=kilo_sandbox.base_url, api_key=kilo_sandbox.api_key)


@pytest.fixture
def scenario(kilo_sandbox: Sandbox) -> Any:
    """A function from a scenario's name to a KiloLLM that meets it."""

    def build(name: str, **fields: Any) -> KiloLLM:
        return KiloLLM(model=f"sandbox/{name}", base_url=kilo_sandbox.base_url, max_retries=0, **fields)

    return build
