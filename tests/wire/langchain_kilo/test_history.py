"""Test that answers are sent back to the gateway unchanged."""

import json

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from kilo_gateway.sandbox import Sandbox
from langchain_kilo import ChatKilo
from tests.support.bodies import sent_back
from tests.support.ways import summed


@pytest.mark.parametrize("name", ["reasoning", "reasoning-encrypted", "reasoning-string"])
def test_reasoning_goes_back_unchanged(kilo_sandbox: Sandbox, name: str) -> None:
    llm = ChatKilo(model=f"sandbox/{name}", base_url=kilo_sandbox.base_url)
    for answer in (llm.invoke("hi"), summed(list(llm.stream("hi")))):
        restored = AIMessage(
            **json.loads(answer.model_dump_json(exclude={"type", "chunk_position", "tool_call_chunks"}))
        )
        llm.invoke([HumanMessage("hi"), restored, HumanMessage("go on")])
        sent = kilo_sandbox.last.json["messages"][1]
        if name == "reasoning-string":
            assert sent["reasoning"] == answer.additional_kwargs["reasoning_content"]
        else:
            assert sent["reasoning_details"] == sent_back(answer.additional_kwargs["reasoning_details"])
            assert "reasoning" not in sent


@pytest.mark.parametrize("scenario", ["audio", "images"])
def test_images_and_audio_go_back_alike_in_every_version(kilo_sandbox: Sandbox, scenario: str) -> None:
    sent = []
    for version in ("v0", "v1"):
        llm = ChatKilo(model=f"sandbox/{scenario}", base_url=kilo_sandbox.base_url, output_version=version)
        llm.invoke([HumanMessage("a"), llm.invoke("a"), HumanMessage("b")])
        sent.append(kilo_sandbox.last.json["messages"][1])
    assert sent[0] == sent[1]
    assert sent[0]["images"] if scenario == "images" else sent[0]["audio"] == {"id": sent[0]["audio"]["id"]}
