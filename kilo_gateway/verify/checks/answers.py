"""Check answers that are not streamed, and their usage. See docs/gateway.md, "Answers" and "Usage"."""

from __future__ import annotations

from kilo_gateway.verify.answer import dicts
from kilo_gateway.verify.check import Group
from kilo_gateway.verify.findings import Differs, Undecided
from kilo_gateway.verify.gateway import Gateway

GROUP = Group("answers", "Answers")
_FINISH = ("stop", "length", "tool_calls", "content_filter", "error", None)
_DETAILS = ("reasoning.text", "reasoning.summary", "reasoning.encrypted")


@GROUP.add()
def envelope(gateway: Gateway) -> None:
    """The id is `gen-...` beside a `provider` (OpenRouter route), or `gen_...` without one (Vercel route)."""
    body = gateway.chat().served().body
    name, provider = str(body.get("id")), body.get("provider")
    gateway.note(f"id {name[:8]}..., provider {provider}")
    if not (name.startswith("gen-") and provider) and not (name.startswith("gen_") and not provider):
        raise Differs("neither route has this envelope")


@GROUP.add()
def finish_reason(gateway: Gateway) -> None:
    """`finish_reason` is `stop`, `length`, `tool_calls`, `content_filter`, `error` or null."""
    choice = gateway.chat().served().choice
    gateway.note(choice.get("finish_reason"))
    if "finish_reason" not in choice or choice["finish_reason"] not in _FINISH:
        raise Differs(f"finish_reason {choice.get('finish_reason')!r}")


@GROUP.add()
def reasoning(gateway: Gateway) -> None:
    """Reasoning text is in `reasoning`, and `reasoning_details` is a list of text, summary or encrypted entries."""
    message = gateway.chat(reasoning={"enabled": True}, max_tokens=400).served().message
    details = message.get("reasoning_details")
    if not (message.get("reasoning") or message.get("reasoning_content") or details):
        raise Undecided("the model did not reason")
    if not isinstance(message.get("reasoning"), str):
        raise Differs(f"reasoning in {', '.join(name for name in message if 'reason' in name)}")
    kinds = [detail.get("type") for detail in dicts(details)]
    gateway.note(", ".join(map(str, kinds)) or "no details")
    if not set(kinds) <= set(_DETAILS):
        raise Differs("unknown entries of reasoning_details")


@GROUP.add(section="Usage")
def usage(gateway: Gateway) -> None:
    """`usage` has `prompt_tokens`, `completion_tokens` and `total_tokens`."""
    counts = gateway.chat().served().usage
    names = ("prompt_tokens", "completion_tokens", "total_tokens")
    if not all(isinstance(counts.get(name), int) for name in names):
        raise Differs(f"usage has {', '.join(counts) or 'no field'}")


@GROUP.add(section="Usage")
def free_costs_nothing(gateway: Gateway) -> None:
    """The answer of a free model reports no cost, or 0."""
    cost = gateway.chat().served().cost
    gateway.note("no cost" if cost is None else f"cost {cost:g}")
    if cost:
        raise Differs("a free answer has a price")


@GROUP.add(section="Usage", needs="key", usd=0.002)
def cost(gateway: Gateway) -> None:
    """A paid answer has its cost in `usage.cost` or in `provider_metadata.gateway.cost`."""
    answer = gateway.chat(model=gateway.cheapest("openai"), key=True).served()
    if answer.cost is None:
        raise Differs(f"no cost; usage has {', '.join(answer.usage) or 'no field'}")
    gateway.note(f"{answer.cost:g} USD")
