"""One entry of the list of models, well formed and odd; and what is known of a model offline."""

import json
import os
import pickle
import re
import time
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kilo_gateway import GatewaySettings, chat, routing
from kilo_gateway.models import built_in, prices
from kilo_gateway.models import known as known_models
from kilo_gateway.models.info import ModelInfo
from kilo_gateway.models.known import DEFAULT_CONTEXT_WINDOW, context_window, known
from kilo_gateway.models.store import ListFile, Stored

FULL: dict[str, Any] = {
    "id": "anthropic/claude-sonnet-5.5",
    "name": "Anthropic: Claude Sonnet 5.5",
    "created": 1_788_000_000,
    "description": "Example.",
    "context_length": 1_000_000,
    "architecture": {"input_modalities": ["text", "image"], "output_modalities": ["text"], "tokenizer": "Claude"},
    "top_provider": {"is_moderated": True, "context_length": 1_000_000, "max_completion_tokens": 64_000},
    "pricing": {
        "prompt": "0.000003",
        "completion": "0.000015",
        "input_cache_read": "0.0000003",
        "input_cache_write": "0.00000375",
        "discount": 0,
    },
    "per_request_limits": None,
    "expiration_date": "2027-07-01",
    "supported_parameters": ["max_tokens", "tools", "response_format", "structured_outputs", "reasoning"],
    "preferredIndex": 7,
    "isFree": False,
    "mayTrainOnYourPrompts": False,
    "hasUserByokAvailable": True,
    "autoRouting": {"models": ["a/b"]},
    "terminalBench": {"overallScore": 0.5, "avgAttemptCostUsd": 1.5},
    "opencode": {"ai_sdk_provider": "anthropic"},
    "brandNew": {"kept": 1},
}


def read(**entry: Any) -> ModelInfo:
    info = ModelInfo.read({"id": "a/b", **entry})
    assert info is not None
    return info


def test_an_entry_tells_all_it_has() -> None:
    info = read(**FULL)
    assert (info.vendor, info.context_length, info.max_output_tokens) == ("anthropic", 1_000_000, 64_000)
    assert (info.prompt_price, info.completion_price) == (Decimal(3), Decimal(15))
    assert (info.cache_read_price, info.cache_write_price) == (Decimal("0.3"), Decimal("3.75"))
    assert (info.free, info.may_train_on_prompts, info.has_user_byok_available) == (False, False, True)
    assert (info.input_modalities, info.output_modalities) == (("text", "image"), ("text",))
    assert info.supports_tools is info.supports_structured_outputs is info.supports_json_mode is True
    assert info.supports_reasoning is info.supports_vision is True
    assert info.expiration_date == date(2027, 7, 1)
    assert (info.preferred_index, info.auto_routing) == (7, {"models": ["a/b"]})
    assert info.model_extra == {"brandNew": {"kept": 1}}
    wire = {key: value for key, value in FULL.items() if value is not None}
    assert json.loads(info.model_dump_json(by_alias=True, exclude_none=True)) == wire


def test_an_entry_is_a_value() -> None:
    info = read(**FULL)
    assert info == read(**FULL)
    assert {info, read(**FULL), read()} == {info, read()}
    assert pickle.loads(pickle.dumps(info)) == info  # noqa: S301 -- it is our own
    with pytest.raises(ValueError, match="frozen"):
        info.id = "other"  # type: ignore[misc] # what is refused


def test_what_is_not_told_is_none_and_never_no() -> None:
    for info in (read(), read(**dict.fromkeys(FULL.keys() - {"id"}))):
        assert info.context_length is info.max_output_tokens is info.prompt_price is info.cache_read_price is None
        assert info.free is info.may_train_on_prompts is info.supports_tools is info.supports_vision is None
        assert info.supports_structured_outputs is info.supports_json_mode is info.supports_reasoning is None
        assert info.input_modalities == info.output_modalities == ()


@pytest.mark.parametrize(
    ("parameters", "tools", "schemas", "json_mode", "reasoning"),
    [
        (["max_tokens"], False, False, False, False),
        (["tools", "response_format"], True, None, True, False),
        (["structured_outputs", "reasoning_effort"], False, True, True, True),
        ([], None, None, None, None),
    ],
)
def test_features_are_read_from_the_parameters(
    parameters: list[str], tools: bool | None, schemas: bool | None, json_mode: bool | None, reasoning: bool | None
) -> None:
    info = read(supported_parameters=parameters)
    found = (info.supports_tools, info.supports_structured_outputs, info.supports_json_mode, info.supports_reasoning)
    assert found == (tools, schemas, json_mode, reasoning)


def test_a_tiers_list_of_parameters_refuses_nothing() -> None:
    tier = read(id="kilo-auto/balanced", supported_parameters=["max_tokens", "reasoning"])
    assert tier.supports_reasoning is True
    assert tier.supports_tools is tier.supports_structured_outputs is tier.supports_json_mode is None


@pytest.mark.parametrize(
    ("reported", "price"),
    [
        ("0.000003", "3"),
        ("0", "0"),
        ("0.00001", "10"),
        ("3e-6", "3"),
        (" 0.0000025 ", "2.5"),
        (0.0000025, "2.5"),
        (0, "0"),
        (1, "1000000"),
        ("-1", None),
        (-1, None),
        ("nan", None),
        ("inf", None),
        ("1e300", None),
        ("cheap", None),
        ("", None),
        (True, None),
        (None, None),
        (["0"], None),
    ],
)
def test_prices_are_usd_per_million_or_unknown(reported: Any, price: str | None) -> None:
    found = read(pricing={"prompt": reported}).prompt_price
    assert (None if found is None else str(found)) == price


@pytest.mark.parametrize("broken", [None, "text", 7, [], {}, {"id": None}, {"id": 7}, {"id": ""}, {"id": "\ud83d"}])
def test_what_has_no_id_is_no_entry(broken: Any) -> None:
    assert ModelInfo.read(broken) is None


def test_a_value_of_the_wrong_type_costs_only_itself() -> None:
    info = read(
        name=["x"],
        context_length="many",
        architecture="text",
        top_provider=[1],
        pricing="free",
        supported_parameters=["tools", None, 7, "reasoning"],
        expiration_date="soon",
        isFree="perhaps",
        created=1.5,
        description="fine",
    )
    assert info.description == "fine"
    assert info.supported_parameters == ("tools", "reasoning")
    reported = info.model_dump(exclude_none=True)
    assert reported.keys() == {"id", "description", "supported_parameters"}


def test_odd_parts_of_parts_cost_only_themselves() -> None:
    info = read(architecture={"input_modalities": ["text", 3, "image"]}, top_provider={"max_completion_tokens": "8000"})
    assert (info.input_modalities, info.supports_vision, info.max_output_tokens) == (("text", "image"), True, 8000)
    assert read(top_provider={"max_completion_tokens": 0}).max_output_tokens is None
    assert read(context_length=0).context_length is None


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from([*FULL, "settings", "enkrypt", "canonical_slug"]), ANYTHING))
def test_no_entry_with_an_id_is_lost_whatever_it_holds(entry: dict[str, Any]) -> None:
    info = ModelInfo.read({**entry, "id": "a/b"})
    assert info is not None
    for name in dir(ModelInfo):
        if isinstance(getattr(ModelInfo, name), property) and not name.startswith("_"):
            getattr(info, name)


# known


def keep(base_url: str, *entries: Any, account: str = "") -> Path:
    file = ListFile.of(base_url, account)
    file.write(Stored(time.time(), list(entries)))
    known_models.forget()
    return file.path


GATEWAY = "https://api.kilo.ai/api/gateway"


def test_the_table_knows_the_documented_models() -> None:
    free = known("kilo-auto/free")
    assert free is not None
    assert (free.context_length, free.max_output_tokens, free.free) == (256_000, 32_768, True)
    frontier = known("kilo-auto/frontier")
    assert frontier is not None
    assert (frontier.context_length, frontier.prompt_price, frontier.supports_vision) == (1_000_000, None, True)
    sonnet = known("anthropic/claude-sonnet-4.6")
    assert sonnet is not None
    assert (sonnet.context_length, sonnet.free, sonnet.supports_tools) == (1_000_000, False, True)
    glm = known("kilo/glm-5-free")
    assert glm is not None
    assert (glm.context_length, glm.max_output_tokens) == (202_752, 131_072)


def test_the_table_is_dated_readable_and_without_twins() -> None:
    path = Path(known_models.__file__).parent.parent / "data/models.json"
    table = json.loads(path.read_text(encoding="utf-8"))
    assert date.fromisoformat(table["as_of"]) >= date(2026, 11, 1)
    ids = [entry["id"] for entry in table["entries"]]
    assert len(ids) == len(set(ids)) > 20
    for entry in table["entries"]:
        info = ModelInfo.model_validate(entry)
        assert info.model_extra is not None
        assert info.model_extra.keys() == {"source"}


def test_the_table_of_models_dev_is_dated_licensed_and_readable() -> None:
    path = Path(known_models.__file__).parent.parent / "data/models_dev.json"
    table = json.loads(path.read_text(encoding="utf-8"))
    assert re.fullmatch(r"models-dev \d+\.\d+\.\d+", table["package"])
    assert "Permission is hereby granted" in table["licence"]
    assert tuple(table["columns"]) == built_in.COLUMNS
    assert len(table["models"]) > 300
    for model in table["models"]:
        info = known(model)
        assert info is not None
        assert info.model_extra is not None
        assert info.model_extra.keys() <= {"source"}
        assert (info.as_of, routing.tier_of(model)) == (date.fromisoformat(table["as_of"]), None)
        assert info.context_length
        assert info.max_output_tokens
        assert "text" in info.input_modalities or info.output_modalities == ("audio",), info
        # A router, or a model that is paid by the song, does not cost nothing.
        assert info.prompt_price != 0 or model.endswith(":free"), info


def test_a_user_without_a_list_learns_what_a_model_takes_and_what_it_cost() -> None:
    info = known("openai/gpt-5.5")
    assert info is not None
    assert (info.prompt_price, info.completion_price, info.cache_read_price) == (5, 30, Decimal("0.5"))
    assert info.as_of is not None
    assert (info.supports_temperature, info.supports_reasoning, info.supports_tools) == (False, True, True)
    assert info.supports_structured_outputs is info.supports_json_mode is None  # the table does not say
    plain = known("ai21/jamba-large-1.7")
    assert plain is not None
    assert (plain.supports_temperature, plain.supports_reasoning) == (True, False)
    thinking = known("openai/gpt-5.5:thinking")
    assert thinking is not None
    assert (thinking.context_length, thinking.prompt_price, thinking.supports_temperature) == (1_050_000, None, False)


def test_a_limit_on_costs_does_not_rest_on_prices_of_long_ago() -> None:
    size = prices.Size(1_000, 1_000)
    assert prices.at_most("openai/gpt-5.5", size) is None
    keep(GATEWAY, {"id": "openai/gpt-5.5", "pricing": {"prompt": "0.000001", "completion": "0.000002"}})
    assert prices.at_most("openai/gpt-5.5", size) == pytest.approx(0.003)


def test_an_unbounded_messages_call_asks_for_no_more_tokens_than_an_old_table_can_promise() -> None:
    def asked(model: str) -> int | None:
        settings = GatewaySettings(model=model, api="messages")
        return chat.resolved(settings, settings.prepare("Hi", stream=False)).output_limit

    assert asked("anthropic/claude-sonnet-4.6") == 8_192
    assert asked("anthropic/claude-3-haiku") == 4_096
    keep(GATEWAY, {"id": "anthropic/claude-sonnet-4.6", "top_provider": {"max_completion_tokens": 64_000}})
    assert asked("anthropic/claude-sonnet-4.6") == 64_000


@pytest.mark.parametrize("model", ["no/such", "", ":", ":" * 5000, "a\ud83db", "no/such:free", "gpt"])
def test_an_unknown_id_is_none_and_has_the_default_window(model: str) -> None:
    assert known(model) is None
    assert context_window(model) == DEFAULT_CONTEXT_WINDOW


def test_ids_are_found_as_the_gateway_finds_them() -> None:
    info = known("  Kilo-Auto/FREE ")
    assert info is not None
    assert info.id == "kilo-auto/free"


def test_a_suffix_falls_back_to_the_model_without_prices() -> None:
    keep(GATEWAY, {**FULL, "id": "v/m"}, {"id": "v/m:exacto", "context_length": 5, "pricing": {"prompt": "0"}})
    thinking, free, exact = known("v/m:thinking"), known("v/m:free"), known("v/m:exacto")
    assert thinking is not None
    assert (thinking.id, thinking.context_length, thinking.supports_tools) == ("v/m:thinking", 1_000_000, True)
    assert thinking.prompt_price is thinking.free is thinking.may_train_on_prompts is None
    assert free is not None
    assert (free.free, free.prompt_price) == (True, None)
    assert exact is not None
    assert (exact.context_length, exact.prompt_price) == (5, 0)


def test_a_kept_list_wins_over_the_table_and_is_read_again_when_it_changes() -> None:
    assert context_window("kilo-auto/free") == 256_000
    path = keep(GATEWAY, {"id": "kilo-auto/free", "context_length": 11})
    assert context_window("kilo-auto/free") == 11
    assert context_window("kilo-auto/small") == 262_144  # not in the list, but in the table
    keep(GATEWAY, {"id": "kilo-auto/free", "context_length": 12})
    assert context_window("kilo-auto/free") == 12
    path.unlink()
    known_models.forget()
    assert context_window("kilo-auto/free") == 256_000


def test_a_list_that_another_process_writes_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_models, "RECHECK_SECONDS", 0)
    file = ListFile.of(GATEWAY, "")
    assert context_window("kilo-auto/free") == 256_000
    for tokens in (11, 12):
        file.write(Stored(time.time(), [{"id": "kilo-auto/free", "context_length": tokens}]))
        os.utime(file.path, (tokens, tokens))
        assert context_window("kilo-auto/free") == tokens
    assert known("kilo-auto/free") is known("kilo-auto/free")  # not read again while the file stays the same


def test_the_list_of_another_gateway_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    other = "http://127.0.0.1:1/api/gateway"
    keep(other, {"id": "kilo-auto/free", "context_length": 11})
    assert context_window("kilo-auto/free") == 256_000
    assert context_window("kilo-auto/free", base_url=other) == 11
    assert context_window("kilo-auto/free", base_url=other + "/") == 11
    monkeypatch.setenv("KILO_BASE_URL", other + "/")
    known_models.forget()
    assert context_window("kilo-auto/free") == 11


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"format": 1}', '{"format": 9, "fetched_at": 1, "entries": []}', "[" * 99_999]
)
def test_a_broken_list_counts_as_none(content: str) -> None:
    path = keep(GATEWAY, {"id": "kilo-auto/free", "context_length": 11})
    path.write_text(content)
    assert context_window("kilo-auto/free") == 256_000


def test_a_folder_that_is_a_file_counts_as_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("KILO_CACHE_DIR", str(tmp_path / "file"))
    assert context_window("kilo-auto/free") == 256_000


def test_a_look_up_does_not_read_the_list_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_models, "RECHECK_SECONDS", 3600)
    path = keep(GATEWAY, FULL)
    info = known(FULL["id"])
    path.unlink()
    assert known(FULL["id"]) is info is not None
