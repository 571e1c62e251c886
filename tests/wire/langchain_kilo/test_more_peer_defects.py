"""Test further peer defects: LangChain's core, other packages, and requests of users. See `test_peer_defects.py`."""

import asyncio
import json
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.exceptions import ModelError
from langchain_core.load import dumps, load
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

from kilo_gateway import KiloError, KiloResponseError
from kilo_gateway.sandbox import Sandbox
from langchain_kilo import ChatKilo
from tests.support.server import json_body, server
from tests.support.tools import add, greet
from tests.support.ways import TOOLS_TEXT, acollect, every_langchain_stream, every_langchain_way, said, summed
from tests.wire.langchain_kilo.conftest import Scenario


@pytest.mark.filterwarnings("ignore::langchain_core._api.beta_decorator.LangChainBetaWarning")  # v3 is beta in core
class TestCore:
    @every_langchain_way
    def test_v1_keeps_blocks_apart(self, scenario: Scenario, way: str) -> None:
        """All peers: in v1 streams a text or reasoning block merges with the tool call of the same index.

        langchainjs#11074; langchain#35983 repairs a part of it.
        """
        for name, kind, calls in (
            ("tool-text-before", "text", ["add", "greet"]),
            ("reasoning-encrypted", "reasoning", ["add"]),
        ):
            message = said(way, scenario(name, output_version="v1").bind_tools([add, greet]), TOOLS_TEXT)
            assert [block["type"] for block in message.content] == [kind, *["tool_call"] * len(calls)]
            assert [block["name"] for block in message.content[1:]] == calls

    @pytest.mark.parametrize("asynchronous", [False, True])
    @pytest.mark.parametrize("name", ["parallel-same-index", "parallel-interleaved"])
    def test_v3_keeps_parallel_calls_apart(self, scenario: Scenario, name: str, asynchronous: bool) -> None:
        """All peers: parallel calls at one index become one invalid call (langchain#40392, #40401)."""
        message = v3(scenario(name).bind_tools([add, greet]), asynchronous=asynchronous)
        assert [call["name"] for call in message.tool_calls] == ["add", "greet"]
        assert [call["args"] for call in message.tool_calls] == [{"a": 2, "b": 3}, {"name": "Zoë"}]
        assert message.invalid_tool_calls == []

    @pytest.mark.parametrize("asynchronous", [False, True])
    def test_v3_keeps_reasoning(self, scenario: Scenario, asynchronous: bool) -> None:
        """langchain-core before langchain#37434: v3 loses reasoning."""
        message = v3(scenario("reasoning"), asynchronous=asynchronous)
        [reasoning] = [block for block in message.content_blocks if block["type"] == "reasoning"]
        assert reasoning["reasoning"].startswith("The user wrote:")

    @pytest.mark.parametrize("closed", [True, False])
    def test_a_stream_that_is_left_closes_its_connection(
        self, scenario: Scenario, kilo_sandbox: Sandbox, closed: bool
    ) -> None:
        """All peers: an abandoned `astream` leaks its socket (langchain#37976)."""

        async def leave() -> None:
            stream: Any = scenario("slow").astream("hi")
            await anext(stream)
            if closed:
                await stream.aclose()
            del stream
            assert await asyncio.to_thread(kilo_sandbox.wait_for, lambda record: record.disconnected, timeout=20)

        asyncio.run(leave())


def v3(llm: Any, *, asynchronous: bool) -> AIMessage:
    async def output() -> Any:
        return await (await llm.astream_events(TOOLS_TEXT, version="v3")).output

    message: AIMessage = asyncio.run(output()) if asynchronous else llm.stream_events(TOOLS_TEXT, version="v3").output
    return message


class TestOthers:
    @every_langchain_way
    def test_reasoning_tokens_are_a_part_of_the_output(self, scenario: Scenario, way: str) -> None:
        """langchain-xai 1.3.0 adds reasoning to output_tokens: 27 + 10 is not 30."""
        usage = said(way, scenario("reasoning"), "hi").usage_metadata
        assert 0 < usage["output_token_details"]["reasoning"] < usage["output_tokens"]
        assert usage["input_tokens"] + usage["output_tokens"] == usage["total_tokens"]

    @pytest.mark.filterwarnings("ignore:The function `load` is in beta")  # core's function, which users call
    def test_a_model_is_serialized(self, scenario: Scenario) -> None:
        """langchain-deepseek 1.1.1: not serializable."""
        text = dumps(scenario("echo", temperature=0.5, api_key="s3cr3t"))
        loaded = load(json.loads(text), valid_namespaces=["langchain_kilo"], allowed_objects=[ChatKilo])
        assert (loaded.model, loaded.temperature) == ("sandbox/echo", 0.5)

    @every_langchain_way
    def test_a_finish_reason_is_not_rewritten(self, scenario: Scenario, way: str) -> None:
        """langchain-litellm 0.11.2 changes the finish reason "error" to "stop"."""
        with pytest.raises(KiloError):
            said(way, scenario("finish-error"), "hi")
        assert said(way, scenario("content-filter"), "hi").response_metadata["finish_reason"] == "content_filter"

    @every_langchain_way
    def test_usage_is_not_invented(self, scenario: Scenario, way: str) -> None:
        """langchain-litellm 0.11.2 invents usage: 0/0/0, or an estimate in a stream (langchain-litellm#5, #16)."""
        message = said(way, scenario("usage-missing"), "hi")
        assert message.usage_metadata is None
        assert message.response_metadata.get("cost") is None
        assert said(way, scenario("echo"), "hi").usage_metadata["total_tokens"] > 0

    @every_langchain_way
    def test_a_history_with_tools_goes_back(self, scenario: Scenario, kilo_sandbox: Sandbox, way: str) -> None:
        """langchain-litellm loses streamed calls from the history (langchain-litellm#20), and all invalid ones."""
        for name, calls in (("parallel-interleaved", 2), ("tool-args-invalid", 2)):
            llm = scenario(name).bind_tools([add, greet])
            answer = said(way, llm, TOOLS_TEXT)
            asked = [*answer.tool_calls, *answer.invalid_tool_calls]
            llm.invoke(
                [HumanMessage(TOOLS_TEXT), answer, *(ToolMessage("5", tool_call_id=call["id"]) for call in asked)]
            )
            _, assistant, *results = kilo_sandbox.last.json["messages"]
            assert len(assistant["tool_calls"]) == len(results) == calls
            assert [c["id"] for c in assistant["tool_calls"]] == [result["tool_call_id"] for result in results]
            assert all(isinstance(json.loads(c["function"]["arguments"]), dict) for c in assistant["tool_calls"])

    @pytest.mark.parametrize("where", ["block", "extras"])
    def test_cache_control_is_kept(self, scenario: Scenario, kilo_sandbox: Sandbox, where: str) -> None:
        """langchain-litellm 0.11.2 removes it, except for Claude's ids; others drop it in `extras`."""
        mark = {"cache_control": {"type": "ephemeral"}}
        block = {"type": "text", "text": "long", **(mark if where == "block" else {"extras": mark})}
        scenario("echo").invoke([SystemMessage([block]), HumanMessage([block])])
        for message in kilo_sandbox.last.json["messages"]:
            assert message["content"] == [{"type": "text", "text": "long", **mark}]


class TestRequestsOfUsers:
    @every_langchain_way
    def test_the_served_model_and_the_cost(self, kilo_sandbox: Sandbox, way: str) -> None:
        """Asked for in langchainjs#11409 (routed model in streams), langchainjs#11656 and langchain#35461 (cost)."""
        llm = ChatKilo(tier="frontier", mode="plan", base_url=kilo_sandbox.base_url, api_key=kilo_sandbox.api_key)
        metadata = said(way, llm, "hi").response_metadata
        assert metadata["model_name"] == "anthropic/claude-opus-4.7"
        assert metadata["requested_model"] == "kilo-auto/frontier"
        assert metadata["cost"] > 0

    @every_langchain_stream
    def test_tool_deltas_reach_token_callbacks(self, scenario: Scenario, way: str) -> None:
        """Asked for in langchainjs#10153: deltas of tool calls in the token callback."""

        class Deltas(BaseCallbackHandler):
            arguments = ""

            def on_llm_new_token(self, token: Any, *, chunk: Any = None, **kwargs: Any) -> None:
                self.arguments += "".join(call["args"] or "" for call in chunk.message.tool_call_chunks)

        handler = Deltas()
        llm = scenario("echo", callbacks=[handler]).bind_tools([add])
        said(way, llm, "Call add(2, 3).")
        assert json.loads(handler.arguments) == {"a": 2, "b": 3}

    @every_langchain_way
    @pytest.mark.parametrize("name", ["reasoning", "reasoning-string", "reasoning-content", "reasoning-details-only"])
    def test_reasoning_in_every_field(self, scenario: Scenario, name: str, way: str) -> None:
        """Reasoning is read from every field that servers use.

        Asked for in spring-projects/spring-ai#5265, deepset-ai/haystack-core-integrations#2181 and
        UKGovernmentBEIS/inspect_ai#2954.
        """
        assert said(way, scenario(name), "hi").additional_kwargs["reasoning_content"].startswith("The user wrote: hi.")

    @every_langchain_way
    @pytest.mark.parametrize("name", ["tool-args-object", "tool-args-empty"])
    def test_lenient_arguments(self, scenario: Scenario, name: str, way: str) -> None:
        """Asked for in pydantic/pydantic-ai#822; langchain-openrouter and -openai fail on an object as arguments."""
        message = said(way, scenario(name).bind_tools([add]), "Call add(2, 3).")
        assert [call["args"] for call in message.tool_calls] == [{"a": 2, "b": 3} if name.endswith("object") else {}]

    def test_the_providers_words_in_a_nested_body(self, scenario: Scenario) -> None:
        """Asked for in pydantic/pydantic-ai#3994 and #6900: null choices, and errors inside the provider's own body."""
        nested = {"error": {"message": "quota exceeded for project"}}
        error = {"code": 429, "message": "Provider returned error", "metadata": {"raw": json.dumps(nested)}}
        answer = json_body({"choices": None, "error": error})
        with server(answer) as (url, _), pytest.raises(ModelError, match="quota exceeded") as caught:
            ChatKilo(base_url=url, max_retries=0).invoke("hi")
        assert caught.value.is_retryable is True
        with pytest.raises(KiloResponseError):
            scenario("error-null-choices-200").invoke("hi")


def test_several_streams_at_once_do_not_mix(kilo_sandbox: Sandbox, scenario: Scenario) -> None:
    """Peers keep state per instance; here one instance serves any number of streams."""
    llm = scenario("echo")

    async def ask() -> list[str]:
        streams = [acollect(llm.astream(f"number {n}")) for n in range(8)]
        return [summed(chunks).text for chunks in await asyncio.gather(*streams)]

    assert asyncio.run(ask()) == [f"Canned sandbox answer (sandbox/echo): you said: number {n}" for n in range(8)]
