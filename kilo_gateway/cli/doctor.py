"""The checks of `kilo-gateway doctor`. They spend nothing and show no secret."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from pydantic import ValidationError

from kilo_gateway import chat as drivers
from kilo_gateway.errors import (
    KiloAuthenticationError,
    KiloCreditsError,
    KiloError,
    KiloModelNotFoundError,
    KiloPermissionError,
)
from kilo_gateway.models import store
from kilo_gateway.models.listing import list_models
from kilo_gateway.settings.chat import GatewaySettings
from kilo_gateway.settings.types import DEFAULT_BASE_URL
from kilo_gateway.settings.validation import field_errors
from kilo_gateway.transport import clients

PACKAGES: Final = ("kilo-gateway", "openai", "pydantic", "langchain-core", "langchain", "llama-index-core")
ACCOUNT_PAGE: Final = "https://app.kilo.ai/profile"
"""The gateway has no request for a balance; its errors name this page (docs/gateway.md, "Errors")."""
NO_SUCH_MODEL: Final = "kilo-gateway/doctor-asks-for-no-model"
"""Unknown ids are refused after the key has been looked at, and before anything is spent (docs/gateway.md)."""


@dataclass(frozen=True, slots=True)
class Result:
    """One line of the report."""

    subject: str
    finding: str
    bad: bool = False
    """True if it must be mended before anything works."""
    odd: bool = False
    """True if it works, but perhaps not as intended."""

    @property
    def mark(self) -> str:
        """The mark before the line."""
        return "FAIL" if self.bad else "note" if self.odd else "ok"


def examine() -> list[Result]:
    """Return the report."""
    results = [Result("versions", ", ".join(_versions()))]
    try:
        settings = GatewaySettings(acknowledge_data_policy=True, max_retries=0, timeout=10, max_tokens=1)
    except ValidationError as error:
        return [*results, *(Result(field or "settings", text, bad=True) for field, text in field_errors(error))]
    results += _environment(settings)
    reached = _reach()
    results.append(reached)
    if not reached.bad:
        results.append(_key(settings))
    return results


def _versions() -> Iterator[str]:
    yield f"Python {platform.python_version()}"
    for name in PACKAGES:
        try:
            yield f"{name} {importlib.metadata.version(name)}"
        except importlib.metadata.PackageNotFoundError:
            yield f"{name} not installed"


def _environment(settings: GatewaySettings) -> Iterator[Result]:
    named = [name for name in ("KILO_BASE_URL", "KILO_API_URL") if os.environ.get(name)]
    yield Result("base URL", f"{settings.base_url} ({'default' if not named else named[0]})")
    if settings.base_url != DEFAULT_BASE_URL and not settings.base_url.endswith("/api/gateway"):
        yield Result("base URL", "it does not end in /api/gateway, as the public gateway's does", odd=True)
    if settings.bearer:
        yield Result("key", "set in KILO_API_KEY")
    elif os.environ.get("KILO_API_KEY"):
        yield Result("key", "KILO_API_KEY holds a word that means no key: free models only", odd=True)
    else:
        yield Result("key", "KILO_API_KEY is not set: free models only")
    yield Result("organisation", "set in KILO_ORG_ID" if settings.organization_id else "KILO_ORG_ID is not set")
    if proxies := [name for name in clients.PROXY_VARIABLES if os.environ.get(name) or os.environ.get(name.lower())]:
        yield Result("proxy", f"set in {', '.join(proxies)}")
    yield Result("list of models kept in", str(store.folder()))


def _reach() -> Result:
    started = time.perf_counter()
    try:
        catalog = list_models(refresh=True, max_retries=0)
    except KiloError as error:
        return Result("gateway", error.message, bad=True)
    return Result("gateway", f"answers, with {len(catalog)} models, in {(time.perf_counter() - started) * 1000:.0f} ms")


def _key(settings: GatewaySettings) -> Result:
    if settings.bearer is None:
        return Result("account", "none: tier free and other free models answer")
    call = settings.prepare("-", stream=False, keywords={"model": NO_SUCH_MODEL})
    try:
        drivers.create(settings, call)
    except KiloModelNotFoundError:
        return Result("account", f"the key is accepted; its keys, credits and usage: {ACCOUNT_PAGE}")
    except KiloCreditsError as error:
        text = f"the key is accepted, without a balance: add credits at {error.buy_credits_url}"
        return Result("account", text, odd=True)
    except KiloPermissionError as error:
        return Result("account", f"the key is accepted, with this restriction: {error.message}", odd=True)
    except KiloAuthenticationError as error:
        return Result("account", error.message, bad=True)
    except KiloError as error:
        return Result("account", f"not known whether the key is accepted: {error.message}", bad=True)
    return Result("account", "not known whether the key is accepted: a model that does not exist answered", bad=True)
