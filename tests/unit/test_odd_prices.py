"""A price of any number of digits is read, and shown in a few."""

from decimal import Decimal

import pytest

from kilo_gateway import ModelCatalog
from kilo_gateway.models.info import ModelInfo


def info(price: str) -> ModelInfo:
    model = ModelInfo.read({"id": "a/b", "pricing": {"prompt": price, "completion": price}})
    assert model is not None
    return model


@pytest.mark.parametrize("price", ["1e-900000", "0e-900000", "1e-1000005", "0." + "0" * 5000 + "1"])
def test_a_price_of_nearly_nothing_is_nothing(price: str) -> None:
    assert str(info(price).prompt_price) == "0"


@pytest.mark.parametrize(
    ("price", "per_million"),
    [("0.000003", "3"), ("0.0000000000001", "1E-7"), ("1" * 5000, None), ("1e300", None)],
)
def test_other_prices_stay_what_they_are(price: str, per_million: str | None) -> None:
    assert info(price).prompt_price == (None if per_million is None else Decimal(per_million))


@pytest.mark.parametrize("price", ["1e-900000", "0e-900000", "0." + "1" * 5000, "9" * 20])
def test_no_price_is_long(price: str) -> None:
    catalog = ModelCatalog([info(price)])
    for shown in (str(catalog), catalog._repr_html_(), f"{info(price).prompt_price:f}"):
        assert len(shown) < 800
