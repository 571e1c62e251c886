"""Facts about models without the network: from the list fetched last, then from the built-in tables."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final

from kilo_gateway import routing
from kilo_gateway.encoding import lenient_json
from kilo_gateway.settings import types

if TYPE_CHECKING:
    from kilo_gateway.models.info import ModelInfo

DEFAULT_CONTEXT_WINDOW: Final = 128_000
"""Tokens assumed for an unknown model: most of the gateway's models have at least this many."""

RECHECK_SECONDS: Final = 1.0
"""Seconds that a process may miss a list of another process; reading the disk costs more than a look-up."""

# Fields that an endpoint such as `:free` shares with the model that it is named after.
_SHARED: Final = (
    *("name", "description", "context_length", "architecture", "top_provider", "supported_parameters"),
    *("unsupported_parameters", "as_of"),
)

Entry = dict[str, Any]


def known(model: str, *, base_url: str | None = None) -> ModelInfo | None:
    """Return the known facts about a model id, or None; never uses the network and never raises.

    A list that was fetched comes first, then the built-in tables, whose prices are as old as `as_of` says.
    `vendor/model:suffix` falls back to `vendor/model`, without its prices. `base_url` says whose list counts; default:
    the gateway that the environment names. In an event loop it reads the disk only if nothing was read before; see
    `aread`.
    """
    return _view(base_url).look_up(model)


async def aread(model: str, *, base_url: str | None = None) -> None:
    """Read what `known` would read from the disk for a model, in a thread.

    The other calls of an event loop must not wait for the disk; `langgraph dev` raises an error if they do.
    """
    view = _VIEWS.get(base_url)
    if view is None or _is_old(view):
        await asyncio.to_thread(known, model, base_url=base_url)


def nearest(model: str, *, base_url: str | None = None) -> list[str]:
    """Return the known ids that are like an unknown one; none for a model that is known."""
    from kilo_gateway.models import built_in  # as in `_exact`

    view = _view(base_url)
    if view.look_up(model) is not None:
        return []
    return routing.nearest_models(model, sorted({*view.entries, *built_in.ids()}))


def context_window(model: str, *, base_url: str | None = None) -> int:
    """Return the tokens that prompt and answer of `model` may have together, or a careful default."""
    info = known(model, base_url=base_url)
    return (info and info.context_length) or DEFAULT_CONTEXT_WINDOW


def forget() -> None:
    """Read the disk again at the next call of `known`."""
    _VIEWS.clear()


class _View:
    """The entries of one gateway; each is read on its first use."""

    def __init__(self, entries: dict[str, Entry], stamp: object) -> None:
        self.entries = entries
        self.stamp = stamp
        self.check_at = 0.0
        self._read: dict[str, ModelInfo] = {}

    def look_up(self, model: str) -> ModelInfo | None:
        if (info := self._read.get(model)) is not None:
            return info
        from kilo_gateway.models.info import ModelInfo

        info = ModelInfo.read(self._entry(model.strip()) or self._entry(model.strip().lower()))
        if info is not None:
            self._read[model] = info
        return info

    def _entry(self, model: str) -> Entry | None:
        if (exact := self._exact(model)) or ":" not in model:
            return exact
        base = self._exact(model.partition(":")[0])
        free = True if model.endswith(":free") else None
        return base and {**{key: base.get(key) for key in _SHARED}, "id": model, "isFree": free}

    def _exact(self, model: str) -> Entry | None:
        from kilo_gateway.models import built_in  # as `store` below, which imports of the adapters need not take

        return self.entries.get(model) or built_in.entry(model)


_VIEWS: Final[dict[str | None, _View]] = {}


def _view(base_url: str | None) -> _View:
    view = _VIEWS.get(base_url)
    if view is None or (_is_old(view) and not _in_event_loop()):
        view = _VIEWS[base_url] = _refreshed(view, base_url)
    return view


def _is_old(view: _View) -> bool:
    return time.monotonic() >= view.check_at


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _refreshed(view: _View | None, base_url: str | None) -> _View:
    from kilo_gateway.models import store  # 4 ms, which imports of the adapters need not take

    entries: dict[str, Entry] = {}
    stamp: object = None
    try:
        file = store.newest((base_url or types.base_url_from_env()).strip().rstrip("/"))
        if file is not None:
            stamp = (file.path, file.path.stat().st_mtime_ns)
            if view is None or view.stamp != stamp:
                stored = file.read()
                entries = _by_id(stored.entries) if stored else {}
    except (OSError, ValueError):
        pass
    if view is None or view.stamp != stamp:
        view = _View(entries, stamp)
    view.check_at = time.monotonic() + RECHECK_SECONDS
    return view


def _by_id(entries: list[Any]) -> dict[str, Entry]:
    by_id: dict[str, Entry] = {}
    for entry in lenient_json.dicts(entries):
        by_id.setdefault(lenient_json.string(entry.get("id")), entry)
    return by_id
