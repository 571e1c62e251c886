"""A unit test opens no socket."""

import pytest


@pytest.fixture(autouse=True)
def _no_socket(socket_disabled: None) -> None:
    """Make it an error."""
