"""The bytes of every scenario of the sandbox, straight into the decoders."""

import itertools
from typing import Any

import pytest

from kilo_gateway import GatewaySettings, KiloError, Reply, chat
from kilo_gateway.errors.sent import UNKNOWN
from kilo_gateway.interfaces import INTERFACES
from tests.support import plain_client
from tests.support.errors import CLASSES, check
from tests.support.in_process import InProcess
from tests.support.outcomes import ERRORS_BY_API, SUCCESSES_BY_API
from tests.support.ways import TOOLS_TEXT, collect

GATEWAY = InProcess()
SETTINGS = GatewaySettings(
    base_url=GATEWAY.base_url, api_key=GATEWAY.api_key, max_retries=0, http_client=GATEWAY.client
)
TOOLS = [
    plain_client.tool("add", "Add two numbers.", a={"type": "integer"}, b={"type": "integer"}),
    plain_client.tool("greet", "Greet a person by name.", name={"type": "string"}),
]


def decoded(api: str, data: bytes, size: int) -> Reply:
    decoder, reply = INTERFACES[api].decoder(None, UNKNOWN), Reply()
    pieces = (data[start : start + size] for start in range(0, len(data), size))
    for delta in itertools.chain(*(decoder.feed(piece) for piece in pieces), decoder.finish()):
        reply.add(delta)
    return reply


def told(reply: Reply) -> list[Any]:
    calls = sorted(((call.name, call.parsed()) for call in reply.tool_calls), key=repr)
    ending = reply.ending
    return [reply.text, reply.reasoning, reply.refusal, calls, ending.usage, ending.reasoning_details]


@pytest.mark.parametrize("tools", [None, TOOLS], ids=["text", "tools"])
@pytest.mark.parametrize(("api", "model"), SUCCESSES_BY_API)
def test_a_stream_says_what_a_body_says_however_it_is_cut(api: str, model: str, tools: Any) -> None:
    answer, stream = (
        plain_client.ask(GATEWAY, api, model, TOOLS_TEXT, tools, stream=streamed).data for streamed in (False, True)
    )
    body, whole = Reply.of(INTERFACES[api].whole(answer, None, UNKNOWN)), decoded(api, stream, len(stream))
    assert told(whole) == told(body)
    if model != "sandbox/null-finish":  # streams must have one, bodies may not
        assert whole.ending.finish_reason == body.ending.finish_reason
    assert told(decoded(api, stream, 1)) == told(whole)


def test_every_error_scenario_has_its_class() -> None:
    assert {f"sandbox/{name}" for name in CLASSES} == {model for _, model in ERRORS_BY_API}


@pytest.mark.parametrize(("api", "model"), ERRORS_BY_API)
def test_an_error_has_its_class_and_its_words(api: str, model: str) -> None:
    for streamed in (False, True):
        call = SETTINGS.prepare("hi", stream=streamed, keywords={"model": model, "api": api})
        with pytest.raises(KiloError) as caught:
            collect((chat.stream if streamed else chat.create)(SETTINGS, call))
        check(model, caught.value, streamed=streamed)
        assert GATEWAY.api_key not in str(caught.value)
