"""Change a body as the gateway does before it sends it upstream. See docs/gateway.md, "Requests" and "Interfaces"."""

from __future__ import annotations

import hashlib
from typing import Any

from kilo_gateway.sandbox.gateway import cache_marks, tool_repair
from kilo_gateway.sandbox.gateway.call import Call

Json = dict[str, Any]

_DROPPED = ("models", "description", "usage", "reasoningEffort")
_WITH_FALLBACK = ("anthropic/claude-fable", "anthropic/claude-opus-5")
_FALLBACK = "anthropic/claude-opus-4.8"
_EXCLUSIVE = "stealth/"
_VERCEL_NAMES = {"only": "only", "order": "order", "sort": "sort", "zdr": "zeroDataRetention"}


def forward(call: Call) -> None:
    """Turn the call's effective body into the one that goes upstream."""
    body = call.effective
    for field in _DROPPED:
        body.pop(field, None)
    if call.options.era == "E3" and call.served.startswith(_WITH_FALLBACK):
        body["models"] = [call.served, _FALLBACK]
    if call.served.startswith(_EXCLUSIVE) and body.get("service_tier") != "flex":
        body.pop("service_tier", None)
    if "/kimi" in call.served:
        for field in ("temperature", "top_p"):
            body.pop(field, None)
    _conversation(call)
    _reasoning(call)
    _account(call)
    cache_marks.add(body, call.api, call.options.era)
    if call.upstream == "vercel":
        _for_vercel(body)


def _conversation(call: Call) -> None:
    body = call.effective
    if call.api == "responses":
        # Histories of tools are not repaired here.
        if isinstance(items := body.get("input"), list):
            body["input"] = [_completed(item) for item in items]
        return
    repair = tool_repair.on_messages if call.api == "messages" else tool_repair.on_chat
    body["messages"] = repair(body["messages"])


def _completed(item: Any) -> Any:
    """Return an item of Responses; one of the assistant has a type and a status."""
    if not isinstance(item, dict) or item.get("role") != "assistant":
        return item
    return {"type": "message", "status": "completed", **item}


def _reasoning(call: Call) -> None:
    body = call.effective
    if call.api == "messages":
        thinking = body.get("thinking")
        if isinstance(thinking, dict) and thinking.get("type") in ("enabled", "adaptive"):
            body["thinking"] = {"display": "summarized", **thinking}
    elif call.api == "responses":
        reasoning = body.get("reasoning")
        if isinstance(reasoning, dict) and not reasoning.get("summary"):
            body["reasoning"] = {**reasoning, "summary": "auto"}
    elif call.streaming or call.options.era == "E1":
        stream_options = body.get("stream_options") or {}
        body["stream_options"] = (
            {**stream_options, "include_usage": True} if isinstance(stream_options, dict) else stream_options
        )


def _account(call: Call) -> None:
    """Replace what names the user and the conversation by digests."""
    body = call.effective
    account = call.identity.account.name if not call.identity.anonymous else f"anon:{call.ip}"
    user = _digest(account)
    task = call.header("x-kilocode-taskid")
    conversation = _digest(f"{account}/{task}") if task else None
    if call.api != "messages":
        body["user"] = body["safety_identifier"] = user
        if conversation:
            body["prompt_cache_key"] = conversation
        return
    body["metadata"] = {"user_id": user}
    if call.upstream == "openrouter":
        body["user"] = user
        if conversation:
            body["session_id"] = conversation


def _for_vercel(body: Json) -> None:
    """Move the routing of the provider and the verbosity to where Vercel takes them."""
    options: Json = {}
    provider = body.pop("provider", None)
    if isinstance(provider, dict):
        gateway = {name: provider[field] for field, name in _VERCEL_NAMES.items() if field in provider}
        if provider.get("data_collection") == "deny":
            gateway["disallowPromptTraining"] = True
        options["gateway"] = gateway
    text = body.get("text")
    if isinstance(text, dict) and "verbosity" in text:
        body["text"] = {name: value for name, value in text.items() if name != "verbosity"}
        options["anthropic"] = {"effort": text["verbosity"]}
    if options:
        body["providerOptions"] = options


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:24]
