"""Check headers and bodies of requests. See docs/gateway.md, "Requests"."""

from __future__ import annotations

from kilo_gateway.verify.check import Group
from kilo_gateway.verify.findings import ALL, SINCE_E2, Differs, Era
from kilo_gateway.verify.gateway import HELLO, NO_SUCH_MODEL, Gateway

GROUP = Group("requests", "Requests")
_TOOL = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object", "properties": {}}}}


@GROUP.add()
def long_headers(gateway: Gateway) -> Era:
    """Header values that are too long are cut, not refused."""
    names = ("x-kilocode-mode", "x-kilocode-taskid", "X-KiloCode-ProjectId")
    return gateway.unknown(headers=dict.fromkeys(names, "m" * 2000)).refused(401, "paid_model_auth_required")


@GROUP.add()
def unknown_feature(gateway: Gateway) -> Era:
    """An unknown value of `x-kilocode-feature` is ignored."""
    return gateway.unknown(headers={"x-kilocode-feature": "verify-no-such-feature"}).refused(
        401, "paid_model_auth_required"
    )


@GROUP.add()
def response_headers(gateway: Gateway) -> None:
    """Answers have no header with a rate limit, a cost or a generation id."""
    words = ("ratelimit", "rate-limit", "cost", "generation")
    found = [name for name in gateway.chat().served().headers if any(word in name for word in words)]
    if found:
        raise Differs(f"headers {', '.join(found)}")


@GROUP.add()
def malformed_json(gateway: Gateway) -> Era:
    """A body that is not JSON is 400 `invalid_request`."""
    return gateway.post("/chat/completions", b'{"model": ').refused(400, "invalid_request")


@GROUP.add()
def provider_options(gateway: Gateway) -> Era:
    """`providerOptions` is refused: 400 `unsupported_field`."""
    body = {"model": NO_SUCH_MODEL, "messages": [], "providerOptions": {}}
    return gateway.post("/chat/completions", body).refused(400, "unsupported_field")


@GROUP.add()
def blank_model(gateway: Gateway) -> Era:
    """A blank `model` is 404 `model_not_found`, also for an anonymous caller."""
    return gateway.post("/chat/completions", {"model": "  ", "messages": []}).refused(404, "model_not_found")


@GROUP.add()
def messages_type(gateway: Gateway) -> Era:
    """`messages` that are not a list are 400 `invalid_request`."""
    return gateway.post("/chat/completions", {"model": NO_SUCH_MODEL, "messages": HELLO}).refused(
        400, "invalid_request"
    )


@GROUP.add()
def privacy_types(gateway: Gateway) -> Era:
    """`data_collection` other than "allow" and "deny", and `zdr` that is not a boolean, are 400 `invalid_request`."""
    eras = ALL
    for provider in ({"data_collection": "perhaps"}, {"zdr": "yes"}):
        body = {"model": NO_SUCH_MODEL, "messages": [], "provider": provider}
        eras &= gateway.post("/chat/completions", body).refused(400, "invalid_request")
    return eras


@GROUP.add(section="Notices")
def privacy(gateway: Gateway) -> Era:
    """With `data_collection: "deny"` or `zdr: true`, a free model is 400 `data_collection_required`."""
    answers = [gateway.chat(provider=provider) for provider in ({"data_collection": "deny"}, {"zdr": True})]
    return answers[0].refused(400, "data_collection_required") & answers[1].refused(400, "data_collection_required")


@GROUP.add(eras=SINCE_E2)
def stateless(gateway: Gateway) -> Era:
    """`store: true` and `previous_response_id` on Responses are 400 `unsupported_field`."""
    answers = [gateway.responses(store=True), gateway.responses(previous_response_id="resp_1")]
    return answers[0].refused(400, "unsupported_field") & answers[1].refused(400, "unsupported_field")


@GROUP.add()
def order(gateway: Gateway) -> Era:
    """The answer reports the first error: `providerOptions` before `model`, `model` before the credentials."""
    first = gateway.post("/chat/completions", {"providerOptions": {}, "messages": HELLO})
    second = gateway.post("/chat/completions", {"messages": HELLO})
    return first.refused(400, "unsupported_field") & second.refused(404, "model_not_found")


@GROUP.add()
def output_limit(gateway: Gateway) -> Era:
    """An output limit above 99,999,999,999 tokens is 503."""
    return gateway.chat(max_tokens=100_000_000_000).refused(503, "temporarily_unavailable")


@GROUP.add(eras=SINCE_E2)
def store_is_later(gateway: Gateway) -> Era:
    """The gateway looks at the credentials before `store`."""
    body = {"model": NO_SUCH_MODEL, "input": HELLO, "store": True}
    return gateway.post("/responses", body).refused(401, "paid_model_auth_required")


@GROUP.add()
def tool_history(gateway: Gateway) -> None:
    """On Chat Completions, the gateway fills in the missing result of a tool call."""
    call = {"id": "call_1", "type": "function", "function": {"name": "look_up", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "Look it up."},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "user", "content": HELLO},
    ]
    answer = gateway.chat(messages=messages, tools=[_TOOL])
    if answer.status == 400:
        raise Differs(f"{answer}: the history was not repaired")
    answer.served()


@GROUP.add(needs="key", usd=0.0005)
def bare_name(gateway: Gateway) -> None:
    """A legacy name without an author, `gpt-4o-mini`, is valid."""
    gateway.note(gateway.chat(model="gpt-4o-mini", key=True).served().model)


@GROUP.add(needs="key", usd=0.003)
def latest_alias(gateway: Gateway) -> None:
    """`~author/model-latest`, such as `~anthropic/claude-sonnet-latest`, is valid."""
    gateway.note(gateway.chat(model="~anthropic/claude-sonnet-latest", key=True).served().model)
