"""The fixture `kilo_sandbox`: one local gateway for the whole run, with an empty record for each test.

pytest imports this module in every run, so it imports nothing heavy until the fixture is used.
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
    """A running sandbox with no requests on record and every counting scenario at its start."""
    _kilo_sandbox_server.clear()
    return _kilo_sandbox_server
