"""Test every scenario of the sandbox once over HTTP: the connection does not change the outcome.

tests/matrix/test_scenarios.py tests each scenario in all eight ways, without a socket.
"""

import pytest

from kilo_gateway import GatewaySettings, KiloError, chat
from kilo_gateway.sandbox import Sandbox
from tests.support.errors import check
from tests.support.in_process import InProcess
from tests.support.outcomes import ERRORS, SUCCESSES, outcome

IN_PROCESS = InProcess()


@pytest.mark.parametrize("way", ["langchain stream", "llama_index astream_chat"])
@pytest.mark.parametrize("model", SUCCESSES)
def test_an_answer_over_http(kilo_sandbox: Sandbox, model: str, way: str) -> None:
    tools = "tool" in model or "parallel" in model
    assert outcome(way, kilo_sandbox, model, tools) == outcome(way, IN_PROCESS, model, tools)


@pytest.mark.parametrize("model", ERRORS)
def test_an_error_over_http(kilo_sandbox: Sandbox, model: str) -> None:
    settings = GatewaySettings(model=model, base_url=kilo_sandbox.base_url, api_key=kilo_sandbox.api_key, max_retries=0)
    with pytest.raises(KiloError) as caught:
        list(chat.stream(settings, settings.prepare("hi", stream=True)))
    check(model, caught.value, streamed=True)
    assert kilo_sandbox.api_key not in str(caught.value)
    assert len(kilo_sandbox.requests) == 1
