"""Count requests as the gateway does. See docs/gateway.md, "Rate limits"."""

from typing import Any

import pytest

from kilo_gateway.sandbox import RateLimits, Sandbox
from kilo_gateway.sandbox.__main__ import _parser
from tests.support.in_process import InProcess
from tests.support.plain_client import CHAT, Response, chat, post

RATE_LIMITED, FREE, PAID = "kilo-auto/small", "openrouter/free", "openai/gpt-5.4"


class Clock:
    """A clock that stands still until a test moves it."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def limited(clock: Clock, **limits: Any) -> InProcess:
    return InProcess(rate_limits=RateLimits(clock=clock, **limits))


def ask(gateway: Sandbox, model: str, key: str | None = None, ip: str = "10.0.0.1", **fields: Any) -> Response:
    return chat(gateway, model, key=key, headers={"x-forwarded-for": ip}, **fields)


def test_a_sandbox_counts_nothing_by_default(gw: InProcess) -> None:
    assert {ask(gw, RATE_LIMITED).status for _ in range(201)} == {200}


def test_rate_limited_free_models_count_by_address_with_and_without_an_account(clock: Clock) -> None:
    gateway = limited(clock, free_models=(3, 3600))
    keys = [None, gateway.poor_api_key, None]
    assert [ask(gateway, RATE_LIMITED, key).status for key in keys] == [200, 200, 200]
    for key in (None, gateway.poor_api_key):
        answer = ask(gateway, RATE_LIMITED, key)
        assert (answer.status, answer.json["error_type"]) == (429, "rate_limit_exceeded")
        assert answer.json["message"] == "Model usage limit reached. Please try again later."
        assert "retry-after" not in answer.headers
    assert ask(gateway, RATE_LIMITED, ip="10.0.0.2").status == 200
    assert ask(gateway, FREE).status == 200  # E3 counts only one model
    assert ask(gateway, PAID, gateway.api_key).status == 200


def test_the_documented_numbers_are_the_defaults(clock: Clock) -> None:
    gateway = limited(clock)
    assert {ask(gateway, RATE_LIMITED).status for _ in range(200)} == {200}
    assert ask(gateway, RATE_LIMITED).status == 429
    assert RateLimits().anonymous == (10_000, 86_400)
    assert (RateLimits().account, RateLimits().throttle) == (None, None)  # the sources have no numbers


def test_the_oldest_servers_count_all_free_models(clock: Clock) -> None:
    gateway = InProcess(era="E1", rate_limits=RateLimits(free_models=(1, 3600), clock=clock))
    assert [ask(gateway, FREE).status for _ in range(2)] == [200, 429]


def test_the_window_moves_with_the_time_and_refused_requests_do_not_count(clock: Clock) -> None:
    gateway = limited(clock, free_models=(2, 3600))
    statuses = []
    for minute in (0, 30, 31, 59, 60, 61, 89, 90):
        clock.now = minute * 60.0
        statuses.append(ask(gateway, RATE_LIMITED).status)
    assert statuses == [200, 200, 429, 429, 200, 429, 429, 200]


def test_failures_count_too(clock: Clock) -> None:
    gateway = limited(clock, free_models=(1, 3600))
    assert ask(gateway, RATE_LIMITED, key="wrong").status == 401
    assert ask(gateway, RATE_LIMITED).status == 429


def test_the_daily_limit_counts_anonymous_requests_of_an_address(clock: Clock) -> None:
    gateway = limited(clock, anonymous=(2, 86_400))
    assert [ask(gateway, FREE, key).status for key in (None, "anonymous")] == [200, 200]
    answer = ask(gateway, FREE)
    assert (answer.status, answer.json["error_type"]) == (401, "promotion_limit_reached")
    assert answer.json["error"]["code"] == "PROMOTION_MODEL_LIMIT_REACHED"
    assert ask(gateway, PAID).json["error_type"] == "paid_model_auth_required"  # the gateway checks it before the limit
    assert ask(gateway, FREE, gateway.api_key).status == 200
    assert ask(gateway, FREE, ip="10.0.0.2").status == 200


def test_the_cap_of_an_account_counts_before_the_body_is_parsed(clock: Clock) -> None:
    gateway = limited(clock, account=(2, 60))
    assert post(gateway, CHAT, b"{nonsense", gateway.api_key).status == 400
    assert post(gateway, CHAT.replace("chat/completions", "embeddings"), b"{}", gateway.api_key).status == 404
    refused = post(gateway, CHAT, b"{nonsense", gateway.api_key)
    assert (refused.status, refused.json["error"]) == (429, "Rate limit exceeded")
    assert "retry-after" not in refused.headers
    assert ask(gateway, PAID, gateway.member_api_key).status == 200
    elsewhere = ask(gateway, PAID, gateway.api_key, ip="10.0.0.2")
    assert elsewhere.status == 429  # of the account, not of the address
    assert post(gateway, CHAT + "/", {}, gateway.api_key).json["error_type"] == "invalid_path"


def test_the_cap_counts_an_account_whose_organisation_is_wrong(clock: Clock) -> None:
    gateway = limited(clock, account=(1, 60))
    body = {"model": FREE, "messages": []}
    headers = {"x-kilocode-organizationid": "not a UUID"}
    assert post(gateway, CHAT, body, gateway.api_key, headers).status == 200
    assert ask(gateway, PAID, gateway.api_key).status == 429


def test_the_cap_counts_callers_without_a_valid_token_by_address(clock: Clock) -> None:
    gateway = limited(clock, account=(1, 60))
    assert ask(gateway, FREE).status == 200
    assert ask(gateway, FREE, "wrong").status == 429
    assert ask(gateway, FREE, ip="10.0.0.2").status == 200


def test_a_throttled_account_is_told_when_to_ask_again(clock: Clock) -> None:
    gateway = limited(clock, throttle=(1, 60))
    assert ask(gateway, PAID, gateway.api_key).status == 200
    clock.now = 57.75
    refused = ask(gateway, PAID, gateway.api_key)
    assert refused.status == 429
    assert (refused.headers["retry-after"], refused.headers["retry-after-ms"]) == ("3", "2250")
    clock.now += 2.25
    assert ask(gateway, PAID, gateway.api_key).status == 200


def test_clear_forgets_the_counts(clock: Clock) -> None:
    gateway = limited(clock, account=(1, 60))
    ask(gateway, PAID, gateway.api_key)
    gateway.clear()
    assert ask(gateway, PAID, gateway.api_key).status == 200


@pytest.mark.parametrize("limit", [(0, 60), (1, 0)])
def test_a_limit_that_allows_nothing_is_refused(limit: tuple[int, float]) -> None:
    with pytest.raises(ValueError, match=r"account=\(\d, \d+\) allows nothing; use at least 1 request"):
        RateLimits(account=limit)


def test_the_command_line_sets_limits(capsys: pytest.CaptureFixture[str]) -> None:
    options = _parser().parse_args(["--rate-limits", "account=60/10", "free_models=5/60"])
    assert dict(options.rate_limits) == {"account": (60, 10), "free_models": (5, 60)}
    assert _parser().parse_args([]).rate_limits is None
    with pytest.raises(SystemExit):
        _parser().parse_args(["--rate-limits", "accounts=60/10"])
    assert "such as account=60/10" in capsys.readouterr().err
