"""The sandbox without a socket, under the name that its own tests use."""

import pytest

from tests.support.in_process import InProcess


@pytest.fixture(scope="session")
def _gateway() -> InProcess:
    return InProcess()


@pytest.fixture
def gw(_gateway: InProcess) -> InProcess:
    """A gateway with an empty record."""
    _gateway.clear()
    return _gateway
