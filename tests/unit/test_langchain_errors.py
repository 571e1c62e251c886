"""Each error of `kilo_gateway` has a class of `langchain_kilo.errors`, which is declared and keeps all it knows."""

from __future__ import annotations

import ast
import copy
import inspect
import pickle
import traceback
from typing import Any

import pytest
from langchain_core.exceptions import ModelAPIError, ModelError

import kilo_gateway.errors as core
from langchain_kilo import errors
from langchain_kilo.translation import langchain_errors

CLASSES = [c for c in vars(core).values() if isinstance(c, type) and issubclass(c, core.KiloError)]
every_class = pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
FACTS: dict[str, Any] = {
    "body": {"a": 1},
    "response": object(),
    "status_code": 500,
    "code": "c",
    "type": "t",
    "error_type": "no_free_models_available",
    "request_id": "r",
    "generation_id": "g",
    "provider_name": "p",
    "retry_after": 2.0,
    "balance": 1.0,
    "buy_credits_url": "u",
    "partial_text": "so far",
}


def raised(error: Exception) -> Any:
    with pytest.raises(type(error)) as caught, langchain_errors():
        raise error
    return caught.value


def test_all_classes_are_declared() -> None:
    """So that a type checker knows them, and reports a name that does not exist."""
    tree = ast.parse(inspect.getsource(errors))
    declared = {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
    assert {cls.__name__ for cls in CLASSES} <= declared
    assert "__getattr__" not in vars(errors)


@every_class
def test_an_error_becomes_the_class_of_its_name(cls: type[core.KiloError]) -> None:
    told = cls("what to do", **FACTS)
    error = raised(told)
    assert type(error) is getattr(errors, cls.__name__)
    assert isinstance(error, cls)
    assert isinstance(error, errors.KiloError)
    assert isinstance(error, ModelError)
    assert error.is_retryable is error.retryable is told.retryable
    assert str(error) == error.message == "what to do"
    assert {name: getattr(error, name) for name in FACTS} == FACTS
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):  # noqa: S301 -- made on this line
        assert type(again) is type(error)
        assert (str(again), again.is_retryable, again.partial_text) == ("what to do", error.is_retryable, "so far")
    assert raised(error) is error


@every_class
def test_who_catches_a_class_catches_those_below_it(cls: type[core.KiloError]) -> None:
    for above in cls.__mro__:
        if above in CLASSES:
            assert issubclass(getattr(errors, cls.__name__), getattr(errors, above.__name__))


def test_a_class_of_somebody_else_is_the_nearest_of_ours() -> None:
    class Mine(core.KiloServerError):
        pass

    assert type(errors.of_langchain(Mine("x"))) is errors.KiloServerError
    assert isinstance(raised(core.KiloResponseError("x")), ModelAPIError)


def test_traceback_cause_and_notes_stay() -> None:
    def deep() -> None:
        error = core.KiloConnectionError("x")
        error.add_note("a note")
        raise error from OSError("the reason")

    with pytest.raises(core.KiloConnectionError) as caught, langchain_errors():
        deep()
    shown = "".join(traceback.format_exception(caught.value))
    assert "in deep" in shown
    assert "the reason" in shown
    assert "a note" in shown
    assert "During handling" not in shown


def test_other_errors_stay_what_they_are() -> None:
    error = ValueError("x")
    assert raised(error) is error
    with pytest.raises(KeyboardInterrupt), langchain_errors():
        raise KeyboardInterrupt
