"""Run the checks, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from kilo_gateway import routing
from kilo_gateway._version import __version__
from kilo_gateway.budget import KiloBudget
from kilo_gateway.errors import KiloConnectionError, KiloError
from kilo_gateway.models.listing import list_models
from kilo_gateway.settings.chat import GatewaySettings
from kilo_gateway.verify.check import Check
from kilo_gateway.verify.checks import CHECKS
from kilo_gateway.verify.findings import Differs, Undecided
from kilo_gateway.verify.gateway import Gateway
from kilo_gateway.verify.report import Report, Result

LIMIT_USD: Final = 0.05
"""The default limit on the cost of a run."""

Progress = Callable[[Check, Result | None], None]


def list_checks(only: Sequence[str] = ()) -> list[Check]:
    """Return the checks, all or those whose id or group is in `only`. Raises ValueError for an unknown name."""
    names = sorted({*(check.id for check in CHECKS), *(check.group for check in CHECKS)})
    for name in only:
        if name not in names:
            hint = routing.did_you_mean(name, names, "kilo-gateway verify --list shows all checks")
            raise ValueError(f"there is no check or group {name!r}; {hint}")
    return [check for check in CHECKS if not only or {check.id, check.group} & set(only)]


def verify(
    *,
    base_url: str | None = None,
    api_key: str | None = None,
    organization_id: str | None = None,
    free: bool = False,
    limit_usd: float = LIMIT_USD,
    only: Sequence[str] = (),
    progress: Progress | None = None,
    http_client: Any = None,
) -> Report:
    """Run the checks and return a report.

    Account and address mean the same as for `ChatKilo`, and default to the same environment variables. `free=True`
    sends no key, so that nothing is spent. Otherwise the requests cost at most `limit_usd` together, by the prices of
    the list of models; checks that do not fit are undecided. `only` has ids or groups of checks. `progress` is called
    before each check with None, and after it with its result.

    Raises KiloConnectionError if the gateway cannot be reached, and ValueError for arguments that cannot work.
    """
    chosen = list_checks(only)
    settings = GatewaySettings(
        base_url=base_url,
        api_key="" if free else api_key,
        organization_id="" if free else organization_id,
        http_client=http_client,
    )
    gateway = Gateway(settings, KiloBudget(limit_usd))
    _fetch_prices(settings)
    started = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    results = []
    try:
        for check in chosen:
            if progress:
                progress(check, None)
            results.append(_examined(gateway, check, free=free))
            if progress:
                progress(check, results[-1])
    finally:
        gateway.close()
    return Report(settings.base_url, __version__, started, results, gateway.budget.spent_usd)


def _fetch_prices(settings: GatewaySettings) -> None:
    """Fetch the list of models, whose prices limit the cost. Raises KiloConnectionError if nothing answers."""
    own = settings.http_client
    try:
        list_models(
            refresh=True,
            max_retries=0,
            base_url=settings.base_url,
            api_key="",
            organization_id="",
            http_client=own.value if own else None,
        )
    except KiloConnectionError:
        raise
    except KiloError:
        return  # the checks of the list show what is wrong with it, and each check's own limit counts


def _examined(gateway: Gateway, check: Check, *, free: bool) -> Result:
    """Return the result of a check; whatever it raises becomes a result."""
    gateway.begin(check.eras, check.usd)
    if missing := _missing(gateway, check, free=free):
        return Result(check, "undecided", missing, expected=True)
    try:
        eras = check.test(gateway)
    except Differs as finding:
        return _result(check, gateway, "differs", finding)
    except Undecided as finding:
        return _result(check, gateway, "undecided", finding, expected=finding.expected)
    except Exception as error:
        return _result(check, gateway, "undecided", f"{type(error).__name__}: {error}")
    eras = check.eras if eras is None else eras
    if not eras:
        return _result(check, gateway, "differs", "parts of the behaviour belong to different eras")
    answer = "" if gateway.notes or gateway.last is None else gateway.last.brief
    return _result(check, gateway, "held", answer, eras=eras)


def _missing(gateway: Gateway, check: Check, *, free: bool) -> str:
    """Return why a check is left out."""
    if check.needs != "nothing" and not gateway.key:
        return "needs a key, which a free run does not send" if free else "needs a key: set KILO_API_KEY"
    if check.needs == "organisation" and not gateway.organization:
        return "needs an organisation: set KILO_ORG_ID"
    return ""


def _result(check: Check, gateway: Gateway, status: Any, finding: object, **more: Any) -> Result:
    texts = [*gateway.notes, *([str(finding)] if str(finding) else [])]
    return Result(check, status, gateway.shown("; ".join(texts)), usd=gateway.usd, **more)
