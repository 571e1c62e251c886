"""Check embeddings. See docs/gateway.md, "Embeddings"."""

from __future__ import annotations

import base64
import binascii
from typing import Any, Final

from kilo_gateway.verify.answer import Answer, dicts
from kilo_gateway.verify.check import Group
from kilo_gateway.verify.findings import SINCE_E2, Differs, Era, Undecided
from kilo_gateway.verify.gateway import Gateway

GROUP = Group("embeddings", "Embeddings", eras=SINCE_E2)
_MODEL: Final = "mistralai/mistral-embed-2312"
_DIMENSION: Final = 1024
_FLOAT_BYTES: Final = 4


def _embed(gateway: Gateway, *, key: bool = True, **more: Any) -> Answer:
    return gateway.post("/embeddings", {"model": _MODEL, "input": ["Oslo", "Rome"], **more}, key=key)


@GROUP.add()
def needs_account(gateway: Gateway) -> Era:
    """A paid model of embeddings needs an account."""
    return _embed(gateway, key=False).refused(401, "paid_model_auth_required")


@GROUP.add()
def catalogue(gateway: Gateway) -> None:
    """`GET /embedding-models` names a default model, models with their dimensions, and aliases."""
    answer = gateway.get("/embedding-models")
    if answer.status == 405:
        raise Undecided("this server does not serve the path, as E1 did not", expected=True)
    body = answer.body
    models = list(dicts(body.get("models")))
    if not models or not all(isinstance(item.get("dimension"), int) and item.get("id") for item in models):
        raise Differs(f"{answer} instead of models with dimensions")
    gateway.note(f"{len(models)} models, default {body.get('defaultModel')}")
    if not isinstance(body.get("defaultModel"), str) or not isinstance(body.get("aliases"), dict):
        raise Differs(f"a body with {', '.join(body)}")


@GROUP.add(needs="key", usd=0.0001)
def vectors(gateway: Gateway) -> None:
    """The answer is OpenAI's list: one vector for each text, with its index, and usage."""
    answer = _embed(gateway).served()
    items = list(dicts(answer.body.get("data")))
    sizes = [len(item["embedding"]) for item in items if isinstance(item.get("embedding"), list)]
    gateway.note(f"vectors of {sizes} numbers")
    if sizes != [_DIMENSION] * 2 or [item.get("index") for item in items] != [0, 1]:
        raise Differs("other vectors")
    if "prompt_tokens" not in answer.usage:
        raise Differs("no usage")


@GROUP.add(needs="key", usd=0.0001)
def base64_vectors(gateway: Gateway) -> None:
    """With `encoding_format: "base64"`, a vector is the base64 text of little-endian float32 numbers."""
    items = list(dicts(_embed(gateway, encoding_format="base64").served().body.get("data")))
    if len(items) != 2:
        raise Differs(f"{len(items)} vectors for 2 texts")
    for item in items:
        try:
            size = len(base64.b64decode(item.get("embedding") or "", validate=True))
        except (TypeError, binascii.Error):
            raise Differs("the vectors are not base64") from None
        if size != _DIMENSION * _FLOAT_BYTES:
            raise Differs(f"{size} bytes instead of {_DIMENSION * _FLOAT_BYTES}")


@GROUP.add(needs="key", usd=0.0001)
def dimensions(gateway: Gateway) -> None:
    """A model of fixed size refuses other `dimensions`: 400, whose `error.param` is `dimensions`."""
    answer = _embed(gateway, dimensions=7).unhindered()
    param = answer.error.get("param") if isinstance(answer.error, dict) else None
    if (answer.status, param) != (400, "dimensions"):
        raise Differs(f"{answer} instead of 400 with param dimensions")
