"""Standard content blocks: the same for every way an answer can come, in v0, v1 and v3."""

import asyncio
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from kilo_gateway.sandbox import SCENARIOS, Sandbox
from langchain_kilo import ChatKilo
from tests.support.tools import add, greet
from tests.support.ways import TOOLS_TEXT as TEXT
from tests.support.ways import collect, summed

SUCCESSES = sorted(name for name, s in SCENARIOS.items() if s.kind == "success" and not s.transient)
BROKEN = ("invalid_tool_call", "tool_call_chunk")


def plain(blocks: Any) -> list[Any]:
    """Return blocks without what differs from run to run (ids) or tells only the way they came (index, order)."""
    kept = []
    for block in blocks:
        if block["type"] in BROKEN:
            kept.append(("broken", block["name"]))
        else:
            kept.append({k: v for k, v in block.items() if k not in ("id", "index")})
    return sorted(kept, key=repr)


async def _aevents(llm: Any) -> AIMessage:
    return await (await llm.astream_events(TEXT, version="v3")).output


@pytest.mark.filterwarnings("ignore::langchain_core._api.beta_decorator.LangChainBetaWarning")  # v3 is beta in core
@pytest.mark.parametrize("tools", [False, True], ids=["text", "tools"])
@pytest.mark.parametrize("model", SUCCESSES)
def test_one_list_of_blocks_for_all(kilo_sandbox: Sandbox, model: str, tools: bool) -> None:
    def llm(output_version: str) -> Any:
        made = ChatKilo(model=model, base_url=kilo_sandbox.base_url, output_version=output_version)
        return made.bind_tools([add, greet]) if tools else made

    v0, v1 = llm("v0"), llm("v1")
    seen = {
        "invoke": v0.invoke(TEXT),
        "stream": summed(list(v0.stream(TEXT))),
        "invoke v1": v1.invoke(TEXT),
        "stream v1": summed(list(v1.stream(TEXT))),
        "astream v1": summed(collect(v1.astream(TEXT))),
        "v3": v0.stream_events(TEXT, version="v3").output,
        "async v3": asyncio.run(_aevents(v0)),
    }
    blocks = {way: plain(message.content_blocks) for way, message in seen.items()}
    for block in (b for found in blocks.values() for b in found if isinstance(b, dict) and "extras" in b):
        block["extras"].pop("expires_at", None)
    assert {way for way, found in blocks.items() if found != blocks["invoke"]} == set(), blocks
    assert {way for way, message in seen.items() if message.text != seen["invoke"].text} == set()


def test_what_the_blocks_hold(kilo_sandbox: Sandbox) -> None:
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


def test_content_that_somebody_else_wrote_is_cores_to_read() -> None:
    message = AIMessage(
        [{"type": "text", "text": "a"}, {"type": "odd", "x": 1}], response_metadata={"model_provider": "kilo"}
    )
    assert [block["type"] for block in message.content_blocks] == ["text", "non_standard"]
