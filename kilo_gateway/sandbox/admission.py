"""Check a chat request in the gateway's order; the answer reports the first fault. See docs/gateway.md, "Requests"."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

from kilo_gateway.sandbox.gateway import auto_models, history_checks, model_list, provider_checks
from kilo_gateway.sandbox.gateway.call import Call
from kilo_gateway.sandbox.gateway.credentials import account_of, identify
from kilo_gateway.sandbox.gateway.error_bodies import Refusal
from kilo_gateway.sandbox.gateway.forwarding import forward
from kilo_gateway.sandbox.gateway.rate_limits import RateCounts
from kilo_gateway.sandbox.scenarios import SCENARIOS
from kilo_gateway.sandbox.wire.reading import as_chat

_MOST_TOKENS = 99_999_999_999


def admit(call: Call) -> Call:
    """Run all checks and complete the call; raise Refusal or UpstreamRefusal at the first check that fails."""
    for check in _CHECKS:
        check(call)
    forward(call)
    call.forwarded = as_chat(call.api, call.effective)
    if call.api == "chat_completions":
        provider_checks.check(call)
    else:
        history_checks.check(call)
    return call


def admit_account(counts: RateCounts, headers: Mapping[str, str], ip: str | None) -> None:
    """Check the limits of an account, or of an address without one; the gateway does so before it parses the body."""
    account = account_of(headers)
    caller = account.name if account else f"anon:{ip}"
    if counts.wait("account", caller):
        raise Refusal("rate-limit")
    if seconds := counts.wait("throttle", caller):
        raise Refusal("throttled", seconds=math.ceil(seconds), milliseconds=math.ceil(seconds * 1000))


def parse(raw: bytes) -> object:
    """Parse the JSON body of a request; raise Refusal if it is not valid JSON."""
    try:
        body = json.loads(raw)
        if b"\\ud" in raw.lower():
            json.dumps(body, ensure_ascii=False).encode()  # an answer that repeats a lone surrogate cannot be encoded
    except ValueError as error:
        raise Refusal("malformed-json", detail=error) from None
    except RecursionError:
        raise Refusal("malformed-json", detail="it is nested too deeply") from None
    return body


def _parse(call: Call) -> None:
    body = parse(call.raw)
    if not isinstance(body, dict):
        raise Refusal("invalid-request")
    call.received = body
    call.body = as_chat(call.api, body)


def _provider_options(call: Call) -> None:
    if "providerOptions" in call.received:
        raise Refusal("unsupported-field")


def _model(call: Call) -> None:
    model = call.received.get("model")
    if not isinstance(model, str) or not model.strip():
        raise Refusal("model-missing")
    call.requested = model
    call.served = model.strip().lower()
    if (scenario := SCENARIOS.get(call.served)) is not None:
        call.scenario = scenario.id
        call.upstream = scenario.upstream or call.upstream


def _messages(call: Call) -> None:
    # Responses takes a string, a list or nothing as its input.
    conversation = call.received.get("input" if call.api == "responses" else "messages")
    if not isinstance(conversation, str | list | None if call.api == "responses" else list):
        raise Refusal("invalid-request")


def _privacy_types(call: Call) -> None:
    provider = call.received.get("provider")
    if provider is None:
        return
    if not isinstance(provider, dict):
        raise Refusal("invalid-request")
    collection, zdr = provider.get("data_collection"), provider.get("zdr")
    if collection not in (None, "allow", "deny") or not isinstance(zdr, bool | None):
        raise Refusal("invalid-request")


def _identify(call: Call) -> None:
    # Auto models need the account; `_credentials` rejects a bad token later, in the gateway's order of checks.
    call.identity = identify(call.headers, lenient=call.options.lenient_tokens)


def _auto_model(call: Call) -> None:
    call.effective = dict(call.received)
    call.tier = auto_models.tier_of(call.served, call.options)
    if call.tier is None:
        return
    if call.tier == "org" and call.identity.organization_id is None:
        raise Refusal("organization-auto")
    user = None if call.identity.anonymous else call.identity.account.name
    caller = auto_models.Caller(
        mode=call.mode,
        feature=(call.header("x-kilocode-feature") or "").lower(),
        affinity=call.header("x-kilocode-taskid") or user or call.ip or "",
        has_balance=call.identity.account.balance > 0,
        api=call.api,
    )
    call.served, settings = auto_models.resolve(call.tier, caller, call.options)
    call.effective["model"] = call.served
    _overwrite(call, settings)


def _overwrite(call: Call, settings: dict[str, Any]) -> None:
    """Set the fields of an auto tier as the gateway does on each interface. See docs/gateway.md, "Interfaces"."""
    body, reasoning, verbosity = call.effective, settings.get("reasoning"), settings.get("verbosity")
    if call.api == "responses":
        if reasoning:
            body["reasoning"] = dict(reasoning)
        if verbosity:
            body["text"] = {**(body.get("text") or {}), "verbosity": verbosity}
    elif call.api == "messages":
        if reasoning:
            body["thinking"] = {"type": "adaptive" if reasoning.get("enabled") else "disabled"}
        if verbosity:
            body["output_config"] = {**(body.get("output_config") or {}), "effort": verbosity}
    else:
        if reasoning:
            body.pop("reasoning_effort", None)
        body |= settings


def _client_ip(call: Call) -> None:
    if call.ip is None:
        raise Refusal("missing-client-ip")


def _free_models_limit(call: Call) -> None:
    if auto_models.is_rate_limited(call.served, call.options) and call.counts.wait("free_models", call.ip or ""):
        raise Refusal("free-model-limit")


def _credentials(call: Call) -> None:
    if call.identity.rejected:
        raise Refusal("invalid-token")
    if call.identity.anonymous and not auto_models.is_free(call.served):
        raise Refusal("paid-model")
    if call.identity.anonymous and call.counts.wait("anonymous", call.ip or ""):
        raise Refusal("promotion-limit")


def _store(call: Call) -> None:
    if call.received.get("store") or call.received.get("previous_response_id"):
        raise Refusal("unsupported-store")


def _token_limit(call: Call) -> None:
    for field in ("max_tokens", "max_completion_tokens", "max_output_tokens"):
        limit = call.received.get(field)
        if isinstance(limit, int | float) and limit > _MOST_TOKENS:
            raise Refusal("unavailable")


def _unavailable(call: Call) -> None:
    if call.tier is not None:
        return
    if call.options.era == "E2" and call.served in auto_models.DISCONTINUED:
        raise Refusal("discontinued")
    if call.options.era == "E3" and call.served in auto_models.UNAVAILABLE:
        raise Refusal("unavailable-model")


def _balance(call: Call) -> None:
    if not auto_models.is_free(call.served) and call.identity.account.balance <= 0:
        raise Refusal("no-balance")


def _data_collection(call: Call) -> None:
    provider = call.received.get("provider") or {}
    refused = provider.get("data_collection") == "deny" or provider.get("zdr") is True
    if refused and auto_models.is_free(call.served):
        raise Refusal("data-collection")


def _known(call: Call) -> None:
    canonical = model_list.canonical(call.served)
    if canonical is None:
        # Unknown scenario ids get this error too, so that a typing error does not look like a success.
        raise Refusal("model-not-found", id=call.requested)
    call.served = canonical


def _for_models(check: Callable[[Call], None]) -> Callable[[Call], None]:
    """Return a check that skips scenario ids, because any caller may use them."""

    def checked(call: Call) -> None:
        if call.scenario is None:
            check(call)

    return checked


_CHECKS: tuple[Callable[[Call], None], ...] = (
    _parse,
    _provider_options,
    _model,
    _messages,
    _privacy_types,
    _identify,
    _auto_model,
    _client_ip,
    _for_models(_free_models_limit),
    _for_models(_credentials),
    _store,
    _token_limit,
    _for_models(_unavailable),
    _for_models(_balance),
    _for_models(_data_collection),
    _for_models(_known),
)
