"""Warnings about settings that the requested model does not take: once per process, model and setting.

They are warnings and not errors, because neither source is certain: the gateway's list may have changed since it was
fetched, the built-in table is older still, and a provider may ignore such a setting as well as refuse it.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from kilo_gateway._frames import user_stacklevel
from kilo_gateway.call import Call
from kilo_gateway.encoding.lenient_json import mapping
from kilo_gateway.models import known as known_models

if TYPE_CHECKING:
    from kilo_gateway.models.info import ModelInfo

_CHECKED: Final = frozenset({"temperature", "reasoning", "reasoning_effort"})
_TIERS_WITHOUT_MODES: Final = frozenset({"free", "small"})
"""The routing service of the others may read the mode (docs/gateway.md, "Auto models")."""
_DEFAULT_TEMPERATURE: Final = 1
"""The temperature that models without the setting use, and accept."""
_SEEN: Final[set[tuple[str, str]]] = set()


def warn_once(call: Call, *, base_url: str) -> None:
    """Warn of the settings of `call` that its model does not take, as far as that is known offline."""
    if call.mode is not None and call.tier in _TIERS_WITHOUT_MODES and (call.model, "mode") not in _SEEN:
        _SEEN.add((call.model, "mode"))
        warnings.warn(
            f"mode={call.mode!r} is ignored by {call.model}; only tier='frontier' and tier='org' choose the "
            "model by it: use one of them, or leave the mode out",
            UserWarning,
            stacklevel=user_stacklevel(),
        )
    if _CHECKED.isdisjoint(call.options):
        return
    info = known_models.known(call.model, base_url=base_url)
    for setting, remedy in _unsupported(call, info) if info is not None else ():
        if (call.model, setting) not in _SEEN:
            _SEEN.add((call.model, setting))
            source = f"models.dev of {info.as_of}" if info and info.as_of else "the gateway's list of models"
            warnings.warn(
                f"{setting}: by {source}, {call.model} {remedy}; its provider may ignore or refuse it",
                UserWarning,
                stacklevel=user_stacklevel(),
            )


def forget() -> None:
    """Let each warning be issued again."""
    _SEEN.clear()


def _unsupported(call: Call, info: ModelInfo) -> Iterator[tuple[str, str]]:
    """Yield each setting that the model does not take, with what is known and the remedy."""
    temperature = call.options.get("temperature", _DEFAULT_TEMPERATURE)
    if info.supports_temperature is False and temperature != _DEFAULT_TEMPERATURE:
        yield f"temperature={temperature!r}", "takes no temperature: leave it out"
    reasoning = mapping(call.options.get("reasoning"))
    effort = call.options.get("reasoning_effort", reasoning.get("effort"))
    if effort == "none" or reasoning.get("enabled") is False or (effort is None and not reasoning):
        return
    if info.supports_reasoning is False:
        yield "reasoning", "takes no reasoning settings: leave them out"
    elif effort is not None and info.reasoning_efforts and effort not in info.reasoning_efforts:
        yield f"reasoning effort {effort!r}", f"takes the efforts {', '.join(info.reasoning_efforts)}: choose one"
