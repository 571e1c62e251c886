"""The types of the constructor fields, with their checks and error texts. No I/O."""

from __future__ import annotations

import os
import uuid
import warnings
from collections.abc import Callable, Mapping
from functools import lru_cache
from ipaddress import ip_address
from numbers import Integral
from typing import Annotated, Any, Final, Literal, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, SecretStr

from kilo_gateway import routing
from kilo_gateway._frames import user_stacklevel
from kilo_gateway.settings.keys import KeyFunction

DEFAULT_BASE_URL: Final = "https://api.kilo.ai/api/gateway"
OTHER_GATEWAYS: Final = frozenset({"openrouter.ai", "api.openai.com", "api.anthropic.com"})
"""Hosts that code for other packages names."""
NO_KEY: Final = frozenset({"", "public", "anonymous"})
"""Keys that mean "no account": seed documents and older servers use them (docs/gateway.md, "Credentials")."""

KEY_LIMIT: Final = 20_000
"""Characters of a key."""

Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
"""How much a model reasons."""
Level = Literal["low", "medium", "high", "xhigh", "max"]
"""How long an answer is."""
REASONING_EFFORTS: Final[tuple[str, ...]] = get_args(Effort)
VERBOSITIES: Final[tuple[str, ...]] = get_args(Level)

MOST_SECONDS: Final = 2_000_000
"""The longest time that a socket can wait: systems count its milliseconds in 32 bits."""
LIKELY_MILLISECONDS: Final = 10_000
"""A wait for one read from which on milliseconds are probably meant, as ChatOpenRouter has them."""

RESERVED_BODY_KEYS: Final = frozenset({"model", "messages", "stream"})
CLIENT_ARGUMENTS: Final = {
    "extra_body": "extra_body",
    "extra_headers": "default_headers",
    "extra_query": "default_query",
    "timeout": "timeout",
}
"""Arguments of the openai client's methods, which are not fields of a body, and the argument for all calls."""
RESERVED_EMBEDDING_KEYS: Final = frozenset({"model", "input", "encoding_format"})
RESERVED_FEATURES: Final = frozenset({"cloud-agent", "code-review", "app-builder", "gastown"})


def _between(low: float, high: float) -> AfterValidator:
    def check(value: float) -> float:
        if not low <= value <= high:
            raise ValueError(f"is {value!r}; it must lie between {low:g} and {high:g}")
        return value

    return AfterValidator(check)


def _at_least(low: int, remedy: str) -> AfterValidator:
    def check(value: int) -> int:
        if value < low:
            raise ValueError(f"is {value!r}; it must be at least {low}: {remedy}")
        return value

    return AfterValidator(check)


def _seconds(value: float) -> float:
    if not 0 < value < float("inf"):
        raise ValueError(f"is {value!r}; it must be a positive number of seconds, or None for the default")
    if value > MOST_SECONDS:
        raise ValueError(f"is {value!r}; it must be at most {MOST_SECONDS:,}, which are 23 days: lower it")
    return value


def _not_milliseconds(value: float) -> float:
    if value >= LIKELY_MILLISECONDS:
        warnings.warn(
            f"timeout={value!r} is in seconds, which are {value / 3600:.1f} hours; did you mean "
            f"timeout={value / 1000:g}?",
            UserWarning,
            stacklevel=user_stacklevel(),
        )
    return value


def _one_of(choices: tuple[str, ...], other: str) -> Callable[[str], str]:
    def check(value: str) -> str:
        if value not in choices:
            known = f"known values: {', '.join(choices)}; send others with {other}"
            raise ValueError(f"is {value!r}; {routing.did_you_mean(value, choices, known)}")
        return value

    return check


_effort = _one_of(REASONING_EFFORTS, 'reasoning={"effort": ...}')


def _reasoning(value: Any) -> Any:
    return {"effort": _effort(value)} if isinstance(value, str) else value


def _stop(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _with_text_keys(value: Any) -> Any:
    """Return token ids as strings, as JSON has them; tokenizers give numbers."""
    if not isinstance(value, Mapping):
        return value
    return {str(int(key)) if isinstance(key, Integral) else key: bias for key, bias in value.items()}


def _api_key(value: SecretStr | KeyFunction | None) -> SecretStr | KeyFunction | None:
    if value is None or isinstance(value, KeyFunction):
        return value
    key = value.get_secret_value().strip()
    return SecretStr(routing.check_header_value(key, limit=KEY_LIMIT))


def _organization(value: SecretStr | None) -> SecretStr | None:
    if value is None or not value.get_secret_value().strip():
        return None
    try:
        return SecretStr(str(uuid.UUID(value.get_secret_value().strip())))
    except ValueError:
        raise ValueError(
            "is not a UUID; the gateway would silently drop your account: copy the id from your organisation's page"
        ) from None


@lru_cache(maxsize=128)  # most models of a process have the same one
def _base_url(value: str) -> str:
    url = value.strip().rstrip("/")
    parts = urlsplit(url)
    if parts.username is not None or parts.password is not None:
        raise ValueError("contains credentials; remove them from the URL and pass the key as api_key")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"is {value!r}; it must be an http(s) URL such as {DEFAULT_BASE_URL!r}")
    if parts.query or parts.fragment:
        raise ValueError("must end after the path; pass query parameters as default_query")
    if parts.hostname in OTHER_GATEWAYS:
        raise ValueError(
            f"is {value!r}, which is not a Kilo gateway, and your key would be sent there: leave it out to use "
            f"{DEFAULT_BASE_URL!r}"
        )
    if url.endswith("/chat/completions"):
        raise ValueError(f"is {value!r}; leave out the last part: {url.removesuffix('/chat/completions')!r}")
    return url


class HiddenHeaders(dict[str, str]):
    """Headers whose values, which may be secrets, do not show in a repr."""

    def __repr__(self) -> str:
        return repr(dict.fromkeys(self, "**********"))


def hidden(headers: Mapping[str, Any]) -> dict[str, Any]:
    """Return headers whose values show as `**********` wherever they are written, also in JSON."""
    return {name: SecretStr(value) if isinstance(value, str) else value for name, value in headers.items()}


def revealed(headers: Any) -> Any:
    """Return headers with the values that `hidden` hides; anything else unchanged."""
    if not isinstance(headers, Mapping):
        return headers
    return {n: v.get_secret_value() if isinstance(v, SecretStr) else v for n, v in headers.items()}


def check_headers(value: dict[str, str]) -> dict[str, str]:
    """Return headers that may be sent; raises ValueError for what HTTP does not allow."""
    for name, content in value.items():
        if not name or not all("!" <= c <= "~" and c != ":" for c in name):
            raise ValueError(f"has the header name {name!r}, which HTTP does not allow")
        routing.check_header_value(content, limit=20_000)
    return HiddenHeaders(value)


def check_extra_body(value: dict[str, Any], reserved: frozenset[str] = RESERVED_BODY_KEYS) -> dict[str, Any]:
    """Return further request fields; raises ValueError for those that have an argument of their own."""
    if taken := reserved.intersection(value):
        raise ValueError(f"must not contain {sorted(taken)}: use the `model` argument; the call sets the others")
    for name, argument in CLIENT_ARGUMENTS.items():
        if name in value:
            raise ValueError(f"must not contain {name!r}, which is not a field of the body: use {argument}=")
    return value


def _feature(value: str) -> str | None:
    feature = routing.check_header_value(value.strip().lower())
    if feature in RESERVED_FEATURES:
        raise ValueError(f"{feature!r} belongs to one of Kilo's own products and changes rate limits: leave it out")
    return feature or None


def _header_text(limit: int) -> Callable[[str], str]:
    return lambda value: routing.check_header_value(value.strip(), limit)


def base_url_from_env() -> str:
    """Return the base URL that the environment sets, else the public gateway's."""
    if url := os.environ.get("KILO_BASE_URL"):
        return url
    if host := os.environ.get("KILO_API_URL"):
        return host.rstrip("/") + "/api/gateway"
    return DEFAULT_BASE_URL


class SecretFromEnv:
    """Reads a secret from an environment variable, or returns None."""

    def __init__(self, variable: str) -> None:
        self.variable = variable

    def __call__(self) -> SecretStr | None:
        """Return the secret."""
        value = os.environ.get(self.variable)
        return SecretStr(value) if value else None


Model = Annotated[str, AfterValidator(routing.normalize_model)]
Tier = Annotated[str, AfterValidator(routing.normalize_tier)]
Mode = Annotated[str, AfterValidator(routing.normalize_mode)]
Key = Annotated[SecretStr | KeyFunction | None, BeforeValidator(KeyFunction.of), AfterValidator(_api_key)]
Organization = Annotated[SecretStr | None, AfterValidator(_organization)]
BaseUrl = Annotated[str, AfterValidator(_base_url)]
Feature = Annotated[str, AfterValidator(_feature)]
TaskId = Annotated[str, AfterValidator(_header_text(routing.HEADER_VALUE_LIMIT))]
ProjectId = Annotated[str, AfterValidator(_header_text(256))]
Headers = Annotated[dict[str, str], BeforeValidator(revealed), AfterValidator(check_headers)]
Temperature = Annotated[float, _between(0, 2)]
Probability = Annotated[float, _between(0, 1)]
Penalty = Annotated[float, _between(-2, 2)]
TopLogprobs = Annotated[int, _between(0, 20)]
MaxTokens = Annotated[int, _at_least(1, "leave it out for the model's own limit")]
Dimensions = Annotated[int, _at_least(1, "leave it out for the model's own size")]
AtOnce = Annotated[int, _at_least(1, "use 1 to send one request at a time")]
BatchSize = Annotated[int, _at_least(1, "use 1 to send each text in a request of its own")]
MaxRetries = Annotated[int, _at_least(0, "use 0 for no retries")]
ResponseBytes = Annotated[int, _at_least(1, "give a number of bytes, such as 256_000_000")]
Seconds = Annotated[float, AfterValidator(_seconds)]
Timeout = Annotated[float, AfterValidator(_seconds), AfterValidator(_not_milliseconds)]
LogitBias = Annotated[dict[str, float], BeforeValidator(_with_text_keys)]
Stop = Annotated[list[str] | None, BeforeValidator(_stop)]
Reasoning = Annotated[dict[str, Any] | None, BeforeValidator(_reasoning)]
Verbosity = Annotated[str, AfterValidator(_one_of(VERBOSITIES, "extra_body"))]
EmbeddingBody = Annotated[
    dict[str, Any], AfterValidator(lambda value: check_extra_body(value, RESERVED_EMBEDDING_KEYS))
]
ExtraBody = Annotated[dict[str, Any], AfterValidator(check_extra_body)]
"""Further request fields; `model`, `messages`, `stream` and the client's own arguments are refused."""


def check_key_travels_safely(base_url: str, *, keyed: bool, allowed: bool) -> None:
    """Raise ValueError if a key would be sent to another machine over plain http."""
    parts = urlsplit(base_url)
    if parts.scheme == "http" and keyed and not allowed and not is_loopback(parts.hostname):
        raise ValueError(
            f"base_url={base_url!r} is plain http, and the key would travel in clear: use https, "
            "or allow_insecure=True if you trust the network"
        )


def check_data_collection(data_collection: str | None, provider: dict[str, Any] | None) -> None:
    """Raise ValueError if the field and the routing preferences contradict each other."""
    preferred = (provider or {}).get("data_collection", data_collection)
    if None not in (preferred, data_collection) and preferred != data_collection:
        raise ValueError(f"data_collection={data_collection!r} contradicts provider={provider!r}: give one of them")


def is_loopback(host: str | None) -> bool:
    """Return True if `host` is this machine."""
    if host is None:
        return False
    if host in ("localhost", "127.0.0.1", "::1") or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
