"""Count the cost of the answers, as the gateway bills them."""

import pytest

from tests.support.in_process import InProcess
from tests.support.plain_client import ask, chat, post

PAID = "openai/gpt-5.4"


@pytest.mark.parametrize("api", ["completions", "responses", "messages"])
@pytest.mark.parametrize("stream", [False, True])
def test_the_bill_is_the_sum_of_the_reported_costs(gw: InProcess, api: str, stream: bool) -> None:
    reported = ask(gw, api, PAID, "Hello").json["usage"]["cost"]
    assert gw.billed_usd == pytest.approx(reported)
    assert reported > 0
    ask(gw, api, PAID, "Hello", stream=stream)
    assert gw.billed_usd == pytest.approx(2 * reported)


def test_answers_count_although_their_cost_is_not_reported(gw: InProcess) -> None:
    assert "cost" not in chat(gw, "sandbox/cost-stripped").json["usage"]
    assert gw.billed_usd > 0


def test_free_answers_and_errors_cost_nothing(gw: InProcess) -> None:
    chat(gw, "openrouter/free")
    chat(gw, "sandbox/error-503")
    chat(gw, PAID, key=gw.poor_api_key)
    assert gw.billed_usd == 0


def test_embeddings_count_and_clear_resets_the_bill(gw: InProcess) -> None:
    body = {"model": "openai/text-embedding-3-small", "input": ["one", "two"]}
    answer = post(gw, "/api/gateway/embeddings", body, gw.api_key)
    assert gw.billed_usd == pytest.approx(answer.json["usage"]["cost"])
    gw.clear()
    assert gw.billed_usd == 0
