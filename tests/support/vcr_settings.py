"""Record and replay cassettes, from the sandbox or the live gateway, without secrets."""

import inspect
import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from kilo_gateway import GatewaySettings
from kilo_gateway.sandbox import Sandbox

RECORDED_FROM = "Recorded-From"
"""A header that is first in a cassette, because capitals sort before the other headers."""
KEPT_REQUEST_HEADERS = ("content-type", "x-kilocode-mode")
KEPT_RESPONSE_HEADERS = ("content-type", "request-id")
REPLAY_URL = "https://gateway.invalid/api/gateway"
HIDDEN = "HIDDEN"

# An account's id, which some error bodies of the gateway contain (docs/gateway.md, "Errors").
_ACCOUNT = re.compile(rb'("user_id"\s*:\s*)"[^"]*"')


@dataclass(frozen=True)
class Source:
    """A gateway that answers; `label` names it in the first header of each recorded answer."""

    label: str
    base_url: str
    api_key: str | None = field(repr=False)
    organization_id: str | None = field(default=None, repr=False)

    @property
    def params(self) -> dict[str, Any]:
        """The arguments of `ChatKilo` that reach this gateway."""
        arguments = {"base_url": self.base_url, "api_key": self.api_key, "organization_id": self.organization_id}
        return {name: value for name, value in arguments.items() if value}


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
    secrets = [secret.encode() for secret in (source.api_key, source.organization_id) if secret]

    def hidden(body: bytes) -> bytes:
        for secret in secrets:
            body = body.replace(secret, HIDDEN.encode())
        return _ACCOUNT.sub(rf'\1"{HIDDEN}"'.encode(), body)

    def anonymous_request(request: Any) -> Any:
        # The path ends in `/chat/completions`, also if the base URL has another path.
        request.uri = f"{REPLAY_URL}/{'/'.join(request.path.split('/')[-2:])}"
        request.headers = _kept(request.headers, KEPT_REQUEST_HEADERS)
        request.body = hidden(_normal(request.body))
        return request

    def anonymous_response(response: dict[str, Any]) -> dict[str, Any]:
        kept = _kept(response["headers"], KEPT_RESPONSE_HEADERS)
        body = {"string": hidden(response["body"]["string"])}
        return {**response, "headers": {RECORDED_FROM: [source.label], **kept}, "body": body}

    return {
        "match_on": ["method", "uri", "body"],
        "before_record_request": anonymous_request,
        "before_record_response": anonymous_response,
        "allow_playback_repeats": True,
        "decode_compressed_response": True,
    }


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
