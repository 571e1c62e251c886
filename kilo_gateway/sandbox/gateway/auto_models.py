"""Resolve auto models; only these tables say which version serves a tier. See docs/gateway.md, "Auto models"."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kilo_gateway.sandbox.gateway.options import Options

_PLANNING = ("plan", "general", "architect", "orchestrator", "ask", "debug")
_BUILDING = ("build", "explore", "code")


@dataclass(frozen=True)
class RoutingTable:
    """The models that the tiers resolve to in one catalogue; `free_pool` contains pairs of model and weight."""

    planning: str
    building: str
    balanced: str
    small_paid: str
    small_free: str
    free_pool: tuple[tuple[str, int], ...]
    balanced_reasoning: Mapping[str, Any] | None = None
    balanced_elsewhere: Mapping[str, str] = field(default_factory=dict)
    """The model of `balanced` on the interfaces that have another one, with effort low."""
    extra_planning: tuple[str, ...] = ()
    feature_modes: Mapping[str, str] = field(default_factory=dict)

    def frontier(self, mode: str | None, feature: str | None) -> str:
        """Return the model for a mode; an unknown mode counts as a building mode."""
        mode = mode or self.feature_modes.get(feature or "")
        return self.planning if mode in _PLANNING + self.extra_planning else self.building


TABLES: dict[str, RoutingTable] = {
    "E1": RoutingTable(
        planning="anthropic/claude-opus-4.6",
        building="anthropic/claude-sonnet-4.6",
        balanced="anthropic/claude-sonnet-4.6",
        small_paid="google/gemma-4-31b-it",
        small_free="google/gemma-4-26b-a4b-it:free",
        free_pool=(("openrouter/free", 1),),
    ),
    "mid-2026": RoutingTable(
        planning="anthropic/claude-opus-4.7",
        building="anthropic/claude-sonnet-4.6",
        balanced="qwen/qwen3.6-plus",
        balanced_reasoning={"enabled": True},
        # As the documentation page of mid-2026 has it.
        balanced_elsewhere={"responses": "openai/gpt-5.5", "messages": "anthropic/claude-sonnet-4.6"},
        small_paid="google/gemma-4-31b-it",
        small_free="google/gemma-4-26b-a4b-it:free",
        free_pool=(
            ("stepfun/step-3.7-flash:free", 4),
            ("poolside/laguna-m.1:free", 3),
            ("nvidia/nemotron-3-ultra-550b-a55b:free", 2),
            ("openrouter/free", 1),
        ),
    ),
    "E3": RoutingTable(
        planning="anthropic/claude-opus-5.5",
        building="anthropic/claude-sonnet-5.5",
        balanced="z-ai/glm-5.3-flash",
        small_paid="google/gemma-4-26b-a4b-it",
        small_free="google/gemma-4-26b-a4b-it:free",
        free_pool=(
            ("stealth/space-bunny-alpha", 7),
            ("poolside/laguna-s-2.1:free", 1),
            ("nvidia/nemotron-3-ultra-550b-a55b:free", 1),
            ("dots-studio/dots-3-note-preview:free", 1),
        ),
        extra_planning=("claw",),
        feature_modes={"kiloclaw": "claw", "openclaw": "claw"},
    ),
}

# The sandbox's organisation; `build` falls back to `code`, `plan` to `architect` (docs/gateway.md, "Auto models").
ORGANIZATION_ROUTES = {"architect": "openai/gpt-5.4", "code": "anthropic/claude-haiku-4.5"}
ORGANIZATION_FALLBACK = "openai/gpt-5.4-mini"
_ORGANIZATION_ALIASES = {"build": "code", "plan": "architect"}

_TIERS = {
    "E1": {"kilo/auto": "frontier"},
    "E2": {
        "kilo/auto": "balanced",
        **{f"kilo-auto/{tier}": tier for tier in ("frontier", "balanced", "efficient", "free", "small")},
    },
    "E3": {f"kilo-auto/{tier}": tier for tier in ("frontier", "balanced", "efficient", "free", "small", "org")},
}

# E2 refuses these retired ids with an error type of their own (docs/gateway.md, "Auto models").
DISCONTINUED = frozenset(
    {
        "kilo/auto-free",
        "giga-potato",
        "giga-potato-thinking",
        "corethink:free",
        "minimax/minimax-m2.5:free",
        "moonshotai/kimi-k2.5:free",
        "z-ai/glm-4.7:free",
        "z-ai/glm-5:free",
    }
)

# E3 refuses these ids in a direct request, although a tier may use them (docs/gateway.md, "Auto models").
UNAVAILABLE = frozenset(
    {"google/gemma-4-26b-a4b-it:free", "google/gemma-4-31b-it:free", "thinkingmachines/inkling:free"}
)

# docs/gateway.md, "Rate limits"
_RATE_LIMITED = frozenset({"google/gemma-4-26b-a4b-it:free"})


@dataclass(frozen=True)
class Caller:
    """The facts about a caller that routing uses besides the model id."""

    mode: str | None
    feature: str | None
    affinity: str
    has_balance: bool
    api: str = "chat_completions"


def tier_of(model: str, options: Options) -> str | None:
    """Return the tier that an id names in this era, or None."""
    return _TIERS[options.era].get(model.strip().lower())


def table_of(options: Options) -> RoutingTable:
    """Return the routing table that the options select."""
    return TABLES["E1" if options.era == "E1" else options.catalog_ids]


def resolve(tier: str, caller: Caller, options: Options) -> tuple[str, dict[str, Any]]:
    """Return the model that a tier resolves to, and the body fields that the gateway overwrites."""
    table = table_of(options)
    if tier == "frontier":
        # Only E1 compares the mode in lower case (docs/gateway.md, "Auto models").
        mode = caller.mode.lower() if caller.mode and options.era == "E1" else caller.mode
        settings = {"reasoning": {"enabled": True, "effort": "medium"}, "verbosity": "medium"}
        return table.frontier(mode, caller.feature), settings
    if tier == "free":
        return _weighted(table.free_pool, caller.affinity), {"reasoning": {"enabled": True, "effort": "high"}}
    if tier == "small":
        return table.small_paid if caller.has_balance else table.small_free, {}
    if tier == "org":
        mode = (caller.mode or "").lower()
        route = ORGANIZATION_ROUTES.get(_ORGANIZATION_ALIASES.get(mode, mode), ORGANIZATION_FALLBACK)
        return route, {}
    if tier == "balanced" and caller.api in table.balanced_elsewhere:
        settings = {"reasoning": {"enabled": True, "effort": "low"}, "verbosity": "low"}
        return table.balanced_elsewhere[caller.api], settings
    return table.balanced, {"reasoning": dict(table.balanced_reasoning)} if table.balanced_reasoning else {}


def _weighted(pool: tuple[tuple[str, int], ...], affinity: str) -> str:
    digest = hashlib.sha256(f"free_routing_{affinity}".encode()).digest()
    position = int.from_bytes(digest[:8], "big") % sum(weight for _, weight in pool)
    for model, weight in pool:
        position -= weight
        if position < 0:
            return model
    raise AssertionError("the weights cover every position")


def is_free(model: str) -> bool:
    """Return True if a resolved id is free by the gateway's test of the name. See docs/gateway.md, "Auto models"."""
    return (
        model.endswith(":free")
        or model == "openrouter/free"
        or (model.startswith("stealth/") and model.endswith("-alpha"))
    )


def is_rate_limited(model: str, options: Options) -> bool:
    """Return True if the limit of free models counts a resolved id. See docs/gateway.md, "Rate limits"."""
    return is_free(model) if options.era == "E1" else model in _RATE_LIMITED
