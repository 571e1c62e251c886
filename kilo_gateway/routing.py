"""Tiers, modes and model ids: which model an answer comes from. No I/O. See docs/gateway.md, "Auto models"."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Collection
from typing import Final, Literal, get_args

from kilo_gateway._frames import user_stacklevel

Tier = Literal["frontier", "balanced", "efficient", "free", "small", "org"]
"""The gateway's auto tiers: `kilo-auto/<tier>` chooses the model on the server."""

Mode = Literal["plan", "general", "architect", "orchestrator", "ask", "debug", "build", "explore", "code"]
"""The documented working modes. Any other string is accepted: the server's list grows."""

Api = Literal["completions", "responses", "messages", "auto"]
"""The gateway's interfaces; `auto` follows the list of models."""

TIERS: Final[tuple[str, ...]] = get_args(Tier)
MODES: Final[tuple[str, ...]] = get_args(Mode)

AUTO_PREFIX: Final = "kilo-auto/"
DEFAULT_MODEL: Final = "kilo-auto/free"

# The oldest servers knew these ids; today's answer 404 or 401 to them.
LEGACY_MODELS: Final = {
    "kilo/auto": "kilo-auto/frontier",
    "kilo/auto-free": "kilo-auto/free",
    "kilo/auto-small": "kilo-auto/small",
}

HEADER_VALUE_LIMIT: Final = 500
"""Characters of a header value that the server reads; it cuts the rest."""


def normalize_model(model: str) -> str:
    """Trim a model id; lower-case auto ids and map the legacy ones with a DeprecationWarning.

    Raises ValueError for a blank id. Other ids keep their spelling, because the gateway sends them
    upstream as written, and need no slash: bare legacy names are valid.
    """
    model = model.strip()
    if not model:
        raise ValueError(
            "must not be blank: give a model id such as 'anthropic/claude-sonnet-4.6', or leave it out "
            f"to use {DEFAULT_MODEL!r}"
        )
    lowered = model.lower()
    if lowered == "openrouter/auto":
        warnings.warn(
            f"model {model!r} is the router of another gateway; did you mean tier='balanced'?",
            UserWarning,
            stacklevel=user_stacklevel(),
        )
    if replacement := LEGACY_MODELS.get(lowered):
        warnings.warn(
            f"model {model!r} is a retired name of the gateway; using {replacement!r}. "
            f"Write tier={replacement.removeprefix(AUTO_PREFIX)!r} instead.",
            DeprecationWarning,
            stacklevel=user_stacklevel(),
        )
        return replacement
    tier = lowered.removeprefix(AUTO_PREFIX)
    is_auto = tier != lowered
    if (is_auto and tier not in TIERS) or (not is_auto and tier in TIERS):
        near = tier if tier in TIERS else nearest_name(tier, TIERS)
        hint = f"; did you mean tier={near!r}?" if near else f"; tiers: {', '.join(TIERS)}"
        warnings.warn(f"unknown auto model {model!r}{hint}", UserWarning, stacklevel=user_stacklevel())
    return lowered if is_auto else model


def normalize_tier(tier: str) -> str:
    """Trim and lower-case a tier; raises ValueError when the gateway has no such tier."""
    name = tier.strip().lower().removeprefix(AUTO_PREFIX)
    if name not in TIERS:
        tiers = f"tiers: {', '.join(TIERS)}"
        raise ValueError(f"unknown tier {tier!r}; {did_you_mean(name, TIERS, tiers)}")
    return name


def normalize_mode(mode: str) -> str | None:
    """Trim and lower-case a mode, because the server compares it case-sensitively; None if it is blank.

    Warns when the mode is a near miss of a documented one. Raises ValueError for characters that
    do not belong in an HTTP header and for more than 500 characters, which the server would cut.
    """
    mode = check_header_value(mode.strip().lower())
    if mode and mode not in MODES and (near := nearest_name(mode, MODES)):
        warnings.warn(f"unknown mode {mode!r}; did you mean {near!r}?", UserWarning, stacklevel=user_stacklevel())
    return mode or None


def check_header_value(value: str, limit: int = HEADER_VALUE_LIMIT) -> str:
    """Return `value` if it can be sent in an HTTP header; raise ValueError otherwise.

    The value is not shown in the error text: it may be a secret.
    """
    if len(value) > limit:
        raise ValueError(f"has {len(value)} characters; the gateway reads at most {limit}: shorten it")
    if bad := next((c for c in value if not " " <= c <= "~"), None):
        raise ValueError(
            f"contains {bad!r}; it travels in an HTTP header, so only printable ASCII is possible: remove it"
        )
    return value


def resolve_model(model: str | None, tier: str | None) -> str:
    """Return the model id to send for normalized `model` and `tier`; the free tier when both are None.

    Raises ValueError when the two name different models.
    """
    if tier is None:
        return model or DEFAULT_MODEL
    auto = AUTO_PREFIX + tier
    if model is not None and model != auto:
        raise ValueError(
            f"model={model!r} and tier={tier!r} exclude each other: tier={tier!r} stands for model={auto!r}; "
            "give one of the two, and set the other to None where both have a value"
        )
    return auto


def tier_of(model: str) -> str | None:
    """Return the tier that a model id stands for, or None for an ordinary model."""
    name = model.removeprefix(AUTO_PREFIX)
    return name if name != model else None


def nearest_models(model: str, ids: Collection[str]) -> list[str]:
    """Return up to three model ids that are like `model`, or that contain its name."""
    wanted = model.strip().lower()
    name = wanted.rpartition("/")[2]
    whole = {known if "/" in wanted else known.rpartition("/")[2]: known for known in ids}
    holding = [known for known in ids if name and name in known]
    return list(dict.fromkeys([*(whole[near] for near in difflib.get_close_matches(wanted, whole)), *holding]))[:3]


def nearest_name(name: str, known: Collection[str]) -> str | None:
    """Return the known name most like `name`, or None when nothing is close."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.7)
    return near[0] if near else None


def did_you_mean(name: str, known: Collection[str], otherwise: str) -> str:
    """Return the question whether the nearest known name is meant, or `otherwise` if nothing is close."""
    near = nearest_name(name, known)
    return f"did you mean {near!r}?" if near else otherwise
