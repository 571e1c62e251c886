"""Provide the fixture `kilo_sandbox`: one local gateway for the whole run, with an empty record for each test.

pytest imports this module in every run. So the server is imported only when a test uses the fixture.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from kilo_gateway.sandbox.server import Sandbox


@pytest.fixture(scope="session")
def _kilo_sandbox_server() -> Iterator[Sandbox]:
    from kilo_gateway.sandbox.server import Sandbox

    with Sandbox() as gateway:
        yield gateway


@pytest.fixture
def kilo_sandbox(_kilo_sandbox_server: Sandbox) -> Sandbox:
    """Return a running sandbox that has no recorded requests and whose scenarios start at the first call."""
    _kilo_sandbox_server.clear()
    return _kilo_sandbox_server
