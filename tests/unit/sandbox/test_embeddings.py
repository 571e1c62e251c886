"""Embeddings: near for related texts, valid for the official client."""

from __future__ import annotations

import base64
import math
import struct
from typing import Any

import pytest

from kilo_gateway.sandbox import Sandbox
from tests.support.plain_client import Response, post, request

PATH = "/api/gateway/embeddings"
SMALL = "openai/text-embedding-3-small"


def embed(gateway: Sandbox, given: Any, model: str = SMALL, **fields: Any) -> Response:
    return post(gateway, PATH, {"model": model, "input": given, **fields}, gateway.api_key)


def vectors(gateway: Sandbox, given: Any, **fields: Any) -> list[list[float]]:
    return [item["embedding"] for item in embed(gateway, given, **fields).json["data"]]


def cosine(left: list[float], right: list[float]) -> float:
    return sum(a * b for a, b in zip(left, right, strict=True))


def test_related_texts_are_nearer(gw: Sandbox) -> None:
    question, near, far = vectors(
        gw,
        [
            "How do cats sleep?",
            "A sleeping cat dreams of mice.",
            "The gateway retries failed requests twice.",
        ],
    )
    assert cosine(question, near) > 0.4
    assert abs(cosine(question, far)) < 0.1


def test_they_are_unit_vectors_and_deterministic(gw: Sandbox) -> None:
    texts = ["foo", "", "the of", "日本語の文章", "x" * 5000]
    first, second = vectors(gw, texts), vectors(gw, texts)
    assert first == second
    for vector in first:
        assert math.isclose(cosine(vector, vector), 1, rel_tol=1e-9)


def test_every_model_has_its_dimension(gw: Sandbox) -> None:
    listed = request(gw, "GET", "/api/gateway/embedding-models").json
    assert listed["defaultModel"] in [model["id"] for model in listed["models"]]
    for model in listed["models"]:
        assert len(vectors(gw, "foo", model=model["id"])[0]) == model["dimension"]
    for alias, name in listed["aliases"].items():
        assert embed(gw, "foo", model=alias).json["model"] == name


def test_dimensions_where_selectable(gw: Sandbox) -> None:
    assert len(vectors(gw, "foo", dimensions=256)[0]) == 256
    assert len(vectors(gw, "foo", dimensions=1536)[0]) == 1536


@pytest.mark.parametrize(
    ("model", "dimensions"), [("baai/bge-base-en-v1.5", 256), (SMALL, 0), (SMALL, 1537), (SMALL, "256")]
)
def test_dimensions_elsewhere_are_an_error(gw: Sandbox, model: str, dimensions: Any) -> None:
    answer = embed(gw, "foo", model=model, dimensions=dimensions)
    assert answer.status == 400
    error = answer.json["error"]
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", "dimensions", None)


def test_base64_holds_the_same_numbers(gw: Sandbox) -> None:
    [plain] = vectors(gw, "foo bar")
    [packed] = vectors(gw, "foo bar", encoding_format="base64")
    unpacked = struct.unpack(f"<{len(plain)}f", base64.b64decode(str(packed)))
    assert unpacked == pytest.approx(plain, abs=1e-6)


@pytest.mark.parametrize(
    ("given", "count"),
    [("foo", 1), (["foo", "bar"], 2), ([1, 2, 3], 1), ([[1, 2], [3]], 2), ([], 0)],
)
def test_kinds_of_input(gw: Sandbox, given: Any, count: int) -> None:
    answer = embed(gw, given).json
    assert [item["index"] for item in answer["data"]] == list(range(count))
    assert answer["usage"]["prompt_tokens"] == answer["usage"]["total_tokens"] >= count


@pytest.mark.parametrize(
    ("body", "status", "error_type"),
    [
        ({"input": "x"}, 404, "model_not_found"),
        ({"model": SMALL}, 400, "invalid_request"),
        ({"model": "no/such", "input": "x"}, 404, "model_not_found"),
        ([], 400, "invalid_request"),
        (b"{", 400, "invalid_request"),
    ],
)
def test_faults(gw: Sandbox, body: Any, status: int, error_type: str) -> None:
    answer = post(gw, PATH, body, gw.api_key)
    assert (answer.status, answer.json["error_type"]) == (status, error_type)
