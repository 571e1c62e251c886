"""Provide fixtures for the tests of KiloLLM: a paid model on the sandbox, and models for scenarios."""

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
    """Return a function that builds a KiloLLM for a scenario, from its name and further fields."""

    def build(name: str, **fields: Any) -> KiloLLM:
        return KiloLLM(model=f"sandbox/{name}", base_url=kilo_sandbox.base_url, max_retries=0, **fields)

    return build
