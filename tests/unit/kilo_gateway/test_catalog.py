"""The models as a collection: filter, sort, look up, show."""

import sys
import time
import warnings
from collections.abc import Callable
from decimal import Decimal
from io import StringIO
from typing import Any

import pandas as pd
import pytest
from rich.console import Console

from kilo_gateway import ModelCatalog, ModelInfo, UnknownModelError


def model(model_id: str, prompt: str | None = None, **entry: Any) -> dict[str, Any]:
    return {"id": model_id, "pricing": None if prompt is None else {"prompt": prompt}, **entry}


CATALOG = ModelCatalog.read(
    [
        model("kilo-auto/balanced", "-1", context_length=1_000_000),
        model("a/large", "0.00001", context_length=400_000, isFree=False, supported_parameters=["tools"]),
        model("b/small", "0.0000003", context_length=100_000, isFree=False, supported_parameters=["seed"]),
        model("b/free:free", "0", context_length=100_000, isFree=True, mayTrainOnYourPrompts=True),
        model("c/unreported"),
    ]
)


def test_a_catalogue_is_a_sequence() -> None:
    assert len(CATALOG) == 5
    assert CATALOG[0].id == CATALOG.ids[0] == "kilo-auto/balanced"
    assert CATALOG[1:3].ids == ["a/large", "b/small"]
    assert "a/large" in CATALOG
    assert CATALOG[1] in CATALOG
    assert "a/none" not in CATALOG
    assert next(reversed(CATALOG)).id == "c/unreported"
    assert not ModelCatalog()
    assert CATALOG.age is None


@pytest.mark.parametrize(
    ("conditions", "ids"),
    [
        ({}, CATALOG.ids),
        ({"free": True}, ["b/free:free"]),
        ({"free": False}, ["a/large", "b/small"]),
        ({"tools": True}, ["a/large"]),
        ({"tools": False}, ["b/small"]),
        ({"reasoning": True}, []),
        ({"vision": True}, []),
        ({"structured_outputs": False}, ["a/large", "b/small"]),
        ({"may_train_on_prompts": True}, ["b/free:free"]),
        ({"min_context": 400_000}, ["kilo-auto/balanced", "a/large"]),
        ({"min_output": 1}, []),
        ({"vendor": "b"}, ["b/small", "b/free:free"]),
        ({"vendor": ["a", "c"]}, ["a/large", "c/unreported"]),
        ({"max_prompt_price": 0.3}, ["b/small", "b/free:free"]),
        ({"max_prompt_price": Decimal("0.29")}, ["b/free:free"]),
        ({"max_prompt_price": 1e9}, ["a/large", "b/small", "b/free:free"]),
        ({"max_completion_price": 1e9}, []),
        ({"vendor": "b", "free": False}, ["b/small"]),
    ],
)
def test_a_filter_keeps_what_is_known_to_fit(conditions: dict[str, Any], ids: list[str]) -> None:
    assert CATALOG.filter(**conditions).ids == ids


def test_unknown_prices_are_last_and_never_cheapest() -> None:
    assert CATALOG.sort().ids == ["b/free:free", "b/small", "a/large", "kilo-auto/balanced", "c/unreported"]
    assert CATALOG.sort(reverse=True).ids == ["a/large", "b/small", "b/free:free", "kilo-auto/balanced", "c/unreported"]
    assert CATALOG.sort("context_length").ids[-1] == "c/unreported"
    assert CATALOG.sort("id").ids[0] == "a/large"


def test_what_cannot_be_sorted_by_is_named() -> None:
    with pytest.raises(ValueError, match="did you mean 'prompt_price'"):
        CATALOG.sort("promt_price")
    with pytest.raises(ValueError, match=r"names: .*context_length"):
        CATALOG.sort("???")
    with pytest.raises(ValueError, match="no order"):
        CATALOG.sort("pricing")


def test_an_unknown_id_names_the_nearest() -> None:
    assert CATALOG.get("a/large") is CATALOG[1]
    assert CATALOG.get(" A/Large ") is CATALOG[1]
    for wrong in ("a/lagre", "large", "z/large"):
        with pytest.raises(UnknownModelError, match="did you mean 'a/large'") as caught:
            CATALOG.get(wrong)
        assert isinstance(caught.value, LookupError)
        assert isinstance(caught.value, ValueError)
    with pytest.raises(UnknownModelError, match=r"not one of the 5 models; see \.ids"):
        CATALOG.get("?")


def test_filter_and_sort_keep_where_the_list_comes_from() -> None:
    old = ModelCatalog.read([model("a/b")], fetched_at=time.time() - 7260, from_cache=True)
    for catalog in (old, old.filter(vendor="a"), old.sort(), old[:]):
        assert repr(catalog).startswith("ModelCatalog(1 model, fetched 2 h ago")
        assert catalog.age == pytest.approx(7260, abs=60)


# Showing


def test_the_plain_table_shows_prices_and_what_is_not_known() -> None:
    lines = str(CATALOG).splitlines()
    assert lines[0].split() == ["Model", "Context", "Max", "output", "USD/M", "in", "USD/M", "out", "Can", "Note"]
    assert lines[1].split() == ["kilo-auto/balanced", "1,000,000", "?", "?", "?"]
    assert lines[2].split() == ["a/large", "400,000", "?", "10", "?", "tools"]
    assert lines[4].split() == ["b/free:free", "100,000", "?", "0", "?", "free,", "may", "train", "on", "prompts"]
    assert lines[-1] == "5 models"


def test_rich_draws_a_table() -> None:
    output = StringIO()
    Console(file=output, width=120, force_terminal=True).print(CATALOG)
    assert "─" in output.getvalue()
    assert "b/free:free" in output.getvalue()


def drawn(catalog: ModelCatalog) -> str:
    output = StringIO()
    Console(file=output, width=200).print(catalog)
    return output.getvalue()


HOSTILE = "<script>alert(1)</script>[bold]\x1b[2J\u202e\ud83d"


@pytest.mark.parametrize(
    "show",
    [str, ModelCatalog._repr_html_, drawn],
)
def test_texts_of_the_gateway_are_shown_safely(show: Callable[[ModelCatalog], str]) -> None:
    # A lone surrogate makes an id unreadable, so the hostile id is without one.
    shown = show(ModelCatalog.read([model(HOSTILE[:-1]), model("a/b", name=HOSTILE)]))
    assert "\x1b[2J" not in shown
    assert "\u202e" not in shown
    assert "[bold]" in shown  # no markup to rich
    shown.encode()
    if show is ModelCatalog._repr_html_:
        assert "<script>" not in shown
        assert "&lt;script&gt;" in shown


def test_a_frame_has_numbers_and_gaps() -> None:
    frame = CATALOG.to_frame()
    assert isinstance(frame, pd.DataFrame)
    assert frame["id"].tolist() == CATALOG.ids
    row = frame.set_index("id").loc["a/large"]
    assert (row["prompt_price"], row["context_length"], row["supports_tools"], row["vendor"]) == (
        10,
        400_000,
        True,
        "a",
    )
    assert frame["prompt_price"].isna().tolist() == [True, False, False, False, True]
    assert frame["prompt_price"].dtype == float
    assert list(ModelCatalog().to_frame().columns) == list(frame.columns)


def test_a_frame_without_pandas_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="pip install pandas"):
        CATALOG.to_frame()


def test_an_info_of_ones_own_is_welcome() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert ModelCatalog([ModelInfo(id="a/b", context_length=5)]).get("a/b").context_length == 5
