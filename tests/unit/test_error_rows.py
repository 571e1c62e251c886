"""Each row of the error table says what to do, also where no tier can be asked."""

import dataclasses

import pytest

from kilo_gateway.errors import table
from kilo_gateway.errors.sent import Sent
from kilo_gateway.errors.translate import from_body

ROWS = {**table.BY_TYPE, **{str(status): row for status, row in table.BY_STATUS.items()}}


@pytest.mark.parametrize("name", table.BY_TYPE)
def test_an_embedding_is_not_advised_to_ask_a_tier(name: str) -> None:
    error = from_body({"error": "no", "error_type": name}, status=None, sent=Sent(chat=False))
    assert "tier" not in str(error)
    assert str(error).endswith(".")


@pytest.mark.parametrize("name", ROWS)
def test_a_remedy_can_be_reworded(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    row = ROWS[name]
    reworded = dataclasses.replace(row, remedy="Reworded.")
    if name in table.BY_TYPE:
        monkeypatch.setitem(table.BY_TYPE, name, reworded)
        body, status = {"error": "no", "error_type": name}, None
    else:
        monkeypatch.setitem(table.BY_STATUS, int(name), reworded)
        body, status = {"error": "no"}, int(name)
    assert str(from_body(body, status=status, sent=Sent(chat=True))).endswith("Reworded.")
    without = str(from_body(body, status=status, sent=Sent(chat=False)))
    assert without.endswith("Reworded.") == (row.without_tiers is None)
