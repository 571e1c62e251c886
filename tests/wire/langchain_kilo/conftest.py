"""Models of the sandbox's scenarios."""

from collections.abc import Callable
from typing import Any

import pytest

from kilo_gateway.sandbox import Sandbox
from langchain_kilo import ChatKilo

Scenario = Callable[..., ChatKilo]


@pytest.fixture
def scenario(kilo_sandbox: Sandbox) -> Scenario:
    """Return a ChatKilo that asks for a scenario, given its name and further fields."""

    def made(name: str, **fields: Any) -> ChatKilo:
        return ChatKilo(model=f"sandbox/{name}", base_url=kilo_sandbox.base_url, **{"max_retries": 0, **fields})

    return made
