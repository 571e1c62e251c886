"""Check the shapes of errors that cost nothing. See docs/gateway.md, "Errors"."""

from __future__ import annotations

from kilo_gateway.verify.check import Group
from kilo_gateway.verify.findings import SINCE_E2, Differs, Era, Undecided
from kilo_gateway.verify.gateway import HELLO, NO_SUCH_MODEL, Gateway

GROUP = Group("errors", "Errors")


@GROUP.add(needs="key")
def model_not_found(gateway: Gateway) -> Era:
    """The error of an unknown id names the id."""
    answer = gateway.unknown(key=True)
    if answer.status == 402:
        raise Undecided(f"{answer}: the account has no balance")
    eras = answer.refused(404, "model_not_found")
    if NO_SUCH_MODEL not in str(answer.body.get("message")):
        raise Differs(f"{answer}, without the id")
    return eras


@GROUP.add()
def upstream(gateway: Gateway) -> None:
    """An error of upstream is passed on with its status and a number as its code (S4)."""
    answer = gateway.chat(temperature="hot")
    if answer.status == 200:
        raise Undecided("the provider accepted a temperature that is a text")
    if answer.unhindered().status != 400 or not isinstance(answer.code, int):
        raise Differs(f"{answer} instead of 400 with a number as its code")


@GROUP.add(section="Interfaces", eras=SINCE_E2)
def upstream_messages(gateway: Gateway) -> None:
    """On Messages, an error of upstream has Anthropic's shape (S5)."""
    answer = gateway.messages(messages=[{"role": "robot", "content": HELLO}])
    if answer.status == 200:
        raise Undecided("the provider accepted an unknown role")
    if answer.unhindered().status != 400 or answer.body.get("type") != "error":
        raise Differs(f"{answer} instead of 400 with type error")
