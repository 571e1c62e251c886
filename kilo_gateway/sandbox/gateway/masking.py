"""Replace the secrets of a request wherever they appear. SECURITY.md says which values are secrets."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, unquote

HIDDEN: Final = "[hidden]"
_SHORTEST: Final = 8
"""The length from which a secret is searched in other texts; shorter values appear there by chance."""
_NO_SECRETS: Final = frozenset({"anonymous", "undefined"})

# A header that a library or the gateway defines. The caller may have set any other one, perhaps to a secret.
_KNOWN: Final = frozenset(
    {"accept", "accept-charset", "accept-encoding", "accept-language", "anthropic-beta", "anthropic-version"}
    | {"cache-control", "connection", "content-encoding", "content-length", "content-type", "date", "host"}
    | {"http-referer", "origin", "referer", "request-id", "retry-after", "retry-after-ms", "server", "te", "user-agent"}
    | {"transfer-encoding", "vary", "www-authenticate", "x-forwarded-for", "x-forwarded-proto", "x-title"}
)
_KNOWN_STARTS: Final = ("x-kilocode-", "x-sandbox-", "x-stainless-", "sec-fetch-", "x-ratelimit-")
_ORGANIZATION: Final = "x-kilocode-organizationid"

_NAMED = r"[\w.-]*(?:key|token|secret|passw|auth|signature|credential)[\w.-]*"
_IN_QUERY: Final = re.compile(rf"((?:^|[?&;]){_NAMED}=)[^&;#\s\"'\\]+", re.IGNORECASE)
_IN_ADDRESS: Final = re.compile(r"(://)[^/\s\"'\\@]+@")
# Keys of the gateway are JSON web tokens (docs/gateway.md, "Credentials").
_WEB_TOKEN: Final = re.compile(r"eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}")


@dataclass(frozen=True, repr=False)
class Mask:
    """The secrets of one request, longest first; it hides them in texts and bytes."""

    secrets: tuple[str, ...] = ()

    @classmethod
    def of(cls, headers: Mapping[str, str], query: str = "") -> Mask:
        """Return the mask for a request with these headers and this query."""
        values = {value for name, value in headers.items() for value in _values(name, value)}
        values |= {unquote(pair.partition("=")[2]) for pair in query.split("&") if _IN_QUERY.match(pair)}
        long = {value for value in values if len(value) >= _SHORTEST and value.lower() not in _NO_SECRETS}
        written = {form for value in long for form in (value, quote(value, safe=""), json.dumps(value)[1:-1])}
        return cls(tuple(sorted(written, key=len, reverse=True)))

    def text(self, text: str) -> str:
        """Return a text without the secrets, and without keys in addresses and web tokens."""
        for secret in self.secrets:
            text = text.replace(secret, HIDDEN)
        text = _IN_ADDRESS.sub(rf"\1{HIDDEN}@", _IN_QUERY.sub(rf"\1{HIDDEN}", text))
        return _WEB_TOKEN.sub(HIDDEN, text)

    def data(self, data: bytes) -> bytes:
        """Return bytes without the secrets."""
        for secret in self.secrets:
            data = data.replace(secret.encode("latin-1", "ignore"), HIDDEN.encode())
        return data

    def json(self, value: Any) -> Any:
        """Return a JSON value whose texts are without the secrets; names of fields are texts too."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.text(name): self.json(inner) for name, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self.json(inner) for inner in value]
        return value

    def headers(self, headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        """Return headers whose secret values are hidden."""
        return [(name, self.text(value) if _is_known(name) else HIDDEN) for name, value in headers]


def _is_known(name: str) -> bool:
    name = name.lower()
    return name in _KNOWN or (name.startswith(_KNOWN_STARTS) and name != _ORGANIZATION)


def _values(name: str, value: str) -> Iterator[str]:
    """Yield the secrets in a header: its value, and the parts of one that has a scheme or is a list of cookies."""
    if _is_known(name):
        return
    yield value.strip()
    if name.lower() in ("authorization", "proxy-authorization"):
        yield value.partition(" ")[2].strip()
    elif "cookie" in name.lower():
        yield from (pair.partition("=")[2].strip() for pair in value.split(";"))
