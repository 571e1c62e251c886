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

    def fits(self, path: str, body: str, header: str, without: str) -> bool:
        """Return True if patterns fit the end of the path, the body and a header, and `without` no header."""
        lines = "\n".join(f"{name}: {value}" for name, value in self.headers.items())
        return bool(
            re.search(f"{path}$", self.path)
            and re.search(body, self.body.decode())
            and re.search(header, lines, re.MULTILINE)
            and not (without and re.search(without, lines, re.MULTILINE))
        )


Lie = Callable[[Asked, Exchange], Exchange]


class LyingSandbox(InProcess):
    """A sandbox without a server whose answers pass through a lie."""

    def __init__(self, lie: Lie, **options: Any) -> None:
        super().__init__(**options)
        self.lie = lie

    async def aexchange(self, method: str, path: str, body: bytes, headers: list[tuple[bytes, bytes]]) -> Exchange:
        named = {name.decode(): value.decode("latin-1") for name, value in headers}
        return self.lie(Asked(method, path, named, body), await super().aexchange(method, path, body, headers))


# Kinds of lies.


def at(lie: Lie, path: str = "", body: str = "", header: str = "", without: str = "") -> Lie:
    """Return a lie about the requests that fit the patterns; about POSTs, if neither path nor header is given."""

    def limited(asked: Asked, said: Exchange) -> Exchange:
        is_meant = asked.method == "POST" or path or header
        return lie(asked, said) if is_meant and asked.fits(path, body, header, without) else said

    return limited


def says(status: int, body: Any) -> Lie:
    """Answer in this way."""
    content = json.dumps(body).encode()
    return lambda asked, said: Exchange(status, [(b"content-type", b"application/json")], [content], complete=True)


def swaps(pattern: str, new: str) -> Lie:
    """Replace all texts that match `pattern`."""
    return lambda asked, said: _with(said, re.sub(pattern, new, b"".join(said.pieces).decode()))


def edits(change: Callable[[Json], object]) -> Lie:
    """Change the JSON of an answer."""

    def lie(asked: Asked, said: Exchange) -> Exchange:
        body = json.loads(b"".join(said.pieces))
        change(body)
        return _with(said, json.dumps(body))

    return lie


def _with(said: Exchange, text: str) -> Exchange:
    headers = [(name, value) for name, value in said.headers if name != b"content-length"]
    return replace(said, headers=headers, pieces=[text.encode()])


def _without_header(name: bytes) -> Lie:
    return lambda asked, said: replace(said, headers=[pair for pair in said.headers if pair[0].lower() != name])


def _error(status: int, error_type: str, code: str = "") -> Lie:
    if code:
        return says(status, {"error": {"code": code, "message": "No."}, "error_type": error_type})
    return says(status, {"error": "No", "error_type": error_type, "message": "No."})


def _listed(change: Callable[[Json], object], name: str = "kilo-auto/balanced") -> Lie:
    """Change the entry of one model in the list."""
    return at(edits(lambda body: [change(item) for item in body["data"] if item["id"] == name]), "gateway/models")


def _names(model: str) -> Lie:
    """Say that this model served."""
    return edits(lambda body: body.update(model=model))


def _message(change: Callable[[Json], object]) -> Lie:
    return edits(lambda body: change(body["choices"][0]["message"]))


def _of_type(kind: str, change: Callable[[Json], object]) -> Lie:
    """Change the items of Responses, or the blocks of Messages, of one type."""

    def every(body: Json) -> None:
        for item in body["output"] if "output" in body else body["content"]:
            if item["type"] == kind:
                change(item)

    return edits(every)


_MESSAGE = {"role": "assistant", "content": "Hi"}
SERVED = says(200, {"id": "gen-1", "model": "a/b", "choices": [{"message": _MESSAGE}], "output": [], "content": []})
SIGN_IN = _error(401, "paid_model_auth_required", "PAID_MODEL_AUTH_REQUIRED")
BAD_TOKEN = _error(401, "authentication_required", "INVALID_TOKEN")
FORBIDDEN = _error(403, "forbidden")
INVALID = _error(400, "invalid_request")
NOT_FOUND = _error(404, "model_not_found")
UPSTREAM = says(400, {"error": {"code": 400, "message": "Provider returned error"}})
NO_COST = edits(lambda body: body["usage"].pop("cost"))

CHAT = "gateway/chat/completions"
NO_MODEL = "verify-asks-for-no-model"
HELLO = r'"model":"kilo-auto/free","messages":\[{"role":"user","content":"Say hello in one word."}\],"max_tokens":64}$'
CALLS = '"role":"user","content":"Call get_weather'

LIES: Mapping[str, Lie] = {
    "endpoints.chat-completions": at(SERVED, CHAT, "^{}$"),
    "endpoints.responses": at(SERVED, "gateway/responses", "^{}$"),
    "endpoints.messages": at(SERVED, "gateway/messages", "^{}$"),
    "endpoints.v1": at(says(400, {"error": "Invalid path"}), "v1/responses"),
    "endpoints.openrouter": at(_error(400, "invalid_path"), "openrouter/chat/completions"),
    "endpoints.other-path": at(SERVED, "gateway/completions"),
    "endpoints.trailing-slash": at(SERVED, "completions/"),
    "endpoints.embeddings-v1": at(NOT_FOUND, "v1/embeddings"),
    "endpoints.get": at(lambda asked, said: _with(said, "Not allowed") if asked.method == "GET" else said, CHAT),
    "endpoints.v1-models": at(edits(lambda body: body.update(data=[])), "v1/models"),
    "credentials.no-header": at(SIGN_IN, CHAT, HELLO, without="^authorization"),
    "credentials.empty-header": at(BAD_TOKEN, header="^authorization: $"),
    "credentials.anonymous-token": at(BAD_TOKEN, header="^authorization: Bearer anonymous$"),
    "credentials.other-scheme": at(BAD_TOKEN, header="^authorization: Basic"),
    "credentials.paid-model": at(SERVED, CHAT, NO_MODEL + r".*\]}$", without="^(authorization|x-)"),
    "credentials.bad-token": at(_without_header(b"www-authenticate"), "", NO_MODEL, header="verify-no-such-token"),
    "credentials.public-token": at(SERVED, header="^authorization: Bearer public$"),
    "credentials.bad-token-on-free": at(FORBIDDEN, "", "kilo-auto/free", header="verify-no-such-token"),
    "credentials.list-ignores-token": at(BAD_TOKEN, "gateway/models", header="verify-no-such-token"),
    "credentials.small": at(SIGN_IN, "", "kilo-auto/small"),
    "credentials.good-key": at(SIGN_IN, "", NO_MODEL, "^authorization: Bearer sandbox-key$", without="organizationid"),
    "credentials.x-api-key": at(NOT_FOUND, header="^x-api-key"),
    "credentials.wrong-organisation": at(FORBIDDEN, header="organizationid: (00000000|not-a-uuid)"),
    "credentials.organisation": at(SIGN_IN, "", NO_MODEL, header="organizationid: 3f6c2f0e"),
    "requests.long-headers": at(_error(431, "invalid_request"), header="m{2000}"),
    "requests.unknown-feature": at(INVALID, header="^x-kilocode-feature"),
    "requests.response-headers": at(
        lambda asked, said: replace(said, headers=[*said.headers, (b"x-ratelimit-remaining", b"9")])
    ),
    "requests.malformed-json": at(SIGN_IN, "", '^{"model": $'),
    "requests.provider-options": at(SIGN_IN, "", NO_MODEL + ".*providerOptions"),
    "requests.blank-model": at(SIGN_IN, "", '"model":"  "'),
    "requests.messages-type": at(SIGN_IN, "", NO_MODEL + '","messages":"Say'),
    "requests.privacy-types": at(SIGN_IN, "", '"zdr":"yes"'),
    "requests.privacy": at(SERVED, "", '"zdr":true'),
    "requests.stateless": at(SERVED, "", "previous_response_id"),
    "requests.order": at(NOT_FOUND, "", '^{"providerOptions"'),
    "requests.output-limit": at(SERVED, "", "100000000000"),
    "requests.store-is-later": at(_error(400, "unsupported_field"), "", NO_MODEL + '.*"store"'),
    "requests.tool-history": at(UPSTREAM, CHAT, '"call_1"'),
    "requests.bare-name": at(NOT_FOUND, "", "gpt-4o-mini"),
    "requests.latest-alias": at(NOT_FOUND, "", "sonnet-latest"),
    "errors.model-not-found": at(swaps("kilo-gateway/[a-z-]+", "a/b")),
    "errors.upstream": at(says(400, {"error": {"code": "bad_request", "message": "No."}}), "", '"hot"'),
    "errors.upstream-messages": at(UPSTREAM, "", '"robot"'),
    "models.envelope": at(edits(lambda body: body.update(object="list")), "gateway/models"),
    "models.fields": _listed(lambda item: item.pop("context_length")),
    "models.prices": _listed(lambda item: item["pricing"].update(prompt=0.1)),
    "models.no-owner": _listed(lambda item: item.update(owned_by="kilo")),
    "models.tiers": _listed(lambda item: item.update(id="kilo-auto/medium"), "kilo-auto/small"),
    "models.tier-prices": _listed(lambda item: item["pricing"].update(prompt="0.1"), "kilo-auto/frontier"),
    "models.tier-parameters": _listed(lambda item: item["supported_parameters"].append("tool_choice")),
    "models.flags": _listed(lambda item: item.update(isFree="no")),
    "models.auto-routing": _listed(lambda item: item["autoRouting"]["models"].append("a/b")),
    "models.hints": at(swaps('"ai_sdk_provider":"openai"', '"ai_sdk_provider":"azure"'), "gateway/models"),
    "models.byok-flag": _listed(lambda item: item.update(hasUserByokAvailable=True)),
    "answers.envelope": at(edits(lambda body: body.pop("provider")), "", HELLO),
    "answers.finish-reason": at(edits(lambda body: body["choices"][0].update(finish_reason="eos")), "", HELLO),
    "answers.reasoning": at(_message(lambda message: message.update(reasoning=None)), "", '"enabled":true'),
    "answers.usage": at(edits(lambda body: body["usage"].pop("total_tokens")), "", HELLO),
    "answers.free-costs-nothing": at(edits(lambda body: body["usage"].update(cost=0.1)), "", HELLO),
    "answers.cost": at(NO_COST, CHAT, "openai/.*Say hello"),
    "streams.keep-alive": at(swaps("KILO PROCESSING", "WAIT")),
    "streams.done": at(swaps(r"data: \[DONE\]\n\n", 'data: [DONE]\n\ndata: {"choices":[]}\n\n')),
    "streams.usage": at(swaps('"usage"', '"counts"'), CHAT),
    "streams.choices": at(swaps('"choices":(.*"usage")', r'"answers":\1'), CHAT),
    "streams.role": at(swaps('"role":"assistant"', '"role":null'), CHAT),
    "streams.finish": at(swaps('"finish_reason":"[a-z]+"', '"finish_reason":null'), CHAT),
    "streams.error-before": at(SERVED, "", NO_MODEL + '.*"stream":true'),
    "streams.responses-events": at(swaps(r"response\.(completed|incomplete)", "response.done")),
    "streams.messages-events": at(swaps("message_stop", "message_end")),
    "auto.free": at(_names("kilo-auto/free"), "", HELLO, without="taskid"),
    "auto.id-is-normalised": at(NOT_FOUND, "", "KILO-AUTO/FREE"),
    "auto.affinity": at(edits(lambda body: body.update(model=body["id"])), header="taskid"),  # each has another id
    "auto.reasoning-replaced": at(
        _message(lambda message: message.update(reasoning=None, reasoning_details=None)), "", '"exclude":true'
    ),
    "auto.modes": at(_names("a/b"), header="x-kilocode-mode: (plan|code)"),
    "auto.no-mode": at(_names("a/b"), "", "kilo-auto/frontier", without="x-kilocode-mode"),
    "auto.mode-case": at(_names("a/b"), header="x-kilocode-mode: Plan"),
    "auto.balanced": at(_names("kilo-auto/balanced"), "/messages", "kilo-auto/balanced"),
    "auto.legacy-id": at(INVALID, "", '"kilo/auto"'),
    "auto.organisation-tier": at(SERVED, "", "kilo-auto/org"),
    "auto.switched-off": at(FORBIDDEN, "", "gemma-4-26b-a4b-it:free"),
    "auto.retired": at(FORBIDDEN, "", "glm-5:free"),
    "embeddings.needs-account": at(SERVED, "gateway/embeddings", without="^authorization"),
    "embeddings.catalogue": at(edits(lambda body: body.pop("aliases")), "/embedding-models"),
    "embeddings.vectors": at(edits(lambda body: body["data"].reverse()), "", r'"Rome"\]}$', "^authorization"),
    "embeddings.base64-vectors": at(edits(lambda body: body["data"][0].update(embedding="-")), "", '"base64"'),
    "embeddings.dimensions": at(edits(lambda body: body["error"].update(param=None)), "", '"dimensions"'),
    "interfaces.responses-body": at(edits(lambda body: body.pop("status")), "/responses", "kilo-auto/free"),
    "interfaces.messages-body": at(edits(lambda body: body.pop("stop_reason")), "/messages", "kilo-auto/free"),
    "interfaces.own-errors": at(edits(lambda body: body.update(type="error")), "/messages", NO_MODEL),
    "interfaces.responses-cost": at(NO_COST, "/responses", "Say hello"),
    "interfaces.messages-cost": at(NO_COST, "/messages", "Say hello"),
    "interfaces.chat-tool-call": at(
        _message(lambda message: message["tool_calls"][0]["function"].update(arguments={})), CHAT, CALLS + r"[^}]*}\]"
    ),
    "interfaces.chat-tool-fragments": at(swaps('"name":"get_weather"', '"name":""'), "", '"stream":true'),
    "interfaces.chat-tool-result": at(UPSTREAM, CHAT, '"role":"tool"'),
    "interfaces.responses-tool-call": at(_of_type("function_call", lambda item: item.pop("call_id")), "/responses"),
    "interfaces.responses-history": at(SERVED, "/responses", "call_1"),
    "interfaces.messages-tool-call": at(_of_type("tool_use", lambda block: block.update(input="{}")), "/messages"),
    "interfaces.messages-history": at(UPSTREAM, "/messages", "toolu_1"),
    "interfaces.responses-reasoning": at(
        _of_type("reasoning", lambda item: item.pop("encrypted_content")), "/responses"
    ),
    "interfaces.item-ids": at(SERVED, "/responses", '"id":"rs_'),
    "interfaces.chat-reasoning": at(UPSTREAM, CHAT, "reasoning_details"),
    "interfaces.messages-thinking": at(UPSTREAM, "/messages", '^(?!.*Something else).*"signature"'),
    "interfaces.changed-thinking": at(SERVED, "/messages", "Something else"),
}
"""A lie for each check, by its id."""

ALSO: Mapping[str, frozenset[str]] = {
    "auto.modes": frozenset({"auto.no-mode", "auto.mode-case"}),
    "interfaces.chat-tool-call": frozenset({"interfaces.chat-tool-result"}),
}
"""The other checks of the same group that find a lie too, because they rest on the same answers."""
