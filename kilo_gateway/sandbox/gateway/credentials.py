"""Identify the caller by the gateway's rules. See docs/gateway.md, "Credentials"."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

AccountName = Literal["anonymous", "rich", "poor", "member"]

ORGANIZATION_ID = "3f6c2f0e-8a57-4f0c-9a3b-5d1c7e2b9a40"

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z", re.IGNORECASE)


@dataclass(frozen=True)
class Account:
    """One of the sandbox's accounts; `own_organization` is the organisation that its token contains."""

    name: AccountName
    token: str
    balance: float
    organizations: frozenset[str] = frozenset()
    own_organization: str | None = None


RICH = Account("rich", "sandbox-key", 25.0, frozenset({ORGANIZATION_ID}))
POOR = Account("poor", "sandbox-key-without-balance", 0.0)
MEMBER = Account("member", "sandbox-key-of-a-member", 100.0, frozenset({ORGANIZATION_ID}), ORGANIZATION_ID)
ANONYMOUS = Account("anonymous", "", 0.0)

_BY_TOKEN = {account.token: account for account in (RICH, POOR, MEMBER)}


@dataclass(frozen=True)
class Identity:
    """The caller of a request; `rejected` is True if the request has a token that cannot be verified."""

    account: Account
    organization_id: str | None = None
    rejected: bool = False

    @property
    def anonymous(self) -> bool:
        return self.account is ANONYMOUS


def identify(headers: Mapping[str, str], *, lenient: bool) -> Identity:
    """Return the identity of the caller from the headers of a request.

    As in the gateway, a wrong organisation id makes the caller anonymous and is not an error. A bad token is
    rejected, or makes the caller anonymous if `lenient` is True.
    """
    token = _token(headers)
    if token in ("", "anonymous"):
        return Identity(ANONYMOUS)
    account = _BY_TOKEN.get(token)
    if account is None:
        return Identity(ANONYMOUS, rejected=not lenient)
    organization = account.own_organization or headers.get("x-kilocode-organizationid", "").strip() or None
    if organization and (not _UUID.match(organization) or organization.lower() not in account.organizations):
        return Identity(ANONYMOUS)
    return Identity(account, organization)


def account_of(headers: Mapping[str, str]) -> Account | None:
    """Return the account whose token a request has, whatever its organisation; the cap of an account counts by it."""
    return _BY_TOKEN.get(_token(headers))


def _token(headers: Mapping[str, str]) -> str:
    header = headers.get("authorization", "")
    return header[7:].strip() if header[:7].lower() == "bearer " else ""
