"""Provide models for the sandbox's scenarios."""

from collections.abc import Callable
from typing import Any

import pytest

from kilo_gateway.sandbox import Sandbox
from langchain_kilo import ChatKilo

Scenario = Callable[..., ChatKilo]


@pytest.fixture
def scenario(kilo_sandbox: Sandbox) -> Scenario:
    """Return a function that builds a ChatKilo for a scenario, from its name and further fields."""

    def build(name: str, **fields: Any) -> ChatKilo:
        return ChatKilo(model=f"sandbox/{name}", base_url=kilo_sandbox.base_url, **{"max_retries": 0, **fields})

    return build
