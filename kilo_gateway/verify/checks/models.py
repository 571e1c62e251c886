"""Check the list of models. See docs/gateway.md, "Models" and "Auto models"."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from kilo_gateway.verify.answer import Json, dicts
from kilo_gateway.verify.check import Group
from kilo_gateway.verify.findings import SINCE_E2, Differs, Era, Undecided
from kilo_gateway.verify.gateway import Gateway

GROUP = Group("models", "Models")


def _tiers(gateway: Gateway) -> list[Json]:
    return [item for item in gateway.listed() if str(item["id"]).startswith(("kilo-auto/", "kilo/auto"))]


def _tier(gateway: Gateway, name: str) -> Json:
    tier = gateway.tier(name)
    return next(item for item in gateway.listed() if item["id"] == tier)


def _all(items: list[Json], ok: list[bool], fault: str) -> None:
    wrong = [str(item["id"]) for item, good in zip(items, ok, strict=True) if not good]
    if wrong:
        raise Differs(f"{fault}: {', '.join(wrong[:3])} and {len(wrong[3:])} more")


@GROUP.add()
def envelope(gateway: Gateway) -> None:
    """The body is `{"data": [...]}`, without `object` and without paging."""
    answer = gateway.get("/models")
    gateway.note(f"{len(gateway.listed())} models")
    if answer.status != 200 or set(answer.body) != {"data"}:
        raise Differs(f"{answer.status} with {', '.join(answer.body)}")


@GROUP.add()
def fields(gateway: Gateway) -> None:
    """Each entry has a name, a context length, and lists of its input and output modalities."""
    items = gateway.listed()
    _all(items, [_has_fields(item) for item in items], "entries without these fields")


def _has_fields(item: Json) -> bool:
    architecture = item.get("architecture")
    lists = ("input_modalities", "output_modalities")
    if not isinstance(architecture, dict) or not all(isinstance(architecture.get(name), list) for name in lists):
        return False
    return bool(item.get("name")) and isinstance(item.get("context_length"), int)


@GROUP.add()
def prices(gateway: Gateway) -> None:
    """Prices are texts: USD per token."""
    items = gateway.listed()
    _all(items, [_is_price(item.get("pricing")) for item in items], "entries with other prices")


def _is_price(pricing: object) -> bool:
    try:
        texts = [pricing.get(name) for name in ("prompt", "completion")] if isinstance(pricing, dict) else [None]
        return all(isinstance(text, str) and Decimal(text) < 1 for text in texts)
    except InvalidOperation:
        return False


@GROUP.add()
def no_owner(gateway: Gateway) -> None:
    """No entry has `owned_by`, and auto models have `created` 0."""
    items = gateway.listed()
    auto = _tiers(gateway)
    _all(items, [item not in auto or item.get("created") == 0 for item in items], "auto models with a date")
    _all(items, ["owned_by" not in item for item in items], "entries with owned_by")


@GROUP.add(section="Auto models")
def tiers(gateway: Gateway) -> Era:
    """The list has the tiers `kilo-auto/...` since E2, and only `kilo/auto` in E1."""
    names = sorted(str(item["id"]) for item in _tiers(gateway))
    gateway.note(", ".join(names))
    if names == ["kilo/auto"]:
        return Era.E1
    if not {"kilo-auto/frontier", "kilo-auto/balanced", "kilo-auto/small"} <= set(names):
        raise Differs("tiers are missing")
    return SINCE_E2


@GROUP.add(section="Auto models")
def tier_prices(gateway: Gateway) -> Era:
    """The price of frontier is "-1", not known in advance, in E3, and a number before."""
    pricing = _tier(gateway, "frontier").get("pricing") or {}
    pair = (pricing.get("prompt"), pricing.get("completion"))
    gateway.note(" / ".join(map(str, pair)))
    if pair == ("-1", "-1"):
        return Era.E3
    if pair == ("0.000005", "0.000025"):
        return Era.E2
    if pair == ("0.0000010", "0.0000010"):
        return Era.E1
    raise Differs("another price")


@GROUP.add()
def tier_parameters(gateway: Gateway) -> None:
    """Auto tiers list neither `tool_choice` nor `response_format`."""
    items = _tiers(gateway)
    parameters = [set(item.get("supported_parameters") or ()) for item in items]
    _all(items, [not names & {"tool_choice", "response_format"} for names in parameters], "tiers that list them")


@GROUP.add()
def flags(gateway: Gateway) -> Era:
    """`isFree` and `mayTrainOnYourPrompts` are booleans since E2 (missing: unknown); no entry has them in E1."""
    items = gateway.listed()
    names = ("isFree", "mayTrainOnYourPrompts")
    found = {name for name in names for item in items if name in item}
    if not found:
        return Era.E1
    _all(items, [all(isinstance(item.get(name, False), bool) for name in names) for item in items], "other values")
    if len(found) < len(names):
        raise Differs(f"the list has only {', '.join(found)}")
    return SINCE_E2


@GROUP.add(eras=SINCE_E2)
def auto_routing(gateway: Gateway) -> None:
    """`autoRouting.models` of a tier is a list of ids of the list of models."""
    route = _tier(gateway, "balanced").get("autoRouting")
    if not isinstance(route, dict):
        raise Undecided("balanced has no autoRouting, which is optional")
    reached = route.get("models")
    gateway.note(reached)
    if not isinstance(reached, list) or not set(map(str, reached)) <= gateway.ids:
        raise Differs("autoRouting has ids that the list of models lacks")


@GROUP.add(section="Interfaces")
def hints(gateway: Gateway) -> None:
    """`opencode.ai_sdk_provider` is `openai` for models of OpenAI (not gpt-oss), and `anthropic` for Claude."""
    vendors = ("openai", "anthropic")
    items = [i for i in gateway.listed() if str(i["id"]).startswith(("openai/gpt-5", "anthropic/claude"))]
    if not items:
        raise Undecided("the list of models has no model of either vendor")
    named = [next(dicts([item.get("opencode")]), {}).get("ai_sdk_provider") for item in items]
    right = [name in vendors and str(item["id"]).startswith(str(name)) for item, name in zip(items, named, strict=True)]
    _all(items, right, "entries with another hint")


@GROUP.add(eras=SINCE_E2, needs="key")
def byok_flag(gateway: Gateway) -> None:
    """`hasUserByokAvailable` is in the list of a signed-in caller only."""
    signed_in, anonymous = gateway.listed(key=True), gateway.listed()
    if "isFree" not in anonymous[0]:
        raise Undecided("this list has no flags, as in E1", expected=True)
    if any("hasUserByokAvailable" in item for item in anonymous):
        raise Differs("the flag is in the anonymous list")
    if not any("hasUserByokAvailable" in item for item in signed_in):
        raise Differs("the flag is not in the list of a signed-in caller")
