from __future__ import annotations

from collections.abc import Iterator

import pytest

from kilo_gateway.sandbox import Sandbox


@pytest.fixture(scope="session")
def _gateway() -> Iterator[Sandbox]:
    with Sandbox() as gateway:
        yield gateway


@pytest.fixture
def gw(_gateway: Sandbox) -> Sandbox:
    _gateway.clear()
    return _gateway
