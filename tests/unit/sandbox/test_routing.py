"""Auto models: tiers, modes, eras."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from kilo_gateway.sandbox import Sandbox
from kilo_gateway.sandbox.gateway.model_list import unknown_ids
from tests.support.in_process import InProcess
from tests.support.plain_client import chat

OPUS, SONNET = "anthropic/claude-opus-4.7", "anthropic/claude-sonnet-4.6"


@pytest.fixture(scope="module")
def newer() -> Iterator[Sandbox]:
    with InProcess(catalog_ids="E3") as gateway:
        yield gateway


def served(gateway: Sandbox, model: str, mode: str | None = None, **headers: str) -> str:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    if mode is not None:
        sent["x-kilocode-mode"] = mode
    answer = chat(gateway, model, headers=sent)
    assert answer.status == 200, answer.data
    assert answer.json["model"] == gateway.last.served_model
    return str(answer.json["model"])


MODES = [
    *((mode, OPUS) for mode in ("plan", "general", "architect", "orchestrator", "ask", "debug")),
    *((mode, SONNET) for mode in ("build", "explore", "code", "claw", "unheard-of", "")),
    ("  plan  ", OPUS),
    ("Plan", SONNET),
    ("ARCHITECT", SONNET),
    (None, SONNET),
]


@pytest.mark.parametrize(("mode", "model"), MODES)
def test_frontier_goes_by_mode_case_sensitively(gw: Sandbox, mode: str | None, model: str) -> None:
    assert served(gw, "kilo-auto/frontier", mode) == model


@pytest.mark.parametrize("spelled", ["KILO-AUTO/Frontier", "  kilo-auto/frontier  "])
def test_auto_ids_are_trimmed_and_lower_cased(gw: Sandbox, spelled: str) -> None:
    assert served(gw, spelled, "plan") == OPUS
    assert gw.last.requested_model == spelled


def test_newer_ids_know_one_more_mode_and_two_features(newer: Sandbox) -> None:
    opus, sonnet = "anthropic/claude-opus-5.5", "anthropic/claude-sonnet-5.5"
    assert served(newer, "kilo-auto/frontier", "claw") == opus
    assert served(newer, "kilo-auto/frontier", x_kilocode_feature="kiloclaw") == opus
    assert served(newer, "kilo-auto/frontier", x_kilocode_feature="cli") == sonnet
    assert served(newer, "kilo-auto/balanced") == "z-ai/glm-5.3-flash"


def test_frontier_overwrites_reasoning_and_verbosity(gw: Sandbox) -> None:
    chat(gw, "kilo-auto/frontier", reasoning={"effort": "low"}, reasoning_effort="low", verbosity="high")
    sent = gw.last.effective
    assert sent["reasoning"] == {"enabled": True, "effort": "medium"}
    assert sent["verbosity"] == "medium"
    assert "reasoning_effort" not in sent
    assert gw.last.json["reasoning_effort"] == "low"


def test_small_keeps_the_callers_settings(gw: Sandbox) -> None:
    chat(gw, "kilo-auto/small", reasoning_effort="low")
    assert gw.last.effective["reasoning_effort"] == "low"


@pytest.mark.parametrize(
    ("key", "model"),
    [
        (Sandbox.api_key, "google/gemma-4-31b-it"),
        (Sandbox.poor_api_key, "google/gemma-4-26b-a4b-it:free"),
        (None, "google/gemma-4-26b-a4b-it:free"),
    ],
)
def test_small_goes_by_balance(gw: Sandbox, key: str | None, model: str) -> None:
    assert chat(gw, "kilo-auto/small", key=key).json["model"] == model


@pytest.mark.parametrize("tier", ["balanced", "efficient"])
def test_balanced_ignores_the_mode(gw: Sandbox, tier: str) -> None:
    assert served(gw, f"kilo-auto/{tier}", "plan") == "qwen/qwen3.6-plus"
    assert gw.last.effective["reasoning"] == {"enabled": True}


def test_free_stays_with_a_task_and_varies_between_tasks(gw: Sandbox) -> None:
    found = {}
    for number in range(30):
        task = f"task-{number}"
        found[task] = served(gw, "kilo-auto/free", x_kilocode_taskid=task)
        assert served(gw, "kilo-auto/free", x_kilocode_taskid=task) == found[task]
    assert set(found.values()) == {
        "stepfun/step-3.7-flash:free",
        "poolside/laguna-m.1:free",
        "nvidia/nemotron-3-ultra-550b-a55b:free",
        "openrouter/free",
    }


def test_free_does_not_look_at_the_session(gw: Sandbox) -> None:
    assert len({served(gw, "kilo-auto/free", x_kilo_session=f"s{n}") for n in range(12)}) == 1


def test_free_without_task_goes_by_user_then_address(gw: Sandbox) -> None:
    by_address = {
        chat(gw, "kilo-auto/free", key=None, headers={"x-forwarded-for": f"10.0.0.{n}, 1.1.1.1"}).json["model"]
        for n in range(30)
    }
    signed_in = {chat(gw, "kilo-auto/free", headers={"x-forwarded-for": f"10.0.0.{n}"}).json["model"] for n in range(8)}
    assert len(by_address) > 1
    assert len(signed_in) == 1


@pytest.mark.parametrize(
    ("mode", "model"),
    [
        ("plan", "openai/gpt-5.4"),
        ("Architect", "openai/gpt-5.4"),
        ("BUILD", "anthropic/claude-haiku-4.5"),
        ("ask", "openai/gpt-5.4-mini"),
    ],
)
def test_the_organisation_tier_folds_the_case_of_modes(gw: Sandbox, mode: str, model: str) -> None:
    headers = {"x-kilocode-organizationid": gw.organization_id, "x-kilocode-mode": mode}
    assert chat(gw, "kilo-auto/org", headers=headers).json["model"] == model


ERAS = [
    ("E1", "kilo/auto", "Plan", 200, "anthropic/claude-opus-4.6"),
    ("E1", "kilo/auto", "code", 200, "anthropic/claude-sonnet-4.6"),
    ("E1", "kilo-auto/frontier", None, 404, None),
    ("E2", "kilo/auto", "plan", 200, "qwen/qwen3.6-plus"),
    ("E2", "kilo-auto/frontier", "plan", 200, OPUS),
    ("E2", "kilo/auto-free", None, 404, None),
    ("E3", "kilo/auto", None, 404, None),
]


@pytest.mark.parametrize(("era", "model", "mode", "status", "answered"), ERAS)
def test_eras(era: Any, model: str, mode: str | None, status: int, answered: str | None) -> None:
    with InProcess(era=era) as gateway:
        answer = chat(gateway, model, headers={"x-kilocode-mode": mode} if mode else {})
    assert answer.status == status
    assert answer.json.get("model") == answered


@pytest.mark.parametrize("model", ["google/gemma-4-26b-a4b-it:free", "kilo/auto-free"])
def test_withdrawn_models_have_an_error_of_their_era(model: str) -> None:
    with InProcess(era="E2") as old, InProcess() as new:
        assert chat(old, "z-ai/glm-5:free").json["error_type"] == "discontinued_free_model"
        assert chat(new, model).json["error_type"] in ("unavailable_model", "model_not_found")


def test_aliases_are_served(gw: Sandbox) -> None:
    assert served(gw, "gpt-4o") == "openai/gpt-5.4"
    assert served(gw, "~anthropic/claude-sonnet-latest") == SONNET


def test_every_routed_id_is_in_the_catalogue() -> None:
    assert unknown_ids() == []
