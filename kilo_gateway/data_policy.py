"""Data-handling notices: one warning per process and model. See docs/gateway.md, "Notices"."""

from __future__ import annotations

import threading
import warnings
from typing import Final

from kilo_gateway._frames import user_stacklevel
from kilo_gateway.models import known as known_models
from kilo_gateway.settings.account import AccountSettings

_SEEN: Final[set[str]] = set()
_LOCK: Final = threading.Lock()

_MAY_TRAIN = (
    "its provider may store prompts and answers and use them for training; send nothing confidential or personal"
)
_ANSWER = 'Confirm with acknowledge_data_policy=True, or refuse such models with data_collection="deny"'
_NVIDIA_TRIAL = (
    "it is an NVIDIA trial endpoint: send nothing confidential or personal; use is logged for security and product "
    "improvement under NVIDIA's API trial terms"
)


class KiloDataPolicyWarning(UserWarning):
    """How the requested model handles data; filter this category to silence the notices."""


def notice_for(model: str, *, keyed: bool, base_url: str | None = None) -> str | None:
    """Return the notice that belongs to a requested model id, or None; never asks the network."""
    name = model.lower()
    if name == "kilo-auto/free" or (name == "kilo-auto/small" and not keyed):
        return (
            f"{model} picks a free model on the server; {_MAY_TRAIN}. The choice may fall on NVIDIA trial "
            f"endpoints and can change per conversation. {_ANSWER}"
        )
    if name.endswith(":free") and (name.startswith("nvidia/") or "nemotron" in name):
        return f"{model}: {_NVIDIA_TRIAL}. {_ANSWER}"
    if name.endswith(":free") or name == "openrouter/free" or name.startswith("stealth/"):
        return f"{model}: {_MAY_TRAIN}. {_ANSWER}"
    if name in ("kilo-auto/balanced", "kilo-auto/efficient"):
        return (
            f"{model}: a routing classifier of the gateway also reads the prompt, and is billed as a small extra charge"
            ". Confirm with acknowledge_data_policy=True"
        )
    info = known_models.known(model, base_url=base_url)
    if info is None or info.may_train_on_prompts is False:
        return None
    return f"{model}: {_MAY_TRAIN}. {_ANSWER}" if info.may_train_on_prompts or info.free else None


def warn_once(settings: AccountSettings, model: str, *, refused: bool) -> None:
    """Issue the model's notice as a KiloDataPolicyWarning, the first time the process asks this model.

    A request that refuses data collection (`refused`) needs no warning: the gateway turns it down instead
    of routing it to such a provider. Nor does a caller who has acknowledged the policy.
    """
    if refused or settings.acknowledge_data_policy or model in _SEEN:
        return
    if text := notice_for(model, keyed=settings.bearer is not None, base_url=settings.base_url):
        with _LOCK:
            if model in _SEEN:
                return
            _SEEN.add(model)
        warnings.warn(text + ".", KiloDataPolicyWarning, stacklevel=user_stacklevel())


def forget() -> None:
    """Let every notice be issued again, for example in a notebook that shows them."""
    _SEEN.clear()
