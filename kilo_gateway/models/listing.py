"""`GET /models`: fetches the list, stores it on disk, and returns the stored one while it is fresh."""

from __future__ import annotations

import asyncio
import json
import time
import warnings
from collections.abc import Callable
from typing import Any, Final, TypedDict, Unpack

from pydantic import SecretStr

from kilo_gateway import routing
from kilo_gateway._frames import user_stacklevel
from kilo_gateway.errors import KiloError, translate
from kilo_gateway.interfaces.json_body import json_object, listed
from kilo_gateway.models import known as known_models
from kilo_gateway.models import store
from kilo_gateway.models.catalog import ModelCatalog
from kilo_gateway.models.tables import ago
from kilo_gateway.settings.chat import GatewaySettings
from kilo_gateway.settings.keys import KeyFunction
from kilo_gateway.transport.exchange import Exchange

PATH: Final = "/models"
TIMEOUT: Final = 10.0
"""Seconds that the official Kilo client allows this call (docs/gateway.md, "Models")."""
MAX_AGE: Final = 3600.0

_WARNED: Final[set[str]] = set()


class Account(TypedDict, total=False):
    """The gateway and the account; each argument means the same as for ChatKilo and KiloLLM."""

    api_key: SecretStr | str | Callable[[], Any] | None
    base_url: str | None
    organization_id: SecretStr | str | None
    allow_insecure: bool
    default_headers: dict[str, str] | None
    default_query: dict[str, Any] | None
    timeout: float | None
    """Seconds; default 10, None for the official client's default."""
    total_timeout: float | None
    """Seconds for the whole list; None: no limit."""
    max_retries: int
    max_retry_wait: float | None
    max_response_bytes: int
    http_client: Any
    http_async_client: Any


def list_models(*, refresh: bool = False, max_age: float = MAX_AGE, **account: Unpack[Account]) -> ModelCatalog:
    """Return the gateway's models as this account sees them; no key is needed.

    A list that was fetched at most `max_age` seconds ago is read from disk (`KILO_CACHE_DIR`, else the
    platform's cache folder); `refresh=True` always asks. If the gateway cannot be reached, an older list is returned
    with a warning, unless `refresh=True`. Raises KiloError, and ValueError for arguments that
    cannot work. A list says nothing about a key: the gateway ignores a bad one here.
    """
    listing = _Listing(account, refresh=refresh, max_age=max_age)
    if (fresh := listing.kept_and_fresh()) is not None:
        return fresh
    try:
        catalog = listing.received(*listing.exchange.fetch())
    except Exception as error:
        return listing.instead(error)
    return listing.checked(catalog)


async def alist_models(*, refresh: bool = False, max_age: float = MAX_AGE, **account: Unpack[Account]) -> ModelCatalog:
    """Return the gateway's models as this account sees them; see `list_models`."""
    listing = _Listing(account, refresh=refresh, max_age=max_age)
    if (fresh := await asyncio.to_thread(listing.kept_and_fresh)) is not None:
        return fresh
    try:
        catalog = await asyncio.to_thread(listing.received, *await listing.exchange.afetch())
    except Exception as error:
        return listing.instead(error)
    return listing.checked(catalog)


class _Listing:
    """Everything that sync and async share about one listing."""

    def __init__(self, account: Account, *, refresh: bool, max_age: float) -> None:
        if unknown := sorted(account.keys() - Account.__annotations__.keys()):
            arguments = [*Account.__annotations__, "refresh", "max_age"]
            hint = routing.did_you_mean(unknown[0], arguments, "choose among the models with list_models().filter(...)")
            raise ValueError(f"list_models has no argument {unknown[0]!r}; {hint}")
        if not max_age >= 0:
            raise ValueError(f"max_age={max_age!r} must be a number of seconds, 0 or more")
        account.setdefault("timeout", TIMEOUT)
        self.settings = settings = GatewaySettings(**account)
        self.refresh = refresh
        self.max_age = max_age
        query = settings.default_query or {}
        self.exchange = Exchange.of(settings, PATH)
        bearer = settings.bearer
        # The key changes from day to day, and each process would leave a file behind.
        key = f"function {bearer.name}" if isinstance(bearer, KeyFunction) else bearer
        seen_by = [key, sorted(settings.private_headers().items()), sorted(query.items())]
        self.file = store.ListFile.of(settings.base_url, json.dumps(seen_by, default=repr))
        self.stored: store.Stored | None = None
        self.unwritable: OSError | None = None

    def kept_and_fresh(self) -> ModelCatalog | None:
        self.stored = None if self.refresh else self.file.read()
        if self.stored is None or not 0 <= self.stored.age <= self.max_age:
            return None
        return self._kept(self.stored) or None

    def received(self, content: bytes, response: Any) -> ModelCatalog:
        entries = listed(json_object(content, response), response, self.exchange.sent)
        stored = store.Stored(time.time(), entries)
        catalog = ModelCatalog.read(entries, fetched_at=stored.fetched_at)
        if entries and not catalog:
            raise translate.unreadable("no entry of its list is a model", response=response, body=entries)
        if catalog:
            try:
                self.file.write(stored)
            except OSError as error:
                self.unwritable = error
            known_models.forget()
        return catalog

    def instead(self, error: Exception) -> ModelCatalog:
        """Return the old list if the gateway cannot be reached. Raises the error otherwise."""
        translated = self.exchange.translated(error)
        catalog = self._kept(self.stored) if self.stored is not None else None
        if not catalog or not (isinstance(translated, KiloError) and translated.retryable):
            raise translated from error.__cause__
        warnings.warn(
            f"the list of models is old ({ago(catalog.age or 0)}): {translated.message}",
            UserWarning,
            stacklevel=user_stacklevel(),
        )
        return catalog

    def checked(self, catalog: ModelCatalog) -> ModelCatalog:
        folder = str(self.file.path.parent)
        if self.unwritable and folder not in _WARNED:
            _WARNED.add(folder)
            warnings.warn(
                f"the list of models cannot be kept in {folder} ({self.unwritable.strerror}), so each call asks the "
                "gateway: set KILO_CACHE_DIR to a folder that can be written",
                UserWarning,
                stacklevel=user_stacklevel(),
            )
        return catalog

    def _kept(self, stored: store.Stored) -> ModelCatalog:
        return ModelCatalog.read(stored.entries, fetched_at=stored.fetched_at, from_cache=True)
