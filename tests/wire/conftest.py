"""A gateway that bills, for the tests of money."""

from collections.abc import Iterator

import pytest

from kilo_gateway import list_models
from tests.support.billing import KEY, BillingGateway, Plans


@pytest.fixture(scope="session")
def _billing_gateway() -> Iterator[BillingGateway]:
    with BillingGateway() as gateway:
        yield gateway


@pytest.fixture
def gateway(_billing_gateway: BillingGateway) -> BillingGateway:
    """A gateway that bills, whose list of models is known."""
    list_models(base_url=_billing_gateway.base_url, api_key=KEY)
    return _billing_gateway


@pytest.fixture
def plans(gateway: BillingGateway, request: pytest.FixtureRequest) -> Plans:
    """Makes what calls send along, and adds up what is billed for them."""
    return Plans(gateway, request.node.nodeid)
