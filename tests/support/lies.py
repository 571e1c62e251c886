"""Let the sandbox lie: for each check of `kilo-gateway verify`, an answer in which its fact does not hold."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tests.support.in_process import Exchange, InProcess

Json = dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """A request, with header names in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


Lie = Callable[[Asked, Exchange], Exchange]


class LyingSandbox(InProcess):
    """A sandbox without a server whose answers pass through a lie."""

    def __init__(self, lie: Lie, **options: Any) -> None:
        super().__init__(**options)
        self.lie = lie

    async def aexchange(self, method: str, path: str, body: bytes, headers: list[tuple[bytes, bytes]]) -> Exchange:
        named = {name.decode(): value.decode("latin-1") for name, value in headers}
        return self.lie(Asked(method, path, named, body), await super().aexchange(method, path, body, headers))


# Kinds of lies. Those about an interface leave the list of models alone, because checks choose their models from it.


def says(status: int, body: Any, when: Callable[[Asked, Exchange], bool] = lambda asked, said: True) -> Lie:
    """Answer each POST in this way."""

    def lie(asked: Asked, said: Exchange) -> Exchange:
        if asked.method == "GET" or not when(asked, said):
            return said
        return Exchange(status, [(b"content-type", b"application/json")], [json.dumps(body).encode()], complete=True)

    return lie


def swaps(pattern: str, new: str, on: str = "") -> Lie:
    """Replace all texts that match `pattern` in the answers of the paths that end with `on`."""

    def lie(asked: Asked, said: Exchange) -> Exchange:
        whole = b"".join(said.pieces).decode()
        if not asked.path.endswith(on or asked.path) or (not on and asked.method == "GET"):
            return said
        # The length of a changed body is another one.
        headers = [(name, value) for name, value in said.headers if name != b"content-length"]
        return replace(said, headers=headers, pieces=[re.sub(pattern, new, whole).encode()])

    return lie


def edits(change: Callable[[Json], object], on: str = "") -> Lie:
    """Change the JSON of the answers of the paths that end with `on`, of each POST by default."""

    def lie(asked: Asked, said: Exchange) -> Exchange:
        if not asked.path.endswith(on or asked.path) or (not on and asked.method == "GET"):
            return said
        body = json.loads(b"".join(said.pieces))
        change(body)
        headers = [(name, value) for name, value in said.headers if name != b"content-length"]
        return replace(said, headers=headers, pieces=[json.dumps(body).encode()])

    return lie


def _listed(change: Callable[[Json], object], name: str = "kilo-auto/balanced") -> Lie:
    """Change the entry of one model in the list."""
    return edits(lambda body: [change(item) for item in body["data"] if item["id"] == name], "/models")


def _names(model_of: Callable[[Asked], str]) -> Lie:
    """Say that another model served."""
    return lambda asked, said: edits(lambda body: body.update(model=model_of(asked)))(asked, said)


def _message(change: Callable[[Json], object]) -> Lie:
    return edits(lambda body: change(body["choices"][0]["message"]))


def _of_type(kind: str, change: Callable[[Json], object]) -> Lie:
    """Change the items of Responses, or the blocks of Messages, of one type."""

    def every(body: Json) -> None:
        for item in body["output"] if "output" in body else body["content"]:
            if item["type"] == kind:
                change(item)

    return edits(every)


def _plain(status: int, error_type: str) -> Lie:
    return says(status, {"error": "No", "error_type": error_type, "message": "No."})


def _coded(code: str, error_type: str) -> Lie:
    return says(401, {"error": {"code": code, "message": "No."}, "error_type": error_type})


def _goes_on(asked: Asked, said: Exchange) -> bool:
    """Return True if a request has an earlier answer in it."""
    return b'"assistant"' in asked.body


def _was_refused(asked: Asked, said: Exchange) -> bool:
    return said.status >= 400


_CHOICE = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
SERVED = says(200, {"id": "gen-1", "model": "a/b", "choices": [_CHOICE]})
SERVED_AFTER_ALL = says(200, {"model": "a/b", "output": [], "content": []}, _was_refused)
SIGN_IN = _coded("PAID_MODEL_AUTH_REQUIRED", "paid_model_auth_required")
BAD_TOKEN = _coded("INVALID_TOKEN", "authentication_required")
FORBIDDEN = _plain(403, "forbidden")
INVALID = _plain(400, "invalid_request")
UPSTREAM = {"error": {"code": 400, "message": "Provider returned error"}}
ALIAS = "kilo-auto/free"


def _mode(asked: Asked) -> str:
    return asked.headers.get("x-kilocode-mode", "")


LIES: Mapping[str, Lie] = {
    "endpoints.chat-completions": SERVED,
    "endpoints.responses": SERVED,
    "endpoints.messages": SERVED,
    "endpoints.v1": says(400, {"error": "Invalid path"}, lambda asked, said: asked.path.endswith("/responses")),
    "endpoints.openrouter": _plain(400, "invalid_path"),
    "endpoints.other-path": SERVED,
    "endpoints.trailing-slash": SERVED,
    "endpoints.embeddings-v1": _plain(404, "model_not_found"),
    "endpoints.get": lambda asked, said: replace(said, pieces=[b"Method Not Allowed"]) if said.status == 405 else said,
    "endpoints.v1-models": edits(lambda body: body.update(data=[]), "/v1/models"),
    "credentials.no-header": SIGN_IN,
    "credentials.empty-header": BAD_TOKEN,
    "credentials.anonymous-token": BAD_TOKEN,
    "credentials.other-scheme": BAD_TOKEN,
    "credentials.paid-model": SERVED,
    "credentials.bad-token": lambda asked, said: replace(said, headers=[]),  # without WWW-Authenticate
    "credentials.public-token": SERVED,
    "credentials.bad-token-on-free": FORBIDDEN,
    "credentials.list-ignores-token": lambda asked, said: (
        replace(said, status=401) if asked.headers.get("authorization") else said
    ),
    "credentials.small": SIGN_IN,
    "credentials.good-key": SIGN_IN,
    "credentials.x-api-key": _plain(404, "model_not_found"),
    "credentials.wrong-organisation": FORBIDDEN,
    "credentials.organisation": SIGN_IN,
    "requests.long-headers": _plain(431, "invalid_request"),
    "requests.unknown-feature": INVALID,
    "requests.response-headers": lambda asked, said: replace(
        said, headers=[*said.headers, (b"x-ratelimit-remaining", b"9")]
    ),
    "requests.malformed-json": SIGN_IN,
    "requests.provider-options": SIGN_IN,
    "requests.blank-model": SIGN_IN,
    "requests.messages-type": SIGN_IN,
    "requests.privacy-types": SIGN_IN,
    "requests.order": INVALID,
    "requests.output-limit": SERVED,
    "requests.stateless": SERVED,
    "requests.store-is-later": _plain(400, "unsupported_field"),
    "requests.privacy": SERVED,
    "requests.tool-history": says(400, UPSTREAM),
    "requests.bare-name": _plain(404, "model_not_found"),
    "requests.latest-alias": _plain(404, "model_not_found"),
    "errors.model-not-found": swaps("kilo-gateway/[a-z-]+", "a/b"),
    "errors.upstream": edits(lambda body: body["error"].update(code="bad_request")),
    "errors.upstream-messages": says(400, UPSTREAM),
    "models.envelope": edits(lambda body: body.update(object="list"), "/models"),
    "models.fields": _listed(lambda item: item.pop("context_length")),
    "models.prices": _listed(lambda item: item["pricing"].update(prompt=0.1)),
    "models.no-owner": _listed(lambda item: item.update(owned_by="kilo")),
    "models.tiers": _listed(lambda item: item.update(id="kilo-auto/medium")),
    "models.tier-prices": _listed(lambda item: item["pricing"].update(prompt="0.1"), "kilo-auto/frontier"),
    "models.tier-parameters": _listed(lambda item: item["supported_parameters"].append("tool_choice")),
    "models.flags": _listed(lambda item: item.update(isFree="no")),
    "models.auto-routing": _listed(lambda item: item["autoRouting"]["models"].append("a/b")),
    "models.hints": swaps('"ai_sdk_provider":"openai"', '"ai_sdk_provider":"azure"', "/models"),
    "models.byok-flag": _listed(lambda item: item.update(hasUserByokAvailable=True)),
    "answers.envelope": edits(lambda body: body.pop("provider")),
    "answers.finish-reason": edits(lambda body: body["choices"][0].update(finish_reason="eos")),
    "answers.reasoning": _message(lambda message: message.update(reasoning=None)),
    "answers.usage": edits(lambda body: body["usage"].pop("total_tokens")),
    "answers.free-costs-nothing": edits(lambda body: body["usage"].update(cost=0.1)),
    "answers.cost": edits(lambda body: body["usage"].pop("cost")),
    "streams.keep-alive": swaps("KILO PROCESSING", "WAIT"),
    "streams.done": swaps(r"data: \[DONE\]\n\n", 'data: [DONE]\n\ndata: {"choices":[]}\n\n'),
    "streams.usage": swaps('"usage"', '"counts"'),
    "streams.choices": swaps('"choices"', '"answers"'),
    "streams.role": swaps('"role":"assistant"', '"role":null'),
    "streams.finish": swaps('"finish_reason":"[a-z]+"', '"finish_reason":null'),
    "streams.error-before": SERVED,
    "streams.responses-events": swaps(r"response\.(completed|incomplete)", "response.done"),
    "streams.messages-events": swaps("message_stop", "message_end"),
    "auto.free": _names(lambda asked: ALIAS),
    "auto.id-is-normalised": _plain(404, "model_not_found"),
    "auto.affinity": lambda asked, said: edits(lambda body: body.update(model=body["id"]))(
        asked, said
    ),  # which differs from answer to answer
    "auto.reasoning-replaced": _message(lambda message: message.update(reasoning=None, reasoning_details=None)),
    "auto.modes": _names(lambda asked: "a/b"),
    "auto.no-mode": _names(lambda asked: f"a/{_mode(asked)}"),
    "auto.mode-case": _names(lambda asked: f"a/{_mode(asked)}"),
    "auto.balanced": _names(lambda asked: ALIAS if "/messages" in asked.path else "a/b"),
    "auto.legacy-id": INVALID,
    "auto.organisation-tier": SERVED,
    "auto.switched-off": FORBIDDEN,
    "auto.retired": FORBIDDEN,
    "embeddings.needs-account": SERVED,
    "embeddings.catalogue": edits(lambda body: body.pop("aliases"), "/embedding-models"),
    "embeddings.vectors": edits(lambda body: body["data"].reverse()),
    "embeddings.base64-vectors": edits(lambda body: body["data"][0].update(embedding="not base64")),
    "embeddings.dimensions": edits(lambda body: body["error"].update(param=None)),
    "interfaces.responses-body": edits(lambda body: body.pop("status")),
    "interfaces.messages-body": edits(lambda body: body.pop("stop_reason")),
    "interfaces.own-errors": edits(lambda body: body.update(type="error")),
    "interfaces.responses-cost": edits(lambda body: body["usage"].pop("cost")),
    "interfaces.messages-cost": edits(lambda body: body["usage"].pop("cost")),
    "interfaces.chat-tool-call": _message(lambda message: message["tool_calls"][0]["function"].update(arguments={})),
    "interfaces.chat-tool-fragments": swaps('"name":"get_weather"', '"name":""'),
    "interfaces.chat-tool-result": says(400, UPSTREAM, _goes_on),
    "interfaces.responses-tool-call": _of_type("function_call", lambda item: item.pop("call_id")),
    "interfaces.responses-history": SERVED_AFTER_ALL,
    "interfaces.messages-tool-call": _of_type("tool_use", lambda block: block.update(input="{}")),
    "interfaces.messages-history": says(400, UPSTREAM, _goes_on),
    "interfaces.responses-reasoning": _of_type("reasoning", lambda item: item.pop("encrypted_content")),
    "interfaces.item-ids": SERVED_AFTER_ALL,
    "interfaces.chat-reasoning": says(400, UPSTREAM, _goes_on),
    "interfaces.messages-thinking": says(400, UPSTREAM, _goes_on),
    "interfaces.changed-thinking": SERVED_AFTER_ALL,
}
"""A lie for each check, by its id."""
