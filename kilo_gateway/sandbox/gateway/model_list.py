"""Build the answers to `GET /models` and related paths, with prices. See docs/gateway.md, "Models"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kilo_gateway.sandbox.gateway.auto_models import TABLES, is_free, table_of
from kilo_gateway.sandbox.gateway.options import Options

Json = dict[str, Any]

_AUTO_PARAMETERS = ["max_tokens", "temperature", "tools", "reasoning", "include_reasoning"]
_PARAMETERS = [
    *_AUTO_PARAMETERS,
    "tool_choice",
    "parallel_tool_calls",
    "response_format",
    "structured_outputs",
    "stop",
    "seed",
    "top_p",
    "verbosity",
]


@dataclass(frozen=True)
class Entry:
    """A model of the catalogue; prices are USD per token, as strings as on the wire."""

    id: str
    name: str
    prompt: str
    completion: str
    context: int = 200_000
    output: int = 64_000
    vision: bool = True

    @property
    def trains(self) -> bool:
        return is_free(self.id)


def _free(model: str, name: str, context: int = 256_000) -> Entry:
    return Entry(model, f"{name} (free)", "0", "0", context, 32_768, vision=False)


_MID_2026 = (
    Entry("anthropic/claude-opus-4.7", "Anthropic: Claude Opus 4.7", "0.000005", "0.000025", 1_000_000),
    Entry("anthropic/claude-sonnet-4.6", "Anthropic: Claude Sonnet 4.6", "0.000003", "0.000015", 1_000_000),
    Entry("anthropic/claude-haiku-4.5", "Anthropic: Claude Haiku 4.5", "0.000001", "0.000005"),
    Entry("openai/gpt-5.5", "OpenAI: GPT-5.5", "0.000003", "0.000018", 400_000, 128_000),
    Entry("openai/gpt-5.4", "OpenAI: GPT-5.4", "0.0000025", "0.000015", 400_000, 128_000),
    Entry("openai/gpt-5.4-mini", "OpenAI: GPT-5.4 Mini", "0.0000005", "0.000004", 400_000, 128_000),
    Entry("google/gemini-3.1-pro-preview", "Google: Gemini 3.1 Pro Preview", "0.000002", "0.000012", 1_048_576),
    Entry("google/gemini-2.5-flash", "Google: Gemini 2.5 Flash", "0.0000003", "0.0000025", 1_048_576),
    Entry("x-ai/grok-4", "xAI: Grok 4", "0.000003", "0.000015", 256_000),
    Entry("x-ai/grok-code-fast-1", "xAI: Grok Code Fast 1", "0.0000002", "0.0000015", 256_000, vision=False),
    Entry("deepseek/deepseek-v3.2", "DeepSeek: DeepSeek V3.2", "0.00000025", "0.0000004", 163_840, vision=False),
    Entry("moonshotai/kimi-k2.5", "MoonshotAI: Kimi K2.5", "0.0000006", "0.0000025", 262_144),
    Entry("minimax/minimax-m2.7", "MiniMax: MiniMax M2.7", "0.0000003", "0.0000012", 204_800, vision=False),
    Entry("qwen/qwen3.6-plus", "Qwen: Qwen3.6 Plus", "0.000000325", "0.00000195", 1_000_000, 65_536),
    Entry("google/gemma-4-31b-it", "Google: Gemma 4 31B", "0.0000001", "0.0000004", 262_144, 32_768),
    Entry("google/gemma-4-26b-a4b-it", "Google: Gemma 4 26B A4B", "0.00000005", "0.0000004", 262_144, 32_768),
    _free("stepfun/step-3.7-flash:free", "StepFun: Step 3.7 Flash"),
    _free("poolside/laguna-m.1:free", "Poolside: Laguna M.1", 131_072),
    _free("nvidia/nemotron-3-ultra-550b-a55b:free", "NVIDIA: Nemotron 3 Ultra", 1_000_000),
    _free("openrouter/free", "Free Models Router", 200_000),
)
_NEWER = (
    Entry("anthropic/claude-opus-5.5", "Anthropic: Claude Opus 5.5", "0.000005", "0.000025", 1_000_000),
    Entry("anthropic/claude-sonnet-5.5", "Anthropic: Claude Sonnet 5.5", "0.000003", "0.000015", 1_000_000),
    Entry("z-ai/glm-5.3-flash", "Z.AI: GLM 5.3 Flash", "0.0000001", "0.0000004", 1_000_000, 65_536),
    _free("stealth/space-bunny-alpha", "Space Bunny Alpha"),
    _free("poolside/laguna-s-2.1:free", "Poolside: Laguna S 2.1", 131_072),
    _free("dots-studio/dots-3-note-preview:free", "Dots 3 Note Preview", 131_072),
)
_UNLISTED = (
    Entry("anthropic/claude-opus-4.6", "Anthropic: Claude Opus 4.6", "0.000005", "0.000025", 1_000_000),
    _free("google/gemma-4-26b-a4b-it:free", "Google: Gemma 4 26B A4B", 262_144),
)
_BY_ID = {entry.id: entry for entry in _MID_2026 + _NEWER + _UNLISTED}
_CLAUDE: Json = {"ai_sdk_provider": "anthropic", "family": "claude", "prompt": "anthropic"}
_HINTS: dict[str, Json] = {
    "anthropic": _CLAUDE,
    "openai": {"ai_sdk_provider": "openai", "family": "gpt"},
    "x-ai": {"ai_sdk_provider": "openai"},
}
"""The hints of an author's models, which name the interface to choose (docs/gateway.md, "Interfaces")."""

_SCENARIO_PRICE = Entry("sandbox/", "Sandbox scenario", "0.000001", "0.000005")

# Legacy names without an author, and names of an author's newest model (docs/gateway.md, "Requests").
_ALIASES = {
    "gpt-4o": "openai/gpt-5.4",
    "gpt-4o-mini": "openai/gpt-5.4-mini",
    "claude-sonnet-4.5": "anthropic/claude-sonnet-4.6",
    "~anthropic/claude-sonnet-latest": "anthropic/claude-sonnet-4.6",
    "~anthropic/claude-opus-latest": "anthropic/claude-opus-4.7",
    "~openai/gpt-latest": "openai/gpt-5.5",
}

# Tier: name, context, output, prompt price, completion price, image input.
_TIERS: dict[str, tuple[str, int, int, str, str, bool]] = {
    "frontier": ("Auto Frontier", 1_000_000, 128_000, "-1", "-1", True),
    "balanced": ("Auto Balanced", 1_000_000, 65_536, "-1", "-1", True),
    "efficient": ("Auto Efficient", 1_000_000, 65_536, "-1", "-1", True),
    "free": ("Auto Free", 256_000, 32_768, "0", "0", False),
    "small": ("Auto Small", 262_144, 32_768, "0.00000005", "0.0000004", True),
}
_TIERS_OF_E2: dict[str, tuple[str, int, int, str, str, bool]] = {
    **_TIERS,
    "frontier": ("Auto Frontier", 1_000_000, 128_000, "0.000005", "0.000025", True),
    "balanced": ("Auto Balanced", 1_000_000, 65_536, "0.000000325", "0.00000195", True),
    "free": ("Auto Free", 256_000, 10_000, "0", "0", False),
}


def canonical(model: str) -> str | None:
    """Return the catalogue id that serves a requested id, or None; auto models are not in the catalogue."""
    name = model.strip().lower()
    name = _ALIASES.get(name, name)
    return name if name in _BY_ID else None


def price(model: str) -> tuple[float, float]:
    """Return the price of a model in USD per prompt token and per completion token."""
    entry = _BY_ID.get(model, _SCENARIO_PRICE)
    return float(entry.prompt), float(entry.completion)


def models(options: Options, *, signed_in: bool) -> Json:
    """Return the body of `GET /models`, with the auto tiers first."""
    entries = _MID_2026 + _NEWER if options.catalog_ids == "E3" and options.era != "E1" else _MID_2026
    items = [*_auto_items(options), *(_item(entry, options) for entry in entries)]
    if signed_in and options.era != "E1":
        for item in items:
            item["hasUserByokAvailable"] = False
    return {"data": items}


def endpoints(model: str) -> Json | None:
    """Return the body of `GET /models/{provider}/{model}/endpoints`, or None for an unknown model."""
    entry = _BY_ID.get(model)
    if entry is None:
        return None
    offer = {
        "tag": "sandbox",
        "provider_name": "Sandbox",
        "context_length": entry.context,
        "pricing": {"prompt": entry.prompt, "completion": entry.completion},
    }
    return {"data": {"id": entry.id, "name": entry.name, "endpoints": [offer]}}


def providers() -> Json:
    """Return the body of `GET /providers`."""
    policy = {"training": False, "retainsPrompts": False, "canPublish": False}
    free = {"training": True, "retainsPrompts": True, "canPublish": False}
    return {
        "data": [
            {"name": "Sandbox", "displayName": "Sandbox", "slug": "sandbox", "dataPolicy": policy},
            {"name": "NVIDIA", "displayName": "NVIDIA", "slug": "nvidia", "dataPolicy": free},
        ]
    }


def _auto_items(options: Options) -> list[Json]:
    if options.era == "E1":
        auto = _shape("kilo/auto", "Kilo: Auto", 1_000_000, 64_000, "0.0000010", "0.0000010", True)
        return [{**auto, "created": 0, "preferredIndex": -1, "supported_parameters": _AUTO_PARAMETERS}]
    table = table_of(options)
    reachable = {
        "frontier": [table.planning, table.building],
        "balanced": [table.balanced, *table.balanced_elsewhere.values()],
        "efficient": [table.balanced],
        "free": [model for model, _ in table.free_pool],
        "small": [table.small_paid],
    }
    items = []
    rows = _TIERS_OF_E2 if options.era == "E2" else _TIERS
    for index, (tier, row) in enumerate(rows.items()):
        item = _shape(f"kilo-auto/{tier}", *row)
        item["architecture"]["tokenizer"] = "Other"
        item["pricing"] |= dict.fromkeys(("image", "request", "web_search", "internal_reasoning"), "0")
        item |= {
            "created": 0,
            "preferredIndex": index,
            "supported_parameters": _AUTO_PARAMETERS,
            "isFree": tier == "free",
            "mayTrainOnYourPrompts": tier == "free",
            "autoRouting": {"models": sorted(reachable[tier])},
        }
        if tier == "frontier":
            item["opencode"] = _CLAUDE
        items.append(item)
    return items


def _item(entry: Entry, options: Options) -> Json:
    item = _shape(entry.id, entry.name, entry.context, entry.output, entry.prompt, entry.completion, entry.vision)
    item |= {"per_request_limits": None, "expiration_date": None, "supported_parameters": _PARAMETERS}
    if options.era != "E1":
        item |= {"isFree": is_free(entry.id), "mayTrainOnYourPrompts": entry.trains}
    if hints := _HINTS.get(entry.id.partition("/")[0]):
        item["opencode"] = hints
    return item


def _shape(model: str, name: str, context: int, output: int, prompt: str, completion: str, vision: bool) -> Json:
    inputs = ["text", "image"] if vision else ["text"]
    return {
        "id": model,
        "name": name,
        "created": 1_780_000_000,
        "description": f"{name}, as played by the sandbox.",
        "context_length": context,
        "architecture": {
            "modality": f"{'+'.join(inputs)}->text",
            "input_modalities": inputs,
            "output_modalities": ["text"],
            "tokenizer": model.split("/")[0].title(),
        },
        "top_provider": {
            "is_moderated": False,
            "context_length": context,
            "max_completion_tokens": output,
        },
        "pricing": {"prompt": prompt, "completion": completion, "input_cache_read": _tenth(prompt)},
    }


def _tenth(prompt: str) -> str:
    return f"{float(prompt) / 10:.12f}".rstrip("0").rstrip(".") if float(prompt) > 0 else "0"


def unknown_ids() -> list[str]:
    """Return the ids that a routing table contains and the catalogue lacks; a test requires an empty list."""
    routed = {
        model
        for table in TABLES.values()
        for model in (
            table.planning,
            table.building,
            table.balanced,
            table.small_paid,
            table.small_free,
            *(free for free, _ in table.free_pool),
        )
    }
    return sorted(routed - set(_BY_ID))
