"""Describe one chat request: the results of the checks, and the data that the answer needs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from kilo_gateway.sandbox.gateway.credentials import ANONYMOUS, Identity
from kilo_gateway.sandbox.gateway.options import Api, Options, Upstream
from kilo_gateway.sandbox.gateway.rate_limits import RateCounts

Json = dict[str, Any]


@dataclass
class Call:
    """A chat request on any interface.

    `received` is its body, `body` the same in the shape of Chat Completions, which the canned model reads, and
    `effective` the body that the gateway would send upstream.
    """

    headers: Mapping[str, str]
    options: Options
    raw: bytes
    ip: str | None = "127.0.0.1"
    number: int = 1
    repetition: int = 1
    api: Api = "chat_completions"
    counts: RateCounts = field(default_factory=RateCounts)
    received: Json = field(default_factory=dict)
    body: Json = field(default_factory=dict)
    effective: Json = field(default_factory=dict)
    forwarded: Json = field(default_factory=dict)
    """The effective body in the shape of Chat Completions."""
    identity: Identity = field(default_factory=lambda: Identity(ANONYMOUS))
    requested: str = ""
    served: str = ""
    tier: str | None = None
    scenario: str | None = None
    """The id of the scenario that answers, or None."""
    upstream: Upstream = field(init=False)
    """The upstream whose shape the answer has; a scenario may choose another one than the options."""

    def __post_init__(self) -> None:
        self.upstream = self.options.upstream

    def header(self, name: str, limit: int = 500) -> str | None:
        """Return a header as the gateway cuts and trims it, or None if it is empty. See docs/gateway.md, "Requests"."""
        return self.headers.get(name, "")[:limit].strip() or None

    @cached_property
    def digest(self) -> str:
        """The digest in the ids of an answer; it is cached, because each chunk has an id and a request may be large."""
        return hashlib.sha256(f"{self.number}".encode() + self.raw).hexdigest()

    @property
    def mode(self) -> str | None:
        return self.header("x-kilocode-mode")

    @property
    def streaming(self) -> bool:
        return bool(self.body.get("stream"))

    @property
    def messages(self) -> list[Json]:
        return [message for message in self.body.get("messages", ()) if isinstance(message, dict)]

    @property
    def tools(self) -> list[Json]:
        """The offered functions, from the field `tools` or the older field `functions`."""
        offered = self.body.get("tools") or self.body.get("functions") or []
        functions = [tool.get("function", tool) for tool in offered if isinstance(tool, dict)]
        return [tool for tool in functions if isinstance(tool, dict) and tool.get("name")]
