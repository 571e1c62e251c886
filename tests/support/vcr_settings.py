"""Record and replay cassettes, from the sandbox or the live gateway, without secrets."""

import inspect
import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from kilo_gateway import GatewaySettings, KiloBudget
from kilo_gateway.sandbox import Sandbox

RECORDED_FROM = "Recorded-From"
"""A header that is first in a cassette, because capitals sort before the other headers."""
KEPT_REQUEST_HEADERS = ("content-type", "x-kilocode-mode")
KEPT_RESPONSE_HEADERS = ("content-type", "request-id")
LIVE_TOKENS = 1000
"""The output limit of a chat request against the live gateway."""
REPLAY_URL = "https://gateway.invalid/api/gateway"
HIDDEN = "HIDDEN"

# An account's id and its digests: some errors contain them, and Responses repeats the fields of a request that the
# gateway has replaced (docs/gateway.md, "Errors" and "Requests").
_ACCOUNT = re.compile(rb'("(?:user_id|user|safety_identifier|prompt_cache_key)"\s*:\s*)"[^"]*"')
_HOST = re.compile(r"^https?://[^/]+")
_CHECKED_HEADERS = re.compile(r"content-type|request-id|www-authenticate|.*(rate-?limit|cost|generation).*")
_VENDORS = ("anthropic", "openai")


@dataclass(frozen=True)
class Source:
    """A gateway that answers; `label` names it in the first header of each recorded answer."""

    label: str
    base_url: str
    api_key: str | None = field(repr=False)
    organization_id: str | None = field(default=None, repr=False)
    budget: KiloBudget | None = None
    """The limit of a run against the live gateway."""

    @property
    def params(self) -> dict[str, Any]:
        """The arguments of every class that reach this gateway."""
        arguments = {"base_url": self.base_url, "api_key": self.api_key, "organization_id": self.organization_id}
        return {name: value for name, value in {**arguments, "budget": self.budget}.items() if value}

    @property
    def chat_params(self) -> dict[str, Any]:
        """The same for chat: without an output limit, a budget would reserve the price of the longest answer."""
        return self.params if self.budget is None else {"max_tokens": LIVE_TOKENS, **self.params}


NOBODY = Source("nobody", REPLAY_URL, "replayed")


def sandbox(gateway: Sandbox) -> Source:
    return Source("kilo-gateway sandbox", gateway.base_url, gateway.api_key)


def live() -> Source | None:
    """Return the live gateway, if the environment has a key for it."""
    settings = GatewaySettings()
    if not isinstance(settings.bearer, str):
        return None
    payer = settings.organization_id
    label = f"Kilo AI Gateway, live, {datetime.now(UTC):%Y-%m-%d}"
    return Source(label, settings.base_url, settings.bearer, payer.get_secret_value() if payer else None)


def config(source: Source) -> dict[str, Any]:
    """Return the settings for vcrpy."""

    def anonymous_request(request: Any) -> Any:
        # The path ends in `/chat/completions`, also if the base URL has another path.
        request.uri = f"{REPLAY_URL}/{'/'.join(request.path.split('/')[-2:])}"
        request.headers = _kept(request.headers, KEPT_REQUEST_HEADERS)
        request.body = _hidden(_normal(request.body), source)
        return request

    def anonymous_response(response: dict[str, Any]) -> dict[str, Any]:
        kept = _kept(response["headers"], KEPT_RESPONSE_HEADERS)
        body = {"string": _hidden(response["body"]["string"], source)}
        return {**response, "headers": {RECORDED_FROM: [source.label], **kept}, "body": body}

    return {
        "match_on": ["method", "uri", "body"],
        "before_record_request": anonymous_request,
        "before_record_response": anonymous_response,
        "allow_playback_repeats": True,
        "decode_compressed_response": True,
    }


def checks_config(source: Source) -> dict[str, Any]:
    """Return the settings for the checks of `kilo-gateway verify`, whose requests stay as they are.

    Requests that differ only in headers, which cassettes leave out, are played in the order of the recording.
    """

    def anonymous_request(request: Any) -> Any:
        request.uri = _HOST.sub(_HOST.match(REPLAY_URL)[0], request.uri)  # type: ignore[index] # it is a URL
        request.headers = _kept(request.headers, KEPT_REQUEST_HEADERS)
        request.body = _hidden(request.body or b"", source)
        return request

    def anonymous_response(response: dict[str, Any]) -> dict[str, Any]:
        named = {name.lower(): value for name, value in response["headers"].items()}
        kept = {name: value for name, value in named.items() if _CHECKED_HEADERS.fullmatch(name)}
        body = {"string": _hidden(_shortened(response["body"]["string"]), source)}
        return {**response, "headers": {RECORDED_FROM: [source.label], **kept}, "body": body}

    return {
        **config(source),
        "before_record_request": anonymous_request,
        "before_record_response": anonymous_response,
        "allow_playback_repeats": False,
    }


def _hidden(body: bytes, source: Source) -> bytes:
    for secret in (source.api_key, source.organization_id):
        body = body.replace(secret.encode(), HIDDEN.encode()) if secret else body
    return _ACCOUNT.sub(rf'\1"{HIDDEN}"'.encode(), body)


def _shortened(body: bytes) -> bytes:
    """Return an answer whose list of models has only the entries that the checks choose from, and short numbers."""
    try:
        answer = json.loads(body)
        entries = [entry for entry in answer["data"] if isinstance(entry, dict)]
    except (ValueError, TypeError, KeyError):
        return body
    if all("pricing" in entry for entry in entries):
        answer["data"] = _chosen(entries)
    for entry in answer["data"]:
        if isinstance(entry.get("description"), str):
            entry["description"] = ""
        if isinstance(entry.get("embedding"), list):
            entry["embedding"] = [round(number, 2) for number in entry["embedding"]]
    return json.dumps(answer, separators=(",", ":")).encode()


def _chosen(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the auto tiers, the models that they reach, and the cheapest paid model of each vendor that is asked."""
    tiers = [entry for entry in entries if entry["id"].startswith("kilo")]
    ids = {model for tier in tiers for model in (tier.get("autoRouting") or {}).get("models", ())}
    for vendor in _VENDORS:
        own = [e for e in entries if (e.get("opencode") or {}).get("ai_sdk_provider") == vendor and e not in tiers]
        own = [e for e in own if e["id"].startswith(vendor) and float(e["pricing"]["completion"]) > 0]
        ids |= {entry["id"] for entry in sorted(own, key=lambda e: float(e["pricing"]["completion"]))[:1]}
    free = [entry["id"] for entry in entries if entry["id"].endswith(":free")]
    ids |= set(sorted(free)[:1])
    return [entry for entry in entries if entry in tiers or entry["id"] in ids]


def _kept(headers: Any, names: tuple[str, ...]) -> dict[str, Any]:
    return {name.lower(): value for name, value in headers.items() if name.lower() in names}


def _normal(body: bytes) -> bytes:
    """Return a request's body without differences between runs and versions of Python."""
    sent = json.loads(body)
    _number_calls(sent)
    _clean_descriptions(sent.get("tools", []))
    return json.dumps(sent, ensure_ascii=False, separators=(",", ":")).encode()


def _clean_descriptions(schema: Any) -> None:
    """Remove the indentation of tool descriptions, which are docstrings: Python 3.13 and later removes it."""
    if isinstance(schema, dict):
        if isinstance(text := schema.get("description"), str):
            schema["description"] = inspect.cleandoc(text)
        schema = list(schema.values())
    if isinstance(schema, list):
        for item in schema:
            _clean_descriptions(item)


def _number_calls(sent: dict[str, Any]) -> None:
    """Number the tool calls, because langchain-tests uses new ids in every run."""
    calls = [call for message in sent["messages"] for call in message.get("tool_calls") or ()]
    ids = [call["id"] for call in calls] + [message.get("tool_call_id") for message in sent["messages"]]
    numbers = {name: f"call_{n}" for n, name in enumerate(dict.fromkeys(filter(None, ids)))}
    for call in calls:
        call["id"] = numbers.get(call["id"], call["id"])
    for message in sent["messages"]:
        if "tool_call_id" in message:
            message["tool_call_id"] = numbers[message["tool_call_id"]]
