"""Test KiloLLM as LlamaIndex uses it; the sandbox's record shows its requests."""

from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage, ThinkingBlock

from kilo_gateway import KiloError
from kilo_gateway.sandbox import Sandbox
from llama_index_kilo import KiloLLM
from tests.support.bodies import sent_back
from tests.support.ways import COMPLETIONS, ENDPOINTS, LLAMA_INDEX, collect

PAID = "anthropic/claude-sonnet-4.6"
USER = [ChatMessage(role="user", content="Tell me about rivers")]  # words: keep -- a model receives it


def test_the_eight_endpoints_agree(llm: KiloLLM) -> None:
    prompt = "Tell me about rivers"  # words: keep -- a model receives it
    chats = [collect(getattr(llm, name)(USER))[-1] for name in LLAMA_INDEX]
    completions = [collect(getattr(llm, name)(prompt))[-1] for name in COMPLETIONS]
    texts = {chat.message.content for chat in chats} | {completion.text for completion in completions}
    assert len(texts) == 1
    assert "rivers" in texts.pop()
    for response in [*chats, *completions]:
        assert response.additional_kwargs["total_tokens"] > 0
        assert response.additional_kwargs["cost"] > 0
        assert response.additional_kwargs["finish_reason"] == "stop"
        assert response.additional_kwargs["model"] == PAID
        assert response.raw["usage"]["prompt_tokens"] > 0


def test_streams_grow_chunk_by_chunk_sync_and_async_alike(llm: KiloLLM) -> None:
    llm.merge_ready = False
    sync = list(llm.stream_chat(USER))
    both = zip(sync, collect(llm.astream_chat(USER)), strict=True)
    assert all(a.delta == b.delta and a.message == b.message for a, b in both)
    text = ""
    for response in sync:
        text += response.delta or ""
        assert response.message.content == text
    assert len(sync) > 5


def test_thinking(kilo_sandbox: Sandbox) -> None:
    llm = KiloLLM(model="sandbox/reasoning", base_url=kilo_sandbox.base_url)
    responses = list(llm.stream_chat(USER))
    thought = "".join(r.additional_kwargs.get("thinking_delta", "") for r in responses)
    block = responses[-1].message.blocks[0]
    assert block.block_type == "thinking"
    assert block.content == thought != ""
    assert block.num_tokens == responses[-1].additional_kwargs["reasoning_tokens"] > 0


def test_reasoning_goes_back_unchanged_through_json(kilo_sandbox: Sandbox) -> None:
    llm = KiloLLM(model="sandbox/reasoning-encrypted", base_url=kilo_sandbox.base_url)
    for answer in (llm.chat(USER), list(llm.stream_chat(USER))[-1]):
        restored = ChatMessage.model_validate_json(answer.message.model_dump_json())
        llm.chat([*USER, restored, ChatMessage(role="user", content="go on")])
        sent = kilo_sandbox.last.json["messages"][1]
        [thinking] = [block for block in answer.message.blocks if isinstance(block, ThinkingBlock)]
        assert sent["reasoning_details"] == sent_back(thinking.additional_information["reasoning_details"])
        assert len(sent["reasoning_details"]) == 3


def test_logprobs(kilo_sandbox: Sandbox) -> None:
    llm = KiloLLM(base_url=kilo_sandbox.base_url, logprobs=True, top_logprobs=2)
    for response in (llm.chat(USER), list(llm.stream_chat(USER))[-1], llm.complete("rivers")):
        assert response.logprobs
        assert [len(candidates) for candidates in response.logprobs] == [2] * len(response.logprobs)
        assert all(candidate.logprob <= 0 for token in response.logprobs for candidate in token)


def test_metadata_uses_no_network() -> None:
    metadata = KiloLLM(base_url="http://127.0.0.1:1", tier="frontier", max_tokens=77).metadata
    assert (metadata.context_window, metadata.num_output) == (1_000_000, 77)
    assert metadata.model_name == "kilo-auto/frontier"
    assert metadata.is_chat_model
    assert metadata.is_function_calling_model
    assert KiloLLM(model="no/such").metadata.context_window == 128_000
    assert KiloLLM(context_window=5).metadata.context_window == 5
    with pytest.raises(ValueError, match="context_window"):
        KiloLLM(context_window=0)


def test_saved_and_loaded_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    llm = KiloLLM(tier="frontier", mode="plan", api_key="s3cr3t", default_headers={"x-a": "s3cr3t"}, seed=1)
    assert "s3cr3t" not in llm.to_json()
    assert "s3cr3t" not in repr(llm.to_payload())
    monkeypatch.setenv("KILO_API_KEY", "from-env")
    loaded = KiloLLM.from_json(llm.to_json())
    assert (loaded.model_id, loaded.mode, loaded.seed, loaded.bearer) == ("kilo-auto/frontier", "plan", 1, "from-env")
    assert loaded.class_name() == "KiloLLM"


def ask(llm: KiloLLM, endpoint: str, **kwargs: Any) -> list[Any]:
    """Return all responses of one call."""
    text = "Tell me about rivers"  # words: keep -- a model receives it
    return collect(getattr(llm, endpoint)(USER if "chat" in endpoint else text, **kwargs))


@pytest.mark.parametrize("endpoint", [e for e in ENDPOINTS if "stream" in e])
def test_only_the_last_response_has_usage_and_finish_reason(llm: KiloLLM, endpoint: str) -> None:
    *partial, last = ask(llm, endpoint)
    assert last.additional_kwargs["finish_reason"] == "stop"
    assert last.raw["usage"]["total_tokens"] == last.additional_kwargs["total_tokens"] > 0
    for response in partial:
        assert {"finish_reason", "prompt_tokens", "cost"}.isdisjoint(response.additional_kwargs)
        assert response.raw["object"] == "chat.completion.chunk"


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_several_answers_are_refused(llm: KiloLLM, kilo_sandbox: Sandbox, endpoint: str) -> None:
    with pytest.raises(ValueError, match="n=2"):
        ask(llm, endpoint, n=2)
    with pytest.raises(ValueError, match="n=3"):
        ask(llm, endpoint, extra_body={"n": 3})
    llm.additional_kwargs = {"n": 4}
    with pytest.raises(ValueError, match="n=4"):
        ask(llm, endpoint)
    assert not kilo_sandbox.requests
    assert ask(llm, endpoint, n=1)


def test_keywords_of_a_call_win_and_are_not_changed(kilo_sandbox: Sandbox) -> None:
    llm = KiloLLM(
        base_url=kilo_sandbox.base_url,
        api_key=kilo_sandbox.api_key,
        additional_kwargs={"top_p": 0.1, "top_k": 1},
        temperature=0.9,
        top_p=0.2,
        provider={"order": ["a"], "sort": "price"},
    )
    call = {"temperature": 0.1, "provider": {"order": ["b"]}, "extra_body": {"x": {"y": 1}}}
    before = repr(call)
    llm.chat(USER, **call)
    body = kilo_sandbox.last.json
    assert (body["temperature"], body["top_p"], body["top_k"]) == (0.1, 0.2, 1)
    assert (body["provider"], body["x"]) == ({"order": ["b"], "sort": "price"}, {"y": 1})
    assert repr(call) == before
    assert llm.additional_kwargs == {"top_p": 0.1, "top_k": 1}


def test_mode_tier_and_task_of_a_call(llm: KiloLLM, kilo_sandbox: Sandbox) -> None:
    answer = llm.chat(USER, tier="frontier", mode="plan", task_id="t-1")
    assert kilo_sandbox.last.headers["x-kilocode-mode"] == "plan"
    assert kilo_sandbox.last.headers["x-kilocode-taskid"] == "t-1"
    extra = answer.additional_kwargs
    assert (extra["requested_model"], extra["tier"], extra["mode"]) == ("kilo-auto/frontier", "frontier", "plan")
    planner = llm.with_tier("frontier").with_mode("architect")
    assert planner.complete("hi").additional_kwargs["mode"] == "architect"
    assert (planner.metadata.model_name, llm.metadata.model_name) == ("kilo-auto/frontier", PAID)


@pytest.mark.parametrize("endpoint", LLAMA_INDEX)
def test_images_annotations_audio_and_refusals(scenario: Any, endpoint: str) -> None:
    picture = ask(scenario("images"), endpoint)[-1].message
    assert [str(block.url).startswith("data:image/") for block in picture.blocks if block.block_type == "image"] == [
        True
    ]
    cited = ask(scenario("annotations"), endpoint)[-1].message
    assert cited.additional_kwargs["annotations"][0]["type"] == "url_citation"
    spoken = ask(scenario("audio"), endpoint)[-1].message
    assert spoken.additional_kwargs["audio"]["data"]
    refusing = ask(scenario("refusal"), endpoint)[-1].message
    assert (refusing.content, refusing.additional_kwargs["refusal"][:12]) == ("", "I can't help")


def test_a_limit_of_the_answer_leaves_room_for_the_prompt() -> None:
    assert KiloLLM(max_tokens=200_000, context_window=100_000).metadata.num_output == 50_000
    assert KiloLLM().metadata.num_output == -1


@pytest.mark.parametrize(("name", "status"), [("error-429", 429), ("error-503", 503), ("finish-error", None)])
@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_errors_have_their_status(scenario: Any, name: str, status: int | None, endpoint: str) -> None:
    with pytest.raises(KiloError) as caught:
        ask(scenario(name), endpoint)
    assert status is None or caught.value.status_code == status
    assert caught.value.retryable
