"""Define the options of a sandbox, above all the era of the gateway. See docs/gateway.md, "Eras"."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args
from urllib.parse import urlsplit

from kilo_gateway.sandbox.gateway.rate_limits import RateLimits

Era = Literal["E1", "E2", "E3"]
CatalogIds = Literal["mid-2026", "E3"]
Upstream = Literal["openrouter", "vercel"]
Api = Literal["chat_completions", "responses", "messages"]
APIS: tuple[Api, ...] = get_args(Api)
_LOOPBACK = re.compile(r"127(\.\d{1,3}){3}|::1|([a-z0-9-]+\.)*localhost", re.IGNORECASE)


@dataclass(frozen=True)
class Options:
    """The policies of one gateway; `for_era` derives most of them from the era."""

    era: Era
    lenient_tokens: bool
    keepalive: str
    done: bool
    error_type: bool
    credits_status: int
    catalog_ids: CatalogIds
    upstream: Upstream
    delay: float
    upstream_url: str | None = None
    """The base URL of the server that answers instead of the canned model, or None."""
    upstream_model: str | None = None
    latency: float = 0.0
    rate_limits: RateLimits | None = None

    @property
    def passes_through(self) -> bool:
        """True if another gateway answers, with the caller's own key, and not a model behind this one."""
        return bool(self.upstream_url and self.upstream_model is None and _is_gateway(self.upstream_url))

    @classmethod
    def for_era(
        cls,
        era: Era,
        *,
        lenient_tokens: bool | None = None,
        keepalive: str | None = None,
        done: bool = True,
        error_type: bool | None = None,
        credits_status: int = 402,
        catalog_ids: CatalogIds = "mid-2026",
        upstream: Upstream | str = "openrouter",
        upstream_model: str | None = None,
        delay: float = 0.0,
        latency: float = 0.0,
        rate_limits: RateLimits | None = None,
    ) -> Options:
        """Return the options of `era`, except for the arguments given; raise ValueError for a wrong value."""
        _require("era", era, ("E1", "E2", "E3"))
        _require("catalog_ids", catalog_ids, ("mid-2026", "E3"))
        shape: Upstream = "vercel" if upstream == "vercel" else "openrouter"
        upstream_url = None if upstream in ("openrouter", "vercel") else upstream
        if upstream_url is not None and not upstream_url.startswith(("http://", "https://")):
            raise ValueError(
                f"unknown upstream {upstream!r}; use 'openrouter', 'vercel' or the http(s) base URL of a server"
            )
        if upstream_url and upstream_model is None and _is_gateway(upstream_url):
            _require_encryption(upstream_url)
        _require("credits_status", credits_status, (402, 200))
        for name, seconds in (("delay", delay), ("latency", latency)):
            if seconds < 0:
                raise ValueError(f"{name}={seconds!r} is negative; use 0 or more seconds")
        return cls(
            era=era,
            lenient_tokens=era != "E3" if lenient_tokens is None else lenient_tokens,
            keepalive=("OPENROUTER PROCESSING" if era == "E1" else "KILO PROCESSING")
            if keepalive is None
            else keepalive,
            done=done,
            error_type=era != "E1" if error_type is None else error_type,
            credits_status=credits_status,
            catalog_ids=catalog_ids,
            upstream=shape,
            delay=delay,
            upstream_url=upstream_url,
            upstream_model=upstream_model,
            latency=latency,
            rate_limits=rate_limits,
        )


def _require(name: str, value: object, allowed: tuple[object, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name}={value!r} is unknown; use one of {', '.join(map(repr, allowed))}")


def _is_gateway(url: str) -> bool:
    """Return True for the base URL of a Kilo gateway, which is known by its path."""
    return urlsplit(url).path.rstrip("/").removesuffix("/v1").endswith(("/api/gateway", "/api/openrouter"))


def _require_encryption(url: str) -> None:
    if url.startswith("http://") and not _LOOPBACK.fullmatch(urlsplit(url).hostname or ""):
        raise ValueError(f"upstream {url!r} would send keys unencrypted to another machine; use its https URL")
