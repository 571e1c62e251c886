"""Test for defects of other LangChain chat models with a gateway like this one.

Each docstring describes a peer's behaviour: langchain-openrouter 0.2.9, langchain-openai 1.7.4 (with `base_url`),
langchain-xai 1.3.0, langchain-deepseek 1.1.1, langchain-litellm 0.11.2. Issues without an owner are langchain-ai's.
"""

import copy
import pickle
from typing import Any

import openai
import pytest
from langchain_core.exceptions import ContextOverflowError, ModelError
from langchain_core.messages import AIMessage, ChatMessage, HumanMessage, SystemMessage, ToolMessage

from kilo_gateway import KiloError, KiloResponseError, KiloTimeoutError
from kilo_gateway.sandbox import Sandbox
from kilo_gateway.transport import clients
from langchain_kilo import ChatKilo
from tests.support.server import json_body, server, stream_of
from tests.support.tools import add, greet
from tests.support.ways import TOOLS_TEXT, every_langchain_stream, every_langchain_way, said
from tests.wire.langchain_kilo.conftest import Scenario

PNG = "iVBORw0KGgo="


class TestChatOpenRouter:
    @every_langchain_way
    def test_1_no_retries_means_none(self, scenario: Scenario, kilo_sandbox: Sandbox, way: str) -> None:
        """langchain-openrouter 0.2.9: max_retries=0 is the SDK's own policy, 6 requests in 12 s (langchain#40377)."""
        with pytest.raises(KiloError):
            said(way, scenario("error-500"), "hi")
        assert len(kilo_sandbox.requests) == 1

    @pytest.mark.parametrize("status", [408, 429, 500])
    def test_1_temporary_errors_are_retried(self, scenario: Scenario, kilo_sandbox: Sandbox, status: int) -> None:
        """langchain-openrouter 0.2.9 never retries the statuses 408 and 429."""
        with pytest.raises(KiloError):
            scenario(f"error-{status}", max_retries=2).invoke("hi")
        assert len(kilo_sandbox.requests) == 3

    def test_2_a_timeout_is_in_seconds(self, scenario: Scenario) -> None:
        """langchain-openrouter 0.2.9: `timeout` is in milliseconds, so that the standard 60 means 0.06 s."""
        assert scenario("echo", timeout=2).invoke("hi").text
        with pytest.raises(KiloTimeoutError, match=r"within 0\.2 seconds"):
            scenario("stall", timeout=0.2).invoke("hi")

    @every_langchain_way
    def test_3_reasoning_details_go_back_whole(self, scenario: Scenario, kilo_sandbox: Sandbox, way: str) -> None:
        """langchain-openrouter 0.2.9: streamed details lose `format` and ids, and at equal indices the encrypted entry.

        The same family: langchainjs#11699, open-webui/open-webui#26404, agno-agi/agno#8794, anomalyco/opencode#37708.
        """
        llm = scenario("reasoning-encrypted")
        llm.invoke([HumanMessage("hi"), said(way, llm, "hi"), HumanMessage("go on")])
        text, encrypted, summary = kilo_sandbox.last.json["messages"][1]["reasoning_details"]
        assert text["text"].startswith("The user wrote: hi.")
        assert (text["format"], text["index"], bool(text["signature"])) == ("unknown", 0, True)
        assert encrypted == {
            "type": "reasoning.encrypted",
            "data": "ZW5jcnlwdGVkLXNhbmRib3g=",
            "format": "openai-responses-v1",
            "index": 0,
        }
        assert (summary["summary"], summary["format"]) == (" Answered directly.", "openai-responses-v1")

    def test_4_an_answer_may_lack_optional_fields(self) -> None:
        """langchain-openrouter 0.2.9: without `system_fingerprint` "Response validation failed".

        OpenRouterTeam/python-sdk#44.
        """
        answer = {"choices": [{"message": {"content": "fine"}, "finish_reason": "stop"}]}
        with server(json_body(answer)) as (url, _):
            assert ChatKilo(base_url=url).invoke("hi").text == "fine"
        with server(stream_of({"content": "fi"}, {"content": "ne"})) as (url, _):
            assert said("stream", ChatKilo(base_url=url), "hi").text == "fine"

    @every_langchain_way
    @pytest.mark.parametrize("name", ["tool-args-null", "tool-no-index"])
    def test_4_tool_calls_may_lack_fields_that_can_be_inferred(self, scenario: Scenario, name: str, way: str) -> None:
        """langchain-openrouter 0.2.9: null arguments and a missing index are "Response validation failed"."""
        message = said(way, scenario(name).bind_tools([add, greet]), TOOLS_TEXT)
        expected = [{}, {}] if name == "tool-args-null" else [{"a": 2, "b": 3}, {"name": "Zoë"}]
        assert [call["args"] for call in message.tool_calls] == expected

    @every_langchain_way
    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("error-no-balance", "Add credits to continue"),
            ("error-200-string", "The sandbox is resting."),
            ("stream-error-upstream", "slow down"),
        ],
    )
    def test_4_an_error_says_what_is_wrong(self, scenario: Scenario, name: str, message: str, way: str) -> None:
        """langchain-openrouter 0.2.9: error bodies and stream errors are "Response validation failed" too."""
        with pytest.raises(KiloError, match=message):
            said(way, scenario(name), "hi")

    @every_langchain_way
    def test_5_nothing_of_an_answer_is_dropped(self, scenario: Scenario, way: str) -> None:
        """langchain-openrouter 0.2.9: provider, native finish reason, images, annotations, audio, refusal are lost."""
        metadata = said(way, scenario("echo"), "hi").response_metadata
        assert (metadata["provider"], metadata["native_finish_reason"]) == ("Sandbox", "end_turn")
        for name in ("images", "audio", "refusal"):
            message = said(way, scenario(name), "hi")
            assert message.additional_kwargs[name]
            assert name.removesuffix("s") in repr(message.content_blocks)
        cited = said(way, scenario("annotations"), "hi")
        assert [b["annotations"][0]["url"] for b in cited.content_blocks if "annotations" in b] == [
            "https://example.com/sandbox"
        ]

    def test_5_nothing_of_a_request_is_dropped(self, scenario: Scenario, kilo_sandbox: Sandbox) -> None:
        """langchain-openrouter 0.2.9: images of tools go out as UNKNOWN (langchain#40434, langchain#40435).

        It also loses names and the developer role, and refuses server tools and unknown keywords.
        """
        image = {"type": "image", "base64": PNG, "mime_type": "image/png"}
        messages = [
            SystemMessage("Be brief.", additional_kwargs={"__openai_role__": "developer"}),
            ChatMessage(content="Be kind.", role="developer"),
            HumanMessage("Draw", name="zoe"),
            AIMessage("", tool_calls=[{"id": "c1", "name": "draw", "args": {}}], name="painter"),
            ToolMessage([{"type": "text", "text": "here"}, image], tool_call_id="c1"),
        ]
        server_tool = {"type": "openrouter:web_search", "max_results": 3}
        scenario("echo").bind_tools([add, server_tool]).invoke(messages, session_id="s")
        sent = kilo_sandbox.last.json
        assert [message["role"] for message in sent["messages"]] == [
            "developer",
            "developer",
            "user",
            "assistant",
            "tool",
        ]
        assert [sent["messages"][2]["name"], sent["messages"][3]["name"]] == ["zoe", "painter"]
        assert sent["messages"][4]["content"] == [
            {"type": "text", "text": "here"},
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
        ]
        assert (sent["tools"][1], sent["session_id"]) == (server_tool, "s")

    def test_6_instances_share_connections_or_use_yours(self, scenario: Scenario, kilo_sandbox: Sandbox) -> None:
        """langchain-openrouter 0.2.9: one pool per instance, no own client (langchain#37498, langchain#38610)."""
        pools = {id(clients.sync_client(scenario("echo", api_key=key))._client) for key in ("a", "b", "a")}
        assert len(pools) == 1
        seen: list[Any] = []
        with openai.DefaultHttpxClient(event_hooks={"request": [seen.append]}) as own:
            scenario("echo", http_client=own).invoke("hi")
        assert len(seen) == len(kilo_sandbox.requests) == 1

    @every_langchain_way
    def test_7_the_last_cost_counts(self, scenario: Scenario, way: str) -> None:
        """langchain-openrouter 0.2.9: two chunks that differ in cost are a TypeError of core's merge.

        Before langchain#39338 a cost on usage-only chunks was lost (langchain#39330, #39333).
        """
        message, whole = said(way, scenario("usage-twice"), "hi"), scenario("usage-twice").invoke("hi")
        assert message.usage_metadata == whole.usage_metadata
        assert message.response_metadata["cost"] == whole.response_metadata["cost"] > 0
        assert said(way, scenario("cost-string"), "hi").response_metadata["cost"] > 0

    @every_langchain_way
    def test_8_errors_are_langchains_and_can_be_pickled(self, scenario: Scenario, way: str) -> None:
        """langchain-openrouter 0.2.9: no error is a `ModelError`, so each is retried, and no error can be pickled."""
        with pytest.raises(ModelError) as caught:
            said(way, scenario("error-invalid-token"), "hi")
        assert caught.value.is_retryable is False
        travelled = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 -- this line made it
        assert (type(travelled), str(travelled)) == (type(caught.value), str(caught.value))

    def test_8_private_headers_json_mode_and_token_counts(self, scenario: Scenario, kilo_sandbox: Sandbox) -> None:
        """langchain-openrouter 0.2.9: headers in repr, json_mode sent as json_schema, token counts an ImportError."""
        llm = scenario("echo", default_headers={"x-secret": "hush"})
        assert "hush" not in repr(llm) + str(llm)
        llm.with_structured_output(None, method="json_mode").invoke("Answer as JSON with the key 'name': 'Ada'.")
        assert kilo_sandbox.last.json["response_format"] == {"type": "json_object"}
        assert llm.get_num_tokens("one two three") > 0


class TestChatOpenAI:
    @every_langchain_way
    def test_9_fields_unknown_to_openai_arrive(self, scenario: Scenario, way: str) -> None:
        """langchain-openai 1.7.4: no reasoning, details, images, annotations, and no cost when streaming, by policy.

        langchain#34328 is open; #32981 and the pull requests #34705 and #36881 were refused.
        """
        extra = said(way, scenario("reasoning"), "hi").additional_kwargs
        assert extra["reasoning_content"].startswith("The user wrote: hi.")
        assert extra["reasoning_details"][0]["signature"]
        assert said(way, scenario("images"), "hi").additional_kwargs["images"]
        assert said(way, scenario("annotations"), "hi").additional_kwargs["annotations"]
        assert said(way, scenario("echo"), "hi").response_metadata["cost"] > 0

    @every_langchain_stream
    @pytest.mark.parametrize(
        ("name", "status", "retryable"),
        [("stream-error-upstream", 429, True), ("stream-error-finish", 502, True), ("stream-error-first", 429, True)],
    )
    def test_10_an_error_in_a_stream_has_its_kind(
        self, scenario: Scenario, name: str, status: int, retryable: bool, way: str
    ) -> None:
        """langchain-openai 1.7.4: a bare `openai.APIError` without status, unknown to retries and fallbacks."""
        with pytest.raises(ModelError) as caught:
            said(way, scenario(name), "hi")
        assert isinstance(caught.value, KiloError)
        assert (caught.value.is_retryable, str(caught.value.code)) == (retryable, str(status))

    @every_langchain_way
    @pytest.mark.parametrize("name", ["finish-error", "error-choice-error", "error-200-string"])
    def test_10_a_failed_answer_raises(self, scenario: Scenario, name: str, way: str) -> None:
        """langchain-openai 1.7.4: errors in a choice or its finish reason pass as success (also langchain#39039)."""
        with pytest.raises(ModelError):
            said(way, scenario(name), "hi")

    @every_langchain_way
    @pytest.mark.parametrize("status", [402, 408, 413, 422])
    def test_10_every_status_has_its_kind(self, scenario: Scenario, status: int, way: str) -> None:
        """langchain-openai 1.7.4: errors 402, 408, 413 and 422 are not a `ModelError`."""
        with pytest.raises(ModelError) as caught:
            said(way, scenario(f"error-{status}"), "hi")
        assert caught.value.is_retryable is (status == 408)

    @every_langchain_way
    @pytest.mark.parametrize("name", ["error-context-length", "error-context-length-500"])
    def test_10_a_context_overflow_is_recognised(self, scenario: Scenario, name: str, way: str) -> None:
        """langchain-openai 1.7.4: OpenRouter's "maximum context length is ..." is an ordinary bad request."""
        with pytest.raises(ContextOverflowError):
            said(way, scenario(name), "hi")

    @every_langchain_way
    def test_10_the_text_of_a_string_error_is_kept(self, way: str) -> None:
        """langchain-openai 1.7.4: {"error": "Insufficient credits"} becomes a bare "Error code: 402"."""
        answer = json_body({"error": "Insufficient credits"}, "402 Payment Required")
        with server(answer) as (url, _), pytest.raises(KiloError, match="Insufficient credits"):
            said(way, ChatKilo(base_url=url, max_retries=0), "hi")

    @every_langchain_way
    @pytest.mark.parametrize("name", ["error-html-200", "error-choices-empty-200", "error-null-choices-200"])
    def test_10_a_malformed_answer_is_a_kilo_error(self, scenario: Scenario, name: str, way: str) -> None:
        """langchain-openai 1.7.4: HTML is "No generation chunks were returned", `choices: []` an IndexError."""
        with pytest.raises(KiloResponseError):
            said(way, scenario(name), "hi")

    @every_langchain_stream
    def test_10_a_frame_that_is_not_json_is_a_kilo_error(self, scenario: Scenario, way: str) -> None:
        """langchain-openai 1.7.4 raises a JSONDecodeError."""
        with pytest.raises(KiloResponseError) as caught:
            said(way, scenario("bad-json-frame"), "hi")
        assert isinstance(caught.value, ModelError)

    @every_langchain_stream
    @pytest.mark.parametrize("name", ["finish-twice", "usage-twice", "echo"])
    def test_11_a_stream_reports_the_same_as_invoke(self, scenario: Scenario, name: str, way: str) -> None:
        """langchain-openai 1.7.4: "stopstop", a doubled model_name, double usage; metadata differ (langchain#33717)."""
        message, whole = said(way, scenario(name), "hi"), scenario(name).invoke("hi")
        varying = ("id", "created", "request_id", "object")
        reported = [
            {k: v for k, v in m.response_metadata.items() if k not in varying} | (m.usage_metadata or {})
            for m in (message, whole)
        ]
        assert reported[0] == reported[1]
        assert (reported[0]["finish_reason"], reported[0]["model_name"]) == ("stop", f"sandbox/{name}")

    @every_langchain_way
    def test_12_a_model_can_be_pickled_and_copied(self, scenario: Scenario, way: str) -> None:
        """langchain-openai 1.7.4 supports neither pickle nor deepcopy: "cannot pickle '_thread.RLock'".

        Asked for in langflow-ai/langflow#1324 and NVIDIA-NeMo/Guardrails#614.
        """
        llm = scenario("echo")
        said(way, llm, "hi")  # opens connections
        for twin in (pickle.loads(pickle.dumps(llm)), copy.deepcopy(llm), copy.copy(llm)):  # noqa: S301 -- our own data
            assert said(way, twin, "hi").text == "Hello! How can I help you?"

    @every_langchain_stream
    def test_13_a_tool_delta_without_a_function_is_ignored(self, way: str) -> None:
        """langchain-openai 1.7.4 raises an AttributeError."""
        call = {"index": 0, "id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
        answer = stream_of(
            {"tool_calls": [call]}, {"tool_calls": [{"index": 0}]}, {"tool_calls": [{"index": 0, "id": "c1"}]}
        )
        with server(answer) as (url, _):
            message = said(way, ChatKilo(base_url=url), "hi")
        assert [(call["name"], call["args"]) for call in message.tool_calls] == [("add", {"a": 1})]

    @every_langchain_way
    def test_13_a_refusal_is_kept(self, scenario: Scenario, way: str) -> None:
        """langchain-openai 1.7.4 loses a streamed refusal."""
        assert said(way, scenario("refusal"), "hi").additional_kwargs["refusal"] == "I can't help with that request."
