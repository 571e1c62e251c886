"""Answer `POST /embeddings`; texts with common words have similar vectors. See docs/gateway.md, "Embeddings"."""

from __future__ import annotations

import base64
import hashlib
import math
import struct
from functools import lru_cache
from typing import Any

from kilo_gateway.sandbox.gateway.credentials import Identity
from kilo_gateway.sandbox.gateway.error_bodies import Refusal
from kilo_gateway.sandbox.model.conversation import clipped
from kilo_gateway.sandbox.model.odd_vectors import ANSWERS, PREFIX
from kilo_gateway.sandbox.model.words import count_tokens, terms, words

Json = dict[str, Any]

DEFAULT_MODEL = "mistralai/mistral-embed-2312"

# Model: dimension, mode, verified other dimensions.
_MODELS: dict[str, tuple[int, str | None, tuple[int, ...]]] = {
    "mistralai/codestral-embed-2505": (1536, "fixed", ()),
    "mistralai/mistral-embed-2312": (1024, "fixed", ()),
    "openai/text-embedding-3-small": (1536, "selectable", (256, 1536)),
    "openai/text-embedding-3-large": (3072, "selectable", ()),
    "openai/text-embedding-ada-002": (1536, "fixed", ()),
    "google/gemini-embedding-001": (3072, "selectable", (768, 3072)),
    "qwen/qwen3-embedding-8b": (4096, None, ()),
    "qwen/qwen3-embedding-4b": (2560, None, ()),
    "perplexity/pplx-embed-v1-4b": (2560, None, ()),
    "perplexity/pplx-embed-v1-0.6b": (1024, None, ()),
    "baai/bge-m3": (1024, None, ()),
    "baai/bge-large-en-v1.5": (1024, "fixed", ()),
    "baai/bge-base-en-v1.5": (768, "fixed", ()),
    "thenlper/gte-large": (1024, None, ()),
    "thenlper/gte-base": (768, None, ()),
    "intfloat/e5-large-v2": (1024, None, ()),
    "intfloat/e5-base-v2": (768, None, ()),
    "intfloat/multilingual-e5-large": (1024, None, ()),
    "sentence-transformers/all-mpnet-base-v2": (768, None, ()),
    "sentence-transformers/all-minilm-l12-v2": (384, None, ()),
    "sentence-transformers/all-minilm-l6-v2": (384, None, ()),
    "sentence-transformers/paraphrase-minilm-l6-v2": (384, None, ()),
    "sentence-transformers/multi-qa-mpnet-base-dot-v1": (768, None, ()),
}
_ALIASES = {
    name.split("/")[1]: name
    for name in (
        "openai/text-embedding-3-small",
        "openai/text-embedding-3-large",
        "openai/text-embedding-ada-002",
        "mistralai/codestral-embed-2505",
        "mistralai/mistral-embed-2312",
    )
}
_PRICE = 1e-7
_PLACES = 32


class BadDimensions(Exception):  # noqa: N818 - an answer to the client, not a failure of the sandbox
    """A vector length that the model does not support; `body` is the answer, with status 400."""

    def __init__(self, model: str, dimensions: object) -> None:
        super().__init__(model)
        text = f"Model {model} does not support the dimensions {dimensions!r}."
        error = {"message": text, "type": "invalid_request_error", "param": "dimensions", "code": None}
        self.body: Json = {"error": error}


def catalog() -> Json:
    """Return the body of `GET /embedding-models`."""
    models = []
    for name, (dimension, mode, verified) in _MODELS.items():
        item: Json = {"id": name, "name": name.split("/")[1], "dimension": dimension, "scoreThreshold": 0.4}
        if mode:
            item["dimensionMode"] = mode
        if verified:
            item["verifiedDimensions"] = list(verified)
        models.append(item)
    return {"defaultModel": DEFAULT_MODEL, "models": models, "aliases": _ALIASES}


def embed(body: Json, identity: Identity, number: int) -> Json:
    """Return the answer to an embedding request; raise Refusal or BadDimensions if the gateway would refuse it."""
    requested = body.get("model")
    if not isinstance(requested, str) or not requested.strip():
        raise Refusal("model-missing")
    if body.get("input") is None:
        raise Refusal("invalid-request")
    if identity.rejected:
        raise Refusal("invalid-token")
    if identity.anonymous:
        raise Refusal("paid-model")
    model = requested.strip().lower()
    model = _ALIASES.get(model, model)
    if model.removeprefix(PREFIX) in ANSWERS:
        model = "openai/text-embedding-3-small"
    if model not in _MODELS:
        raise Refusal("model-not-found", id=requested)
    if identity.account.balance <= 0:
        raise Refusal("no-balance")
    size = _size(model, body.get("dimensions"))
    inputs = _inputs(body["input"])
    as_base64 = body.get("encoding_format") == "base64"
    vectors = [vector(text, size) for text in inputs]
    tokens = sum(max(1, count_tokens(text)) for text in inputs)
    return {
        "object": "list",
        "id": f"gen-emb-{number}",
        "model": model,
        "data": [
            {"object": "embedding", "index": index, "embedding": _packed(values) if as_base64 else values}
            for index, values in enumerate(vectors)
        ],
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens, "cost": round(tokens * _PRICE, 10)},
    }


def vector(text: str, size: int) -> list[float]:
    """Return the unit vector of a text; each content word changes the values at positions that its hash selects.

    Each word has many positions. So different words overlap little and evenly, in short vectors too.
    """
    values = [0.0] * size
    text = clipped(text)
    for term in terms(text) or words(text) or [text]:
        for place, sign in _places(term):
            values[place % size] += sign
    norm = math.sqrt(sum(value * value for value in values))
    if not norm:
        # In a very short vector, opposite signs may cancel each other.
        values[0] = norm = 1.0
    return [value / norm for value in values]


@lru_cache(maxsize=4096)
def _places(term: str) -> tuple[tuple[int, float], ...]:
    digest = hashlib.shake_128(term.encode()).digest(_PLACES * 5)
    places = []
    for at in range(0, len(digest), 5):
        sign = 1.0 if digest[at + 4] & 1 else -1.0
        places.append((int.from_bytes(digest[at : at + 4], "big"), sign))
    return tuple(places)


def _size(model: str, dimensions: Any) -> int:
    natural, mode, _ = _MODELS[model]
    if dimensions is None or dimensions == natural:
        return natural
    if mode != "selectable" or not isinstance(dimensions, int) or not 0 < dimensions <= natural:
        raise BadDimensions(model, dimensions)
    return dimensions


def _inputs(value: Any) -> list[str]:
    """Return the texts of a string, a list of strings, or token lists, whose numbers become words."""
    if isinstance(value, list) and value and not all(isinstance(item, int) for item in value):
        return [_text(item) for item in value]
    return [_text(value)] if value != [] else []


def _text(item: Any) -> str:
    return " ".join(f"t{token}" for token in item) if isinstance(item, list) else str(item)


def _packed(values: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode()
