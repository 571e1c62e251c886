"""Check who counts as signed in. See docs/gateway.md, "Credentials".

A request for a model that does not exist shows how the gateway sees the caller, and costs nothing.
"""

from __future__ import annotations

import uuid

from kilo_gateway.verify.answer import Answer, dicts
from kilo_gateway.verify.check import Group
from kilo_gateway.verify.findings import SINCE_E2, UNTIL_E2, Differs, Era, Undecided
from kilo_gateway.verify.gateway import Gateway

GROUP = Group("credentials", "Credentials")
_BAD = "Bearer verify-no-such-token"


def _anonymous(answer: Answer) -> Era:
    return answer.refused(401, "paid_model_auth_required", "PAID_MODEL_AUTH_REQUIRED")


def _rejected(answer: Answer) -> Era:
    """Return the eras for a token that cannot be verified: E3 rejects it, the others ignore it."""
    if answer.code != "INVALID_TOKEN":
        return _anonymous(answer) & UNTIL_E2
    answer.refused(401, "authentication_required")
    if "invalid_token" not in answer.headers.get("www-authenticate", ""):
        raise Differs("401 INVALID_TOKEN without a header WWW-Authenticate that names it")
    return Era.E3


def _accepted(answer: Answer) -> Era:
    """Return the eras for an account that counts: the gateway looks the model up after key and balance."""
    if answer.status == 402:
        return answer.refused(402, "usage_limit_exceeded")
    return answer.refused(404, "model_not_found")


@GROUP.add()
def no_header(gateway: Gateway) -> None:
    """Without an `Authorization` header, a free model answers."""
    gateway.chat().served()


@GROUP.add()
def empty_header(gateway: Gateway) -> Era:
    """An empty `Authorization` header counts as no credential."""
    return _anonymous(gateway.unknown(headers={"Authorization": ""}))


@GROUP.add()
def anonymous_token(gateway: Gateway) -> Era:
    """The token `anonymous` counts as no credential."""
    return _anonymous(gateway.unknown(headers={"Authorization": "Bearer anonymous"}))


@GROUP.add()
def other_scheme(gateway: Gateway) -> Era:
    """An `Authorization` header of another scheme counts as no credential."""
    return _anonymous(gateway.unknown(headers={"Authorization": "Basic dmVyaWZ5OnZlcmlmeQ=="}))


@GROUP.add()
def paid_model(gateway: Gateway) -> Era:
    """Without a credential, a paid or unknown model is 401 `PAID_MODEL_AUTH_REQUIRED`."""
    return _anonymous(gateway.unknown())


@GROUP.add()
def bad_token(gateway: Gateway) -> Era:
    """A token that cannot be verified is 401 `INVALID_TOKEN` in E3; before, the caller is anonymous."""
    return _rejected(gateway.unknown(headers={"Authorization": _BAD}))


@GROUP.add()
def public_token(gateway: Gateway) -> Era:
    """The token `public` is a bad token, and not a word for "no account"."""
    return _rejected(gateway.unknown(headers={"Authorization": "Bearer public"}))


@GROUP.add()
def bad_token_on_free(gateway: Gateway) -> Era:
    """A bad token on a free model is 401 `INVALID_TOKEN` in E3; before, the model answers."""
    answer = gateway.chat(headers={"Authorization": _BAD})
    if answer.code == "INVALID_TOKEN":
        return _rejected(answer)
    answer.served()
    return UNTIL_E2


@GROUP.add()
def list_ignores_token(gateway: Gateway) -> None:
    """`GET /models` ignores a bad token and returns 200."""
    answer = gateway.get("/models", headers={"Authorization": _BAD})
    if answer.status != 200 or not list(dicts(answer.body.get("data"))):
        raise Differs(f"{answer} instead of the list")


@GROUP.add(eras=SINCE_E2)
def small(gateway: Gateway) -> None:
    """`kilo-auto/small` needs no account."""
    gateway.note(gateway.chat(model=gateway.tier("small")).served().model)


@GROUP.add(needs="key")
def good_key(gateway: Gateway) -> Era:
    """With a good key, an unknown model is 404, or 402 if the account has no balance."""
    return _accepted(gateway.unknown(headers={"Authorization": f"Bearer {gateway.key}"}))


@GROUP.add(needs="key")
def x_api_key(gateway: Gateway) -> Era:
    """A key in `x-api-key` is not read."""
    return _anonymous(gateway.unknown(headers={"x-api-key": gateway.key or ""}))


@GROUP.add(needs="key")
def wrong_organisation(gateway: Gateway) -> Era:
    """An organisation id that is not the user's, or not a UUID, makes the caller anonymous: 401, not 400 or 403."""
    return _without_account(gateway, str(uuid.UUID(int=7))) & _without_account(gateway, "not-a-uuid")


def _without_account(gateway: Gateway, organization: str) -> Era:
    headers = {"Authorization": f"Bearer {gateway.key}", "X-KiloCode-OrganizationId": organization}
    answer = gateway.unknown(headers=headers)
    if answer.status in (402, 404):
        raise Undecided(f"{answer}: the key may contain an organisation, which counts before the header")
    return _anonymous(answer)


@GROUP.add(needs="organisation")
def organisation(gateway: Gateway) -> Era:
    """With an organisation of the user, the account counts."""
    return _accepted(gateway.unknown(key=True))
