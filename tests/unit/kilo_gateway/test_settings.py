"""Constructor fields, their errors, and the request made of them."""

import pickle
import warnings
from typing import Any

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from kilo_gateway import Call, GatewaySettings
from langchain_kilo import ChatKilo
from llama_index_kilo import KiloLLM
from tests.support.bodies import body

ORGANIZATION = "0b7cc6f2-6d0b-4c3e-9a53-0d1de1d0a7b5"
CLASSES = [GatewaySettings, ChatKilo, KiloLLM]


def prepared(settings: GatewaySettings, **keywords: Any) -> Call:
    return settings.prepare("hi", stream=False, keywords=keywords)


def sent(settings: GatewaySettings, **keywords: Any) -> dict[str, Any]:
    return body(prepared(settings, **keywords))


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"temprature": 1}, ["temprature", "did you mean 'temperature'"]),
        ({"max_token": 1}, ["max_token", "did you mean 'max_tokens'"]),
        ({"zzz": 1}, ["zzz", "extra_body"]),
        ({"openai_api_key": "x"}, ["openai_api_key", "did you mean 'api_key'"]),
        ({"max_completion_tokens": 5}, ["max_completion_tokens", "did you mean 'max_tokens'"]),
        ({"top_k": 5}, ["top_k", "extra_body={'top_k': ...}"]),
        ({"n": 2}, ["'n'", "keyword of a call"]),
        ({"http_client": 5}, ["http_client", "is a int", "httpx.Client"]),
        ({"http_client": openai.DefaultAsyncHttpxClient()}, ["http_client", "AsyncHttpxClient", "httpx.Client"]),
        ({"http_async_client": 5}, ["http_async_client", "httpx.AsyncClient"]),
        ({"model": "a/b", "tier": "frontier"}, ["model='a/b'", "tier='frontier'", "give one of the two"]),
        ({"model": ""}, ["model", "blank", "anthropic/claude-sonnet-4.6"]),
        ({"model": "  "}, ["model", "blank"]),
        ({"mode": "plan\nx: y"}, ["mode", r"'\n'", "remove it"]),
        ({"mode": "p" * 501}, ["mode", "501", "shorten"]),
        ({"base_url": "ftp://x"}, ["base_url", "ftp://x", "http(s) URL"]),
        ({"base_url": "gateway"}, ["base_url", "gateway", "http(s) URL"]),
        ({"base_url": "https://u:p@x/y"}, ["base_url", "credentials", "api_key"]),
        ({"base_url": "https://x/chat/completions"}, ["base_url", "leave out"]),
        ({"base_url": "http://far.example/api", "api_key": "k"}, ["http://far.example/api", "https", "allow_insecure"]),
        ({"timeout": -1}, ["timeout", "-1", "positive number of seconds"]),
        ({"timeout": 0}, ["timeout", "0", "positive"]),
        ({"stream_idle_timeout": 0}, ["stream_idle_timeout", "positive"]),
        ({"temperature": 2.1}, ["temperature", "2.1", "between 0 and 2"]),
        ({"temperature": -0.1}, ["temperature", "-0.1", "between 0 and 2"]),
        ({"top_p": 1.5}, ["top_p", "1.5", "between 0 and 1"]),
        ({"tier": "fronteir"}, ["tier", "fronteir", "did you mean 'frontier'"]),
        ({"tier": "gold"}, ["tier", "gold", "frontier, balanced"]),
        ({"max_tokens": 0}, ["max_tokens", "0", "at least 1"]),
        ({"max_retries": -1}, ["max_retries", "-1", "use 0"]),
        ({"reasoning": "hgih"}, ["reasoning", "hgih", "did you mean 'high'"]),
        ({"verbosity": "loud"}, ["verbosity", "loud", "low, medium"]),
        ({"feature": "gastown"}, ["feature", "gastown", "leave it out"]),
        ({"extra_body": {"model": "x"}}, ["extra_body", "model"]),
        ({"default_headers": {"Authorization": "Bearer x"}}, ["default_headers", "api_key"]),
        ({"default_headers": {"x-a": "b\r\nc: d"}}, ["default_headers", r"'\r'"]),
        ({"organization_id": "acme"}, ["organization_id", "UUID"]),
        ({"task_id": "\u00e4"}, ["task_id", "ASCII"]),
        ({"tier": "free", "auto_tier": "small"}, ["auto_tier", "another name of 'tier'"]),
    ],
)
def test_bad_input_names_field_value_and_remedy(cls: type, arguments: dict[str, Any], expected: list[str]) -> None:
    with pytest.raises(ValidationError) as caught:
        cls(**arguments)
    assert isinstance(caught.value, ValueError)
    for text in expected:
        assert text in str(caught.value)


@pytest.mark.parametrize("cls", CLASSES)
def test_no_error_text_holds_a_secret(cls: type) -> None:
    secret = "s3cr3t-\u00e9"
    for arguments in (
        {"api_key": secret},
        {"organization_id": secret},
        {"default_headers": {"x-a": secret}},
        {"base_url": f"https://user:{secret}@x/y"},
        {"api_key": "s3cr3t-", "base_url": "http://far.example"},
    ):
        with pytest.raises(ValidationError) as caught:
            cls(**arguments)
        assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize(
    ("arguments", "model"),
    [
        ({}, "kilo-auto/free"),
        ({"tier": "frontier"}, "kilo-auto/frontier"),
        ({"auto_tier": " Frontier "}, "kilo-auto/frontier"),
        ({"model": "kilo-auto/small", "tier": "small"}, "kilo-auto/small"),
        ({"model": " KILO-auto/Balanced "}, "kilo-auto/balanced"),
        ({"model": "gpt-4o"}, "gpt-4o"),
        ({"model": "Vendor/Model-X"}, "Vendor/Model-X"),
    ],
)
def test_which_model_is_asked(cls: type, arguments: dict[str, Any], model: str) -> None:
    assert sent(cls(**arguments))["model"] == model


@pytest.mark.parametrize(
    ("legacy", "current"),
    [
        ("kilo/auto", "kilo-auto/frontier"),
        ("kilo/auto-free", "kilo-auto/free"),
        ("kilo/auto-small", "kilo-auto/small"),
    ],
)
def test_legacy_ids_are_mapped_with_a_deprecation_warning(legacy: str, current: str) -> None:
    with pytest.warns(DeprecationWarning, match=current):
        settings = GatewaySettings(model=legacy)
    assert settings.model_id == current


@pytest.mark.parametrize("model", ["frontier", "Frontier", "kilo-auto/frontie"])
def test_a_model_that_is_meant_as_a_tier_warns(model: str) -> None:
    with pytest.warns(UserWarning, match="did you mean tier='frontier'"):
        assert GatewaySettings(model=model).model_id == model


def test_a_near_miss_of_a_mode_warns_and_is_sent() -> None:
    with pytest.warns(UserWarning, match="did you mean 'architect'"):
        settings = GatewaySettings(mode="architct")
    assert prepared(settings).headers["x-kilocode-mode"] == "architct"


def test_an_unknown_mode_is_sent_without_a_word() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        settings = GatewaySettings(mode="Claw")
    assert prepared(settings).headers["x-kilocode-mode"] == "claw"


@pytest.mark.parametrize("key", [None, "", "public", "anonymous"])
def test_keys_that_mean_no_account(key: str | None) -> None:
    assert GatewaySettings(api_key=key).bearer is None


def test_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KILO_API_KEY", "from-env")
    monkeypatch.setenv("KILO_API_URL", "https://host.example/")
    settings = GatewaySettings(api_key=None, base_url=None)
    assert settings.bearer == "from-env"
    assert settings.base_url == "https://host.example/api/gateway"
    monkeypatch.setenv("KILO_BASE_URL", "https://other.example/gw/")
    assert GatewaySettings().base_url == "https://other.example/gw"
    assert GatewaySettings(api_key="anonymous").bearer is None
    assert GatewaySettings(api_key="argument").bearer == "argument"


def test_plain_http_is_for_loopback_and_the_trusting() -> None:
    for url in ("http://localhost:1/x", "http://127.0.0.1/x", "http://[::1]:2/x", "http://a.localhost/x"):
        assert GatewaySettings(base_url=url, api_key="k").base_url == url
    assert GatewaySettings(base_url="http://far.example/x").bearer is None
    assert GatewaySettings(base_url="http://far.example/x", api_key="k", allow_insecure=True).bearer == "k"


def test_precedence_call_over_field_over_defaults() -> None:
    settings = GatewaySettings(temperature=0.5, top_p=0.5, seed=1, extra_body={"a": {"x": 1, "y": 1}, "seed": 2})
    call = settings.prepare(
        [],
        stream=False,
        defaults={"temperature": 0.1, "k": "default"},
        keywords={"top_p": 0.9, "seed": 3, "extra_body": {"a": {"y": 2}}},
    )
    payload = body(call)
    assert (payload["temperature"], payload["top_p"], payload["seed"], payload["k"]) == (0.5, 0.9, 3, "default")
    assert payload["a"] == {"x": 1, "y": 2}


def test_provider_is_merged_deeply_and_the_callers_dicts_stay() -> None:
    field, call = {"order": ["a"], "max_price": {"prompt": 1}}, {"max_price": {"completion": 2}}
    settings = GatewaySettings(provider=field)
    assert sent(settings, provider=call)["provider"] == {
        "order": ["a"],
        "max_price": {"prompt": 1, "completion": 2},
    }
    assert field == {"order": ["a"], "max_price": {"prompt": 1}}
    assert call == {"max_price": {"completion": 2}}


def test_none_is_not_sent_and_removes_a_field_for_one_call() -> None:
    settings = GatewaySettings(temperature=0.5, mode="plan")
    call = prepared(settings, temperature=None, mode=None)
    assert "temperature" not in body(call)
    assert call.headers == {}
    assert set(sent(GatewaySettings())) == {"model", "messages", "stream"}


def test_empty_stop_and_empty_tools_are_not_sent() -> None:
    payload = sent(GatewaySettings(stop=[], parallel_tool_calls=True), tools=[], tool_choice="required")
    assert set(payload) == {"model", "messages", "stream"}


def test_routing_per_call() -> None:
    settings = GatewaySettings(tier="balanced", mode="ask", task_id="t1")
    made = prepared(settings, tier="frontier", mode=" Plan ", task_id="t2", project_id="p")
    assert (made.model, made.tier, made.mode) == ("kilo-auto/frontier", "frontier", "plan")
    assert made.headers == {
        "x-kilocode-mode": "plan",
        "x-kilocode-taskid": "t2",
        "X-KiloCode-ProjectId": "p",
    }
    assert prepared(settings, model="a/b").model == "a/b"
    with pytest.raises(ValueError, match="exclude each other"):
        prepared(settings, model="a/b", tier="free")


def test_a_call_is_checked_like_the_constructor() -> None:
    settings = GatewaySettings()
    with pytest.raises(ValueError, match=r"^temperature: is 3\.0; it must lie between 0 and 2$"):
        prepared(settings, temperature=3)
    with pytest.raises(ValueError, match="extra_headers"):
        prepared(settings, extra_headers={"a": 5})
    assert prepared(settings, max_retries=None).max_retries == 2
    assert prepared(settings, max_retries=0).max_retries == 0
    with pytest.raises(ValueError, match="'api_key' cannot be set per call"):
        prepared(settings, api_key="k")
    for name in ("stream", "messages"):
        with pytest.raises(ValueError, match="cannot be set per call"):
            settings.prepare([], stream=False, keywords={name: True})
    with pytest.warns(UserWarning, match="'temprature' is sent unchanged; did you mean 'temperature'"):
        assert sent(settings, temprature=1)["temprature"] == 1
    assert sent(settings, reasoning="low")["reasoning"] == {"effort": "low"}
    assert sent(settings, stop="END")["stop"] == ["END"]
    assert sent(settings, anything="else")["anything"] == "else"


def test_copies_with_another_mode_or_tier() -> None:
    settings = ChatKilo(model="a/b", temperature=0.3)
    planner = settings.with_mode("Plan").with_tier("frontier")
    assert (planner.model_id, planner.mode, planner.temperature) == ("kilo-auto/frontier", "plan", 0.3)
    assert (settings.model_id, settings.mode) == ("a/b", None)
    with pytest.raises(ValueError, match="unknown tier 'gold'"):
        settings.with_tier("gold")  # type: ignore[arg-type] # what is refused
    with pytest.raises(ValueError, match="mode: Input should be a valid string"):
        settings.with_mode(5)  # type: ignore[arg-type] # the test passes a wrong value


@pytest.mark.parametrize("cls", CLASSES)
def test_pickle_keeps_everything(cls: type) -> None:
    model = cls(tier="small", api_key="k", organization_id=ORGANIZATION, default_headers={"x-a": "b"}, seed=3)
    copy = pickle.loads(pickle.dumps(model))  # noqa: S301 -- made one line above
    assert copy.model_id == "kilo-auto/small"
    assert (copy.bearer, copy.seed, copy.private_headers()) == ("k", 3, model.private_headers())


def test_a_model_with_its_own_client_refuses_to_be_pickled() -> None:
    model = ChatKilo(http_client=openai.DefaultHttpxClient())
    with pytest.raises(TypeError, match="http_client"):
        pickle.dumps(model)
    assert model.model_copy(deep=True).http_client is model.http_client


@given(st.text(max_size=600))
def test_any_mode_is_a_header_value_or_an_error(mode: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the gateway documents few of the generated modes, and the others warn
        try:
            made = prepared(GatewaySettings(mode=mode))
        except ValueError:
            return
    sent = made.headers.get("x-kilocode-mode", "")
    assert sent.isascii()
    assert sent == sent.strip()
    assert len(sent) <= 500
