"""A profile that nobody gave follows the model, also when a list of models has come in between."""

from __future__ import annotations

import copy
import pickle
import time
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.language_models import ModelProfile

from kilo_gateway.models import built_in
from kilo_gateway.models import known as known_models
from kilo_gateway.models.store import ListFile, Stored
from langchain_kilo import ChatKilo
from llama_index_kilo import KiloLLM

GATEWAY = "https://gateway.example"
OWN: ModelProfile = {"max_input_tokens": 7}
WINDOWS = {"vendor/one": 1_000, "vendor/two": 2_000, "kilo-auto/small": 3_000}


def a_list_comes() -> None:
    entries = [{"id": model, "context_length": window} for model, window in WINDOWS.items()]
    ListFile.of(GATEWAY, "").write(Stored(time.time(), entries))
    known_models.forget()


def made(**fields: Any) -> ChatKilo:
    return ChatKilo(**{"model": "vendor/one", "base_url": GATEWAY, **fields})


def assigned(llm: ChatKilo) -> ChatKilo:
    llm.model = "vendor/two"
    return llm


TO_TWO: dict[str, Callable[[ChatKilo], ChatKilo]] = {
    "assignment": assigned,
    "model_copy": lambda llm: llm.model_copy(update={"model": "vendor/two"}),
    "a copy, then assignment": lambda llm: assigned(copy.copy(llm)),
    "a deep copy, then assignment": lambda llm: assigned(copy.deepcopy(llm)),
    "a pickle, then assignment": lambda llm: assigned(pickle.loads(pickle.dumps(llm))),  # noqa: S301 -- made here
}


def window(llm: ChatKilo) -> Any:
    return (llm.profile or {}).get("max_input_tokens")


@pytest.mark.parametrize("way", TO_TWO)
@pytest.mark.parametrize("known_before", [False, True])
def test_a_derived_profile_follows(way: str, known_before: bool) -> None:
    if known_before:
        a_list_comes()
    llm = made()
    assert window(llm) == (1_000 if known_before else None)
    a_list_comes()
    assert window(TO_TWO[way](llm)) == 2_000


@pytest.mark.parametrize("way", TO_TWO)
def test_a_given_profile_stays(way: str) -> None:
    for llm in (made(profile=OWN), made(profile=None)):
        llm.profile = OWN
        a_list_comes()
        changed = TO_TWO[way](llm)
        assert (changed.model, changed.profile) == ("vendor/two", OWN)
    assert TO_TWO[way](made(profile=OWN)).profile == OWN


def test_a_model_built_before_the_list_has_the_list_s_profile_afterwards() -> None:
    llm, known_offline = made(), made(model="deepseek/deepseek-v3.2")
    before = KiloLLM(model="vendor/one", base_url=GATEWAY)
    assert (window(llm), window(known_offline)) == (None, 163_840)
    a_list_comes()
    assert (window(llm), window(known_offline)) == (1_000, 163_840)
    assert before.metadata.context_window == 1_000


def test_a_profile_that_is_changed_in_place_stays_until_the_model_changes() -> None:
    a_list_comes()
    llm, other = made(), made()
    assert llm.profile is not None
    llm.profile["max_input_tokens"] = 7
    known_models.forget()
    assert (window(llm), window(other), window(made())) == (7, 1_000, 1_000)
    assert window(assigned(llm)) == 2_000


def test_a_profile_costs_nothing_until_somebody_looks_at_it() -> None:
    built_in._models_dev.cache_clear()
    llm = made(model="deepseek/deepseek-v3.2")
    assert built_in._models_dev.cache_info().currsize == 0
    assert window(llm) == 163_840
    assert built_in._models_dev.cache_info().currsize == 1
    assert "163840" not in repr(llm)
    assert llm == made(model="deepseek/deepseek-v3.2")
    with pytest.raises(AttributeError):
        _ = llm.profil  # type: ignore[attr-defined] # the misspelt name is what is tested


def test_a_given_profile_that_is_what_the_list_says_stays_too() -> None:
    a_list_comes()
    derived = made().profile
    assert assigned(made(profile=derived)).profile == derived


def test_a_copy_with_a_profile_keeps_it() -> None:
    a_list_comes()
    both = made().model_copy(update={"model": "vendor/two", "profile": OWN})
    assert both.profile == OWN
    both.model = "vendor/one"
    assert both.profile == OWN
    assert window(made().with_tier("small")) == 3_000


def test_a_copy_does_not_change_the_original() -> None:
    a_list_comes()
    llm = made()
    llm.model_copy().profile = OWN
    assert window(assigned(llm)) == 2_000
