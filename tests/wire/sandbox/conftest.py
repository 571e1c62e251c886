"""Provide the sandbox under the name that its own tests use."""

import pytest

from kilo_gateway.sandbox import Sandbox


@pytest.fixture
def gw(kilo_sandbox: Sandbox) -> Sandbox:
    return kilo_sandbox
