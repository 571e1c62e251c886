"""Write a recorded request as a command, and with its answer as a cassette for vcrpy. Secrets are left out."""

from __future__ import annotations

import base64
import json
import re
import shlex
from collections.abc import Iterator
from http.client import responses
from typing import Final

from kilo_gateway.sandbox.gateway.masking import HIDDEN
from kilo_gateway.sandbox.gateway.records import Record
from kilo_gateway.sandbox.page.views import answer_of, mask_of

GATEWAY: Final = "https://api.kilo.ai/api/gateway"
_ROOT: Final = re.compile(r"/api/(?:gateway|openrouter)")
_SENT: Final = ("content-type", "accept")
_SENT_STARTS: Final = ("x-kilocode-", "anthropic-")
_ORGANIZATION: Final = "x-kilocode-organizationid"
# YAML permits these only as escapes, or takes them for line ends (YAML 1.2, 5.1 and 5.4).
_ESCAPED: Final = re.compile(r"[\x00-\x1f\x7f-\xa0\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")


class NotPossible(Exception):  # noqa: N818 -- an answer to the page, not a failure
    """A request that cannot be written in a form; the text says why."""


def curl(record: Record, address: str) -> str:
    """Return the request as a command that sends it to `address` with the key in $KILO_API_KEY."""
    mask, body = mask_of(record), record.body
    words = ["curl", "--no-buffer", "--request", record.method, shlex.quote(mask.text(address))]
    if record.headers.get("authorization"):
        words += ["--header", '"Authorization: Bearer $KILO_API_KEY"']
    for name, value in mask.headers(record.headers.items()):
        if name == _ORGANIZATION:
            words += ["--header", '"X-KiloCode-OrganizationId: $KILO_ORG_ID"']
        elif name in _SENT or name.startswith(_SENT_STARTS):
            words += ["--header", shlex.quote(f"{name}: {value}")]
    if body:
        words += ["--data-raw", shlex.quote(mask.text(_text(body)))]
    return re.sub(r" (--(?:header|data-raw)) ", r" \\\n  \1 ", " ".join(words))


def cassette(record: Record, passed_to: str | None) -> str:
    """Return the exchange as a cassette for vcrpy: the request, as code sends it to the gateway, and the answer.

    `passed_to` is the base URL of the gateway that answered, None if the sandbox did. The cassette says which.
    NotPossible is raised for an answer that is not complete.
    """
    if not (record.finished and record.complete) or record.disconnected or record.unkept_bytes:
        raise NotPossible("The answer is not complete, and a cassette would replay it as if it were.")
    mask, status = mask_of(record), record.status or 0
    query = f"?{record.query}" if record.query else ""
    source = f"{passed_to}, through the kilo-gateway sandbox" if passed_to else "kilo-gateway sandbox"
    address = f"{passed_to or GATEWAY}{_ROOT.sub('', record.path, count=1)}{query}"
    kept = [(name, value) for name, value in mask.headers(record.headers.items()) if _is_kept(name, value)]
    answered = [(n, v) for n, v in mask.headers(record.answer_headers.items()) if n in ("content-type", "request-id")]
    lines = [
        "interactions:",
        "- request:",
        f"    body: {_scalar(mask.data(record.body))}",
        *_headers(kept),
        f"    method: {_scalar(record.method.encode())}",
        f"    uri: {_scalar(mask.text(address).encode())}",
        "  response:",
        "    body:",
        f"      string: {_scalar(mask.data(answer_of(record)))}",
        *_headers([("Recorded-From", source), *answered]),
        "    status:",
        f"      code: {status}",
        f"      message: {_scalar(responses.get(status, '').encode())}",
        "version: 1",
    ]
    return "\n".join(lines) + "\n"


def _is_kept(name: str, value: str) -> bool:
    return value != HIDDEN and (name in _SENT or name.startswith(_SENT_STARTS))


def _headers(headers: list[tuple[str, str]]) -> Iterator[str]:
    yield "    headers:" if headers else "    headers: {}"
    for name, value in headers:
        yield f"      {_scalar(name.encode())}:"
        yield f"      - {_scalar(value.encode())}"


def _scalar(data: bytes) -> str:
    """Return bytes as a scalar of YAML: a text in quotes, or base64 if they are not a text."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return f'!!binary "{base64.b64encode(data).decode()}"'
    if not _ESCAPED.search(text):
        return "'" + text.replace("'", "''") + "'"
    return _ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(text, ensure_ascii=False))


def _text(body: bytes) -> str:
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise NotPossible("The body is not a text, so a command cannot contain it.") from None
    if "\0" in text:
        raise NotPossible("The body contains a NUL character, so a command cannot contain it.")
    return text
