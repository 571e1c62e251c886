"""Data-handling notices: one warning per process and model. See docs/gateway.md, "Notices"."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from kilo_gateway.callers import user_stacklevel
from kilo_gateway.plain import mapping

_SEEN: set[str] = set()

_MAY_TRAIN = (
    "its provider may store prompts and answers and use them for training; send nothing confidential or personal"
)
_NVIDIA_TRIAL = (
    "it is an NVIDIA trial endpoint: send nothing confidential or personal; use is logged for security and product "
    "improvement under NVIDIA's API trial terms"
)


class KiloDataPolicyWarning(UserWarning):
    """How the requested model handles data; filter this category to silence the notices."""


def notice_for(model: str, *, keyed: bool) -> str | None:
    """Return the notice that belongs to a requested model id, or None."""
    name = model.lower()
    if name == "kilo-auto/free" or (name == "kilo-auto/small" and not keyed):
        return (
            f"{model} picks a free model on the server; {_MAY_TRAIN}. The choice may fall on NVIDIA trial "
            "endpoints and can change per conversation"
        )
    if "nemotron" in name and name.endswith(":free"):
        return f"{model}: {_NVIDIA_TRIAL}"
    if name.endswith(":free") or name == "openrouter/free" or name.startswith("stealth/"):
        return f"{model}: {_MAY_TRAIN}"
    if name in ("kilo-auto/balanced", "kilo-auto/efficient"):
        return (
            f"{model}: a routing classifier of the gateway also reads the prompt, and is billed as a small extra charge"
        )
    return None


def warn_once(model: str, payload: Mapping[str, Any], *, keyed: bool) -> None:
    """Issue the model's notice as a KiloDataPolicyWarning, the first time the process asks this model.

    A request that refuses data collection needs no warning: the gateway turns it down instead
    of routing it to such a provider.
    """
    provider = mapping(payload.get("provider"))
    if provider.get("data_collection") == "deny" or provider.get("zdr") is True:
        return
    text = notice_for(model, keyed=keyed)
    if text and model not in _SEEN:
        _SEEN.add(model)
        warnings.warn(text + ".", KiloDataPolicyWarning, stacklevel=user_stacklevel())


def forget() -> None:
    """Let every notice be issued anew, for example in a notebook that shows them."""
    _SEEN.clear()
