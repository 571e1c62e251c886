"""Test `kilo_gateway.verify` with a sandbox of each era, and with one that lies about each fact."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kilo_gateway.sandbox.server import Sandbox
from kilo_gateway.verify import Era, Report, Result, list_checks, verify
from kilo_gateway.verify.report import STATUSES
from tests.support.in_process import Exchange, InProcess
from tests.support.lies import ALSO, LIES, Asked, LyingSandbox, at, says, swaps

CHECKS = {check.id: check for check in list_checks()}
SECRETS = (Sandbox.api_key, Sandbox.organization_id)
SECTIONS = Path(__file__).parents[3] / "docs/gateway.md"


def examine(gateway: InProcess, **options: Any) -> Report:
    account = {"api_key": gateway.api_key, "organization_id": gateway.organization_id, **options}
    return verify(base_url=gateway.base_url, http_client=gateway.client, **account)


@pytest.mark.parametrize("era", list(Era), ids=str)
def test_each_fact_holds_in_its_eras(era: Era) -> None:
    report = examine(InProcess(era=str(era)))  # type: ignore[arg-type] # the names are those of the sandbox's eras
    assert report.eras == era
    assert report.ok
    assert 0 < report.spent_usd < 0.05
    for result in report.results:
        if era in result.check.eras:
            assert (result.status, era in result.eras) == ("held", True), result
        else:
            assert (result.status, result.expected) == ("undecided", True), result


@pytest.mark.parametrize("options", [{"upstream": "vercel", "catalog_ids": "E3"}, {"done": False, "keepalive": ""}])
def test_other_routes_and_models_are_no_difference(options: dict[str, Any]) -> None:
    report = examine(InProcess(**options))
    assert report.ok
    assert report.eras == Era.E3


def test_a_server_between_two_eras_is_named() -> None:
    report = examine(InProcess(lenient_tokens=True))
    assert report.ok
    assert "between E2 and E3; like E2: credentials.bad-token, credentials.public-token" in report.behaviour


@pytest.mark.parametrize("price", ['"cost":"NaN"', '"cost":-1', '"cost":"free"'])
def test_a_price_that_is_not_one_does_not_count(price: str) -> None:
    report = examine(LyingSandbox(at(swaps('"cost":[^,]+', price))), only=["answers.cost"])
    assert report.count("differs") == 1
    assert 0.0002 < report.spent_usd < 0.05


def test_each_check_has_a_lie() -> None:
    assert LIES.keys() == CHECKS.keys()


@pytest.mark.parametrize("name", LIES)
def test_a_lie_is_found(name: str) -> None:
    report = examine(LyingSandbox(LIES[name]), only=[CHECKS[name].group], limit_usd=1)
    found = {result.check.id: result.found for result in report.results if result.status == "differs"}
    assert found.keys() == {name} | ALSO.get(name, set())
    assert found[name]
    assert not report.ok


def test_each_check_names_a_section() -> None:
    headings = {line.strip("# \n") for line in SECTIONS.read_text(encoding="utf-8").splitlines() if line[:1] == "#"}
    assert {check.section for check in CHECKS.values()} <= headings


# Accounts and limits.


def test_a_free_run_sends_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = InProcess()
    monkeypatch.setenv("KILO_API_KEY", gateway.api_key)
    monkeypatch.setenv("KILO_ORG_ID", gateway.organization_id)
    report = examine(gateway, free=True)
    assert report.ok
    assert report.spent_usd == 0
    assert {record.account for record in gateway.requests} == {"anonymous"}
    assert not any(secret in str(record.headers) for record in gateway.requests for secret in SECRETS)
    left_out = [result for result in report.results if result.status != "held"]
    assert [result.check for result in left_out] == [c for c in CHECKS.values() if c.needs != "nothing"]
    assert "needs a key, which a free run does not send" in {result.found for result in left_out}


def test_nothing_is_sent_that_does_not_fit_the_limit() -> None:
    gateway = InProcess()
    report = examine(gateway, limit_usd=0.0005)
    assert report.ok
    assert report.spent_usd <= 0.0005
    left_out = [result for result in report.results if result.status != "held"]
    assert left_out
    assert all("and this request may cost 0.0" in result.found for result in left_out)


@pytest.mark.parametrize("name", [check.id for check in CHECKS.values() if check.usd])
def test_a_check_fits_into_the_cost_that_it_declares(name: str) -> None:
    [result] = examine(InProcess(), only=[name], limit_usd=CHECKS[name].usd).results
    assert result.status == "held", result.found


def test_a_price_that_is_not_reported_counts_as_the_most_that_it_can_be() -> None:
    [result] = examine(LyingSandbox(LIES["answers.cost"]), only=["answers.cost"]).results
    assert 0.0002 < result.usd < CHECKS["answers.cost"].usd


def test_an_account_without_balance_decides_what_it_can() -> None:
    gateway = InProcess()
    report = examine(gateway, api_key=gateway.poor_api_key, organization_id="")
    assert report.count("differs") == 0
    results = {result.check.id: result for result in report.results}
    assert results["credentials.good-key"].status == "held"
    assert results["answers.cost"].found.startswith("no answer: 402 usage_limit_exceeded")
    assert not report.ok  # only a choice of the caller is expected


def test_an_organisation_in_the_key_leaves_the_header_undecided() -> None:
    gateway = InProcess()
    name = "credentials.wrong-organisation"
    [result] = examine(gateway, api_key=gateway.member_api_key, organization_id="", only=[name]).results
    assert (result.status, result.expected) == ("undecided", False)


# Failures.


def test_a_rate_limit_decides_nothing() -> None:
    busy = says(429, {"error": "Rate limit exceeded", "error_type": "rate_limit_exceeded", "message": "Later."})
    report = examine(LyingSandbox(at(busy)))
    assert report.count("differs") == 0
    assert report.eras in Era.E2 | Era.E3  # the lists still show it
    assert "no answer: 429 rate_limit_exceeded: Later." in {result.found for result in report.results}


def test_an_error_of_a_check_is_a_result() -> None:
    def broken(asked: Asked, said: Exchange) -> Exchange:
        if asked.method == "POST":
            raise RuntimeError(f"broken {asked.headers.get('authorization', '')}")
        return said

    report = examine(LyingSandbox(broken), only=["credentials"])
    [listed] = [result for result in report.results if result.status == "held"]
    assert listed.check.id == "credentials.list-ignores-token"
    assert {result.status for result in report.results if result is not listed} == {"undecided"}
    assert "RuntimeError: broken Bearer HIDDEN" in {result.found for result in report.results}
    assert not report.ok


@pytest.mark.parametrize(
    "content", [b"", b"<html>", b"[]", b"null", b'"text"', b'{"data": 7, "error": [1]}', b"[" * 9999]
)
def test_any_answer_is_a_result(content: bytes) -> None:
    odd: Any = lambda asked, said: Exchange(200, [], [content], complete=True)  # noqa: E731 -- one expression
    report = examine(LyingSandbox(odd))
    assert {result.status for result in report.results} <= {"differs", "undecided"}


def test_no_secret_is_shown() -> None:
    def echoing(asked: Asked, said: Exchange) -> Exchange:
        named = str(sorted(asked.headers.items()))
        text = f"\x1b[2J\n{asked.headers.get('authorization')} {named} {named.upper()}"
        return replace(says(418, {"error": text, "message": text})(asked, said), headers=[])

    gateway = LyingSandbox(echoing)
    report = examine(gateway)
    shown = f"{report} {json.dumps(report.as_json())} {report.results!r}".lower()
    assert "hidden" in shown
    assert not any(secret in shown for secret in SECRETS)
    assert "\x1b" not in shown
    assert max(len(result.found) for result in report.results) < 500


def test_unknown_names_are_errors() -> None:
    with pytest.raises(ValueError, match="there is no check or group 'stream'; did you mean 'streams'"):
        list_checks(["stream"])
    assert {check.group for check in list_checks(["streams", "auto.free"])} == {"streams", "auto"}
    with pytest.raises(ValueError, match="limit_usd=0"):
        verify(limit_usd=0)


# The report.


def _report(**eras: Era) -> Report:
    results = [Result(CHECKS[name.replace("_", ".")], "held", "", found) for name, found in eras.items()]
    return Report("https://gateway.example", "1.0", "now", results)


def test_the_era() -> None:
    assert _report(endpoints_get=Era.E1 | Era.E2 | Era.E3).behaviour.startswith("No result shows which era")
    later = Era.E2 | Era.E3
    assert "behaves like E2 or E3: results that depend on the era: 1;" in _report(endpoints_v1=later).behaviour
    newest = _report(endpoints_v1=later, auto_retired=Era.E3)
    assert newest.behaviour.endswith(
        "like E3: results that depend on the era: 2; those that fit no other: auto.retired."
    )
    between = _report(endpoints_v1=later, auto_retired=Era.E2, auto_free=Era.E3)
    assert between.eras == later
    assert between.behaviour == "The server is between E2 and E3; like E2: auto.retired; like E3: auto.free."


def test_the_report_is_markdown_and_json() -> None:
    report = examine(LyingSandbox(LIES["streams.keep-alive"]), only=["streams", "answers.cost"], api_key="")
    lines = str(report).splitlines()
    assert lines[0] == f"# The gateway at {report.base_url}"
    assert [line for line in lines if line.startswith("## ")] == ["## Differs", "## Undecided", "## Held"]
    assert sum(line.startswith("| `") for line in lines) == len(report.results)
    values = json.loads(json.dumps(report.as_json()))
    assert values["counts"] == {status: report.count(status) for status in STATUSES}
    assert [row["check"] for row in values["results"]] == [result.check.id for result in report.results]
