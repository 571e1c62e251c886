"""Let retries follow at once, and provide a gateway that bills, for the tests of budgets and costs."""

from collections.abc import Iterator

import pytest

from kilo_gateway import list_models
from tests.support.billing import KEY, BillingGateway, Plans


@pytest.fixture(autouse=True)
def _retries_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it, the official client waits half a second and more before each retry."""
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.001)


@pytest.fixture(scope="session")
def _billing_gateway() -> Iterator[BillingGateway]:
    with BillingGateway() as gateway:
        yield gateway


@pytest.fixture
def gateway(_billing_gateway: BillingGateway) -> BillingGateway:
    """Return a gateway that bills, after its list of models was fetched."""
    list_models(base_url=_billing_gateway.base_url, api_key=KEY)
    return _billing_gateway


@pytest.fixture
def plans(gateway: BillingGateway, request: pytest.FixtureRequest) -> Plans:
    """Return the plans that calls send to the gateway; `billed` is the sum of their charges."""
    return Plans(gateway, request.node.nodeid)
