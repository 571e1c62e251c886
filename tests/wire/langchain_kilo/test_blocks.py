"""Test standard content blocks: their content, and how they are sent back."""

from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from kilo_gateway.sandbox import Sandbox
from langchain_kilo import ChatKilo
from tests.support.tools import add, greet
from tests.support.ways import TOOLS_TEXT as TEXT
from tests.support.ways import summed


def test_content_of_the_blocks(kilo_sandbox: Sandbox) -> None:
    def blocks(name: str) -> list[Any]:
        return ChatKilo(model=f"sandbox/{name}", base_url=kilo_sandbox.base_url).invoke("hi").content_blocks

    reasoning, text = blocks("reasoning")
    assert reasoning["type"] == "reasoning"
    assert reasoning["reasoning"]
    assert reasoning["extras"]["reasoning_details"][0]["signature"]
    assert text["type"] == "text"
    [image] = [b for b in blocks("images") if b["type"] == "image"]
    assert (image["mime_type"], bool(image["base64"])) == ("image/png", True)
    [cited] = [b for b in blocks("annotations") if b.get("annotations")]
    assert cited["annotations"][0]["url"] == "https://example.com/sandbox"
    [refusal] = [b.get("value", b) for b in blocks("refusal")]
    assert refusal["type"] == "refusal"
    [audio] = [b for b in blocks("audio") if b["type"] == "audio"]
    assert audio["base64"]


def test_an_agent_notices_that_claude_refuses(kilo_sandbox: Sandbox) -> None:
    """Claude says so by its stop reason alone; an agent with ModelRefusalMiddleware looks for a block."""
    llm = ChatKilo(model="sandbox/refusal", api="messages", base_url=kilo_sandbox.base_url)
    for answer in (llm.invoke("hi"), summed(list(llm.stream("hi")))):
        found: list[Any] = [block.get("value", block) for block in answer.content_blocks]
        assert [block["type"] for block in found] == ["text", "refusal"]
        llm.invoke([HumanMessage("hi"), answer, HumanMessage("go on")])
        assert kilo_sandbox.last.json["messages"][1]["content"] == [{"type": "text", "text": answer.text}]


@pytest.mark.parametrize("name", ["reasoning-encrypted", "parallel-interleaved", "refusal"])
def test_a_v1_message_goes_back_like_a_v0_one(kilo_sandbox: Sandbox, name: str) -> None:
    sent = []
    for version in ("v0", "v1"):
        llm = ChatKilo(model=f"sandbox/{name}", base_url=kilo_sandbox.base_url, output_version=version)
        answer = summed(list(llm.bind_tools([add, greet]).stream(TEXT)))
        llm.invoke([HumanMessage(TEXT), answer, HumanMessage("go on")])
        message = kilo_sandbox.last.json["messages"][1]
        for call in message.get("tool_calls", ()):
            del call["id"]
        sent.append(message)
    assert sent[0] == sent[1]


def test_core_reads_content_from_other_sources() -> None:
    message = AIMessage(
        [{"type": "text", "text": "a"}, {"type": "odd", "x": 1}], response_metadata={"model_provider": "kilo"}
    )
    assert [block["type"] for block in message.content_blocks] == ["text", "non_standard"]
