"""Check the tiers and the modes. See docs/gateway.md, "Auto models"."""

from __future__ import annotations

from kilo_gateway.verify.check import Group
from kilo_gateway.verify.findings import ALL, SINCE_E2, UNTIL_E2, Differs, Era, Undecided
from kilo_gateway.verify.gateway import Gateway

GROUP = Group("auto", "Auto models", eras=SINCE_E2)
_RETIRED = "z-ai/glm-5:free"
_SWITCHED_OFF = "google/gemma-4-26b-a4b-it:free"


@GROUP.add()
def free(gateway: Gateway) -> None:
    """`kilo-auto/free` answers, and the answer names the model that served."""
    _concrete(gateway, gateway.chat(model=gateway.tier("free")).served().model)


def _concrete(gateway: Gateway, model: str) -> None:
    gateway.note(model)
    if model.startswith(("kilo-auto/", "kilo/")):
        raise Differs(f"`model` in the answer is the alias {model}")


@GROUP.add()
def id_is_normalised(gateway: Gateway) -> None:
    """An auto id is trimmed and lower-cased."""
    answer = gateway.chat(model=f" {gateway.tier('free').upper()} ")
    if answer.status in (401, 404):
        raise Differs(f"{answer}: the id was not recognised")
    gateway.note(answer.served().model)


@GROUP.add()
def affinity(gateway: Gateway) -> None:
    """One task id gets one model of `kilo-auto/free`."""
    tier, headers = gateway.tier("free"), {"x-kilocode-taskid": "verify-affinity"}
    models = [gateway.chat(model=tier, headers=headers, again=True).served().model for _ in range(2)]
    gateway.note(" then ".join(models))
    if len(set(models)) > 1:
        raise Differs("two models served one task id")


@GROUP.add()
def reasoning_replaced(gateway: Gateway) -> None:
    """`kilo-auto/free` discards the caller's reasoning settings, such as `exclude`, without an error."""
    answer = gateway.chat(model=gateway.tier("free"), reasoning={"exclude": True}, max_tokens=400).served()
    details = answer.usage.get("completion_tokens_details")
    tokens = details.get("reasoning_tokens") if isinstance(details, dict) else 0
    if answer.message.get("reasoning") or answer.message.get("reasoning_details"):
        return
    if tokens:
        raise Differs(f"{tokens} reasoning tokens and no reasoning text: `exclude` was obeyed")
    raise Undecided(f"{answer.model} did not reason")


def _frontier(gateway: Gateway, mode: str | None) -> str:
    headers = {"x-kilocode-mode": mode} if mode else {}
    served = gateway.chat(model=gateway.tier("frontier"), key=True, headers=headers).served().model
    gateway.note(f"{mode or 'no mode'}: {served}")
    return served


@GROUP.add(eras=ALL, needs="key", usd=0.01)
def modes(gateway: Gateway) -> None:
    """On frontier, mode `plan` is served by another model than mode `code`."""
    if _frontier(gateway, "plan") == _frontier(gateway, "code"):
        raise Differs("one model serves both modes")


@GROUP.add(eras=ALL, needs="key", usd=0.007)
def no_mode(gateway: Gateway) -> None:
    """On frontier, a request without a mode is served as mode `code`."""
    if _frontier(gateway, None) != _frontier(gateway, "code"):
        raise Differs("another model serves without a mode")


@GROUP.add(eras=ALL, needs="key", usd=0.013)
def mode_case(gateway: Gateway) -> Era:
    """Mode `Plan` is unknown in E3 and so is served as `code`; E1 lower-cases it."""
    plan, code, capital = (_frontier(gateway, mode) for mode in ("plan", "code", "Plan"))
    if plan == code or capital not in (plan, code):
        raise Differs("`Plan` is served neither as `plan` nor as `code`")
    return UNTIL_E2 if capital == plan else SINCE_E2


@GROUP.add(needs="key", usd=0.01)
def balanced(gateway: Gateway) -> None:
    """`kilo-auto/balanced` answers on each interface, by one model (E3) or by one for each (mid-2026)."""
    tier = gateway.tier("balanced")
    for ask in (gateway.chat, gateway.responses, gateway.messages):
        _concrete(gateway, ask(model=tier, key=True).served().model)


@GROUP.add(eras=ALL, needs="key", usd=0.003)
def legacy_id(gateway: Gateway) -> Era:
    """`kilo/auto` is unknown in E3; E2 serves it as balanced, E1 by mode."""
    answer = gateway.chat(model="kilo/auto", key=True)
    if answer.status == 404:
        return answer.refused(404, "model_not_found") & Era.E3
    gateway.note(answer.served().model)
    return Era.E1 if "kilo/auto" in gateway.ids else Era.E2


@GROUP.add(eras=ALL)
def organisation_tier(gateway: Gateway) -> Era:
    """`kilo-auto/org` without an organisation is 400 `organization_auto_configuration` in E3, and unknown before."""
    answer = gateway.chat(model="kilo-auto/org")
    if answer.status == 401:
        return answer.refused(401, "paid_model_auth_required") & UNTIL_E2
    return answer.refused(400, "organization_auto_configuration") & Era.E3


@GROUP.add(eras=ALL)
def switched_off(gateway: Gateway) -> Era:
    """E3 refuses `google/gemma-4-26b-a4b-it:free` in a direct request: 404 `unavailable_model`."""
    answer = gateway.chat(model=_SWITCHED_OFF)
    if answer.status == 404:
        return answer.refused(404, "unavailable_model") & Era.E3
    gateway.note(answer.served().model)
    return UNTIL_E2


@GROUP.add(eras=ALL)
def retired(gateway: Gateway) -> Era:
    """E2 refuses retired free ids, such as `z-ai/glm-5:free`, as 404 `discontinued_free_model`."""
    answer = gateway.chat(model=_RETIRED)
    if answer.error_type == "discontinued_free_model":
        return answer.refused(404, "discontinued_free_model") & Era.E2
    return answer.refused(404, "model_not_found") & (Era.E1 | Era.E3)
