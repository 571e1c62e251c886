"""Values of other libraries in the keywords of a call: numbers are numbers, the rest is refused by name."""

from __future__ import annotations

import json
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kilo_gateway.encoding.json_values import to_json
from kilo_gateway.settings.chat import GatewaySettings
from kilo_gateway.settings.embedding import EmbeddingSettings
from langchain_kilo import ChatKilo
from llama_index_kilo import KiloLLM
from tests.support import bodies

every_class = pytest.mark.parametrize("cls", [ChatKilo, KiloLLM])


def body(cls: Any = GatewaySettings, defaults: Any = None, **call: Any) -> dict[str, Any]:
    payload = bodies.body(cls().prepare([], stream=False, defaults=defaults, keywords=call))
    json.dumps(payload, allow_nan=False)
    return payload


@every_class
@pytest.mark.parametrize(
    ("name", "value", "sent"),
    [
        ("temperature", np.float32(0.5), 0.5),
        ("max_tokens", np.int64(5), 5),
        ("seed", Decimal(5), 5),
        ("logit_bias", {"5": np.float64(1)}, {"5": 1.0}),
        ("logit_bias", {np.int64(5): 1}, {"5": 1.0}),
        ("logprobs", np.bool_(True), True),
        ("n", np.int64(1), 1),
        ("top_k", np.uint8(4), 4),
        ("top_k", np.array(4), 4),
        ("min_p", Decimal("0.25"), 0.25),
        ("top_a", Fraction(1, 4), 0.25),
        ("repetition_penalty", np.float64(1.5), 1.5),
        ("store", np.bool_(False), False),
        ("models", ("a", "b"), ["a", "b"]),
        ("prediction", {np.int64(1): np.int64(2)}, {"1": 2}),
        ("provider", {"max_price": {"prompt": Decimal("0.5")}}, {"max_price": {"prompt": 0.5}}),
    ],
)
def test_numbers_of_any_library_are_sent_as_numbers(cls: Any, name: str, value: Any, sent: Any) -> None:
    found = body(cls, **{name: value})[name]
    assert found == sent
    assert type(found) is type(sent)
    assert body(cls, extra_body={name: value})[name] == sent
    assert body(cls, defaults={name: value})[name] == sent


@every_class
@pytest.mark.parametrize(
    ("name", "value", "remedy"),
    [
        ("user", b"abc", r"user is b'abc'.*decode"),
        ("user", Path("/a"), r"user is PosixPath\('/a'\).*str\(path\)"),
        ("models", {"a"}, r"models is \{'a'\}.*a list"),
        ("top_k", float("nan"), r"top_k is nan.*finite"),
        ("top_k", np.float64("inf"), r"top_k is inf.*finite"),
        ("top_k", Decimal("NaN"), r"top_k is Decimal\('NaN'\).*finite"),
        ("top_k", Decimal("1e999999"), r"top_k is Decimal\('1E\+999999'\).*finite"),
        ("top_k", Decimal("sNaN"), r"top_k is Decimal\('sNaN'\).*finite"),
        ("top_k", Fraction(10**400), r"top_k is Fraction.*finite"),
        ("top_k", 1j, r"top_k is 1j.*a number"),
        ("prediction", {"content": [b"abc"]}, r"prediction\['content'\]\[0\] is b'abc'.*decode"),
        ("prediction", {(1, 2): 3}, r"prediction has the key \(1, 2\).*texts"),
        ("provider", {"sort": b"abc"}, r"provider\['sort'\] is b'abc'.*decode"),
        ("user", object(), r"user is <object.*a text"),
        ("user", b"\x1b" * 10**6, r"user is b'.* \.\.\..*decode"),
        ("max_tokens", b"abc", r"max_tokens.*integer.*not b'abc'"),
        ("temperature", Path("/a"), r"temperature.*number.*not PosixPath"),
        ("stop", 5, r"stop.*list, not 5"),
        ("seed", Decimal("0.5"), r"seed.*integer.*not Decimal"),
        ("timeout", 1e308, r"timeout.*1e\+308.*at most"),
        pytest.param("timeout", 10**400, r"timeout.*number, not 1000", id="a long timeout"),
        pytest.param("top_k", 10**5000, r"top_k is an int.*digits", id="a long number"),
        ("stream_idle_timeout", 1e10, r"stream_idle_timeout.*at most"),
    ],
)
def test_what_json_lacks_is_refused_by_name(cls: Any, name: str, value: Any, remedy: str) -> None:
    with pytest.raises(ValueError, match=f"(?s){remedy}") as caught:
        body(cls, **{name: value})
    assert len(str(caught.value)) < 500


def test_a_structure_that_contains_itself_is_refused() -> None:
    loop: dict[str, Any] = {}
    loop["again"] = [loop]
    with pytest.raises(ValueError, match=r"prediction.*nested more than"):
        body(prediction=loop)


def test_secrets_are_not_shown_in_a_refusal() -> None:
    for name, value in (("extra_headers", {"x-tenant": ["s3cr3t"]}), ("extra_headers", b"s3cr3t")):
        with pytest.raises(ValueError, match=name) as caught:
            body(**{name: value})
        assert "s3cr3t" not in str(caught.value)


def test_query_parameters_too() -> None:
    request = GatewaySettings(default_query={"a": np.int64(1)}).prepare(
        [], stream=False, keywords={"extra_query": {"b": 2}}
    )
    assert request.query == {"a": 1, "b": 2}
    with pytest.raises(ValueError, match=r"extra_query\['b'\] is b'x'"):
        GatewaySettings().prepare([], stream=False, keywords={"extra_query": {"b": b"x"}})


def test_embeddings_too() -> None:
    assert EmbeddingSettings(extra_body={"a": np.int64(1)}).payload(["hi"], query=False)["a"] == 1
    with pytest.raises(ValueError, match=r"a is b'x'"):
        EmbeddingSettings(extra_body={"a": b"x"}).payload(["hi"], query=False)


NUMBER = st.integers() | st.floats() | st.decimals() | st.fractions() | st.integers(0, 255).map(np.uint8)
ANY = st.recursive(
    NUMBER | st.none() | st.booleans() | st.text() | st.binary(max_size=3) | st.complex_numbers() | st.dates(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=3) | st.integers() | st.fractions(), inner, max_size=3)
    ),
    max_leaves=5,
)


@given(ANY)
def test_anything_is_sent_or_a_value_error(value: Any) -> None:
    try:
        sent = to_json(value, "prediction")
    except ValueError:
        with pytest.raises(ValueError, match="prediction"):
            body(prediction=value)
    else:
        assert body(prediction=value).get("prediction") == sent
