"""Test every scenario of the sandbox once over HTTP: the connection does not change the outcome.

tests/matrix/test_scenarios.py tests each scenario in all eight ways, without a socket.
"""

from typing import Any

import pytest

from kilo_gateway import GatewaySettings, KiloError, chat
from kilo_gateway.sandbox import Sandbox
from tests.support.errors import check
from tests.support.expected import expected
from tests.support.in_process import InProcess
from tests.support.outcomes import BREAKING, ERRORS, SUCCESSES, SUCCESSES_BY_API, outcome

IN_PROCESS = InProcess()


@pytest.mark.parametrize("way", ["langchain stream", "llama_index astream_chat"])
@pytest.mark.parametrize("model", SUCCESSES)
def test_an_answer_over_http(kilo_sandbox: Sandbox, model: str, way: str) -> None:
    tools = "tool" in model or "parallel" in model
    assert outcome(way, kilo_sandbox, model, tools) == outcome(way, IN_PROCESS, model, tools)


@pytest.mark.parametrize(("api", "model"), [(api, model) for api, model in SUCCESSES_BY_API if api != "completions"])
def test_an_answer_of_the_other_interfaces_over_http(kilo_sandbox: Sandbox, api: str, model: str) -> None:
    assert outcome("langchain astream", kilo_sandbox, model, False, api=api) == expected(api, model)


# Errors that come instead of an answer take the same way on each interface.
@pytest.mark.parametrize(("api", "model"), sorted({*(("completions", model) for model in ERRORS), *BREAKING}))
def test_an_error_over_http(kilo_sandbox: Sandbox, api: Any, model: str) -> None:
    account: dict[str, Any] = {"base_url": kilo_sandbox.base_url, "api_key": kilo_sandbox.api_key}
    settings = GatewaySettings(model=model, api=api, max_retries=0, **account)
    with pytest.raises(KiloError) as caught:
        list(chat.stream(settings, settings.prepare("hi", stream=True)))
    check(model, caught.value, streamed=True)
    assert kilo_sandbox.api_key not in str(caught.value)
    assert len(kilo_sandbox.requests) == 1
