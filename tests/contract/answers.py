"""Test answers, as part of the contract: the eight endpoints, streams, events and token counts."""

from __future__ import annotations

import traceback
from typing import Any

from llama_index.core.base.llms.types import ChatMessage, LLMMetadata, MessageRole
from llama_index.core.callbacks import CallbackManager, TokenCountingHandler
from llama_index.core.prompts import PromptTemplate

from .base import CHAT, COMPLETE, ContractBase, collect, each_chat, each_endpoint, each_stream, observe, text_of


class AnswerContract(ContractBase):
    """The tests that every LLM must pass."""

    def test_metadata_costs_no_request(self) -> None:
        """`metadata` is read many times per call: it uses no network, and leaves room for a prompt."""
        llm, before = self.make_llm(), self.count_requests()
        metadata = llm.metadata
        assert isinstance(metadata, LLMMetadata)
        assert metadata.context_window > max(metadata.num_output, 256)
        assert metadata.model_name
        assert self.count_requests() == before

    @each_endpoint
    def test_answers(self, endpoint: str) -> None:
        """Each of the eight endpoints answers with text; chat answers come from the assistant."""
        last = self.ask(self.make_llm(), endpoint)[-1]
        assert text_of(last).strip()
        assert endpoint in COMPLETE or last.message.role is MessageRole.ASSISTANT

    @each_endpoint
    def test_one_request_per_call(self, endpoint: str) -> None:
        """A call is one request; neither retries nor metadata multiply it."""
        llm, before = self.make_llm(), self.count_requests()
        self.need(before, "count of requests")
        self.ask(llm, endpoint)
        assert self.count_requests() == (before or 0) + 1

    def test_sync_and_async_are_alike(self) -> None:
        """The async version of an endpoint returns the same responses, chunk for chunk, including thoughts."""
        self.need(self.is_deterministic, "determinism")
        for llm in filter(None, (self.make_llm(), self.make_thinking_llm())):
            for endpoint in ("chat", "complete", "stream_chat", "stream_complete"):
                sync, async_ = self.ask(llm, endpoint), self.ask(llm, f"a{endpoint}")
                assert [_seen(r) for r in sync] == [_seen(r) for r in async_], endpoint

    @each_stream
    def test_streams_grow(self, endpoint: str) -> None:
        """`delta` is the new text, and the response's text is all text so far."""
        text = ""
        responses = self.ask(self.make_llm(), endpoint)
        assert len(responses) > 1
        for response in responses:
            text += response.delta or ""
            assert text_of(response) == text

    @each_stream
    def test_streamed_responses_do_not_change_later(self, endpoint: str) -> None:
        """A yielded response keeps its text, because consumers store responses: the next one is a new object."""
        responses = self.ask(self.make_llm(), endpoint)
        lengths = [len(text_of(response)) for response in responses]
        assert lengths == sorted(lengths)
        assert lengths[0] < lengths[-1]
        if endpoint not in COMPLETE:
            blocks = [id(block) for response in responses for block in response.message.blocks]
            assert len(blocks) == len(set(blocks))

    @each_chat
    def test_text_is_one_block(self, endpoint: str) -> None:
        """An answer of one text has one block, because consumers join text blocks with newlines."""
        for response in self.ask(self.make_llm(), endpoint):
            assert len([b for b in response.message.blocks if b.block_type == "text"]) <= 1

    @each_endpoint
    def test_one_event_and_one_span_per_call(self, endpoint: str) -> None:
        """An endpoint must not call another traced one, because it would be counted twice."""
        llm = self.make_llm()
        with observe(llm) as seen:
            responses = self.ask(llm, endpoint)
        assert (len(seen.named("Start")), len(seen.named("End"))) == (1, 1)
        assert (len(seen.starts), len(seen.ends)) == (1, 1)
        assert seen.spans_of(llm) == [endpoint]
        assert len(seen.named("InProgress")) == (len(responses) if "stream" in endpoint else 0)

    @each_endpoint
    def test_tokens_are_counted_exactly(self, endpoint: str) -> None:
        """`TokenCountingHandler` reads the usage of the (last) response instead of guessing."""
        self.need(self.has_usage, "usage")
        llm, counter = self.make_llm(), TokenCountingHandler(tokenizer=lambda text: [text] * 100_003)
        llm.callback_manager = CallbackManager([counter])
        usage = dict(self.ask(llm, endpoint)[-1].raw)["usage"]
        usage = usage if isinstance(usage, dict) else usage.model_dump()
        assert len(counter.llm_token_counts) == 1
        assert counter.prompt_llm_token_count == usage["prompt_tokens"] > 0
        assert counter.completion_llm_token_count == usage["completion_tokens"] > 0

    @each_endpoint
    def test_failures_are_raised(self, endpoint: str) -> None:
        """A failed call raises, also in a stream; otherwise an empty or partial answer would look complete."""
        llm = self.make_failing_llm()
        self.need(llm, "failing LLM")
        assert llm is not None
        with observe(llm) as seen:
            try:
                answer: object = self.ask(llm, endpoint)
            except Exception as error:
                answer = error
        assert isinstance(answer, Exception)
        assert str(answer)
        assert len(seen.named("End")) == 0
        assert len(seen.ends) == 1
        shown = "".join(traceback.format_exception(answer)) + repr(answer) + seen.text()
        assert not any(secret in shown for secret in self.secrets())

    @each_chat
    def test_messages_are_not_changed(self, endpoint: str) -> None:
        """The caller's messages, their blocks and their dicts stay as they are."""
        messages = [
            ChatMessage(role="system", content="Be brief.", additional_kwargs={"note": {"a": 1}}),
            ChatMessage(role="user", content="Hello"),
            ChatMessage(role="assistant", content="Hello! What can I do?"),
            *self.user,
        ]
        before = [message.model_dump_json() for message in messages]
        collect(getattr(self.make_llm(), endpoint), messages)
        assert [message.model_dump_json() for message in messages] == before

    def test_chat_does_not_add_the_system_prompt(self) -> None:
        """`system_prompt` belongs to `predict` and structured output; `chat` sends only its messages."""
        llm = self.make_llm(system_prompt="Answer in rhymes.")
        with observe(llm) as seen:
            llm.chat(self.user)
        assert len(seen.named("Start")[0].messages) == 1
        sent = self.last_messages()
        assert sent is None or len(sent) == 1

    def test_predict_adds_the_system_prompt(self) -> None:
        """Query engines use `predict`, which sends `system_prompt` first."""
        llm = self.make_llm(system_prompt="Answer in rhymes.")
        assert llm.predict(PromptTemplate("Say {word}"), word="hello").strip()
        sent = self.last_messages()
        text = "Answer in rhymes."
        assert sent is None or sent[0]["content"] in (text, [{"type": "text", "text": text}])

    def test_thoughts(self) -> None:
        """Thoughts stream in the response's `thinking_delta`, which agents read, and end in one ThinkingBlock."""
        llm = self.make_thinking_llm()
        self.need(llm, "thinking LLM")
        assert llm is not None
        for endpoint in CHAT:
            responses = self.ask(llm, endpoint)
            [block] = [b for b in responses[-1].message.blocks if b.block_type == "thinking"]
            assert block.content
            thought = "".join(r.additional_kwargs.get("thinking_delta") or "" for r in responses)
            assert thought == (block.content if "stream" in endpoint else "")
            assert block.content not in text_of(responses[-1])

    def test_signed_thoughts_are_sent_back(self) -> None:
        """A thought's signature goes back unchanged with the next request, also through JSON."""
        llm = self.make_thinking_llm()
        self.need(llm, "thinking LLM")
        assert llm is not None
        for endpoint in CHAT:
            answer = self.ask(llm, endpoint)[-1].message
            restored = ChatMessage.model_validate_json(answer.model_dump_json())
            sent_back = []
            for message in (answer, restored):
                llm.chat([*self.user, message, ChatMessage(role="user", content="Go on")])
                sent = self.last_messages()
                self.need(sent, "view of the request")
                sent_back.append((sent or [])[1])
            assert sent_back[0] == sent_back[1]
            [block] = [b for b in answer.blocks if b.block_type == "thinking"]
            assert block.content[:20] in repr(sent_back[0])


def _seen(response: Any) -> tuple[object, ...]:
    chat = getattr(response, "message", None)
    blocks = [(b.block_type, getattr(b, "text", getattr(b, "content", None))) for b in chat.blocks] if chat else []
    extra = response.additional_kwargs
    return getattr(response, "delta", None), text_of(response), blocks, extra.get("thinking_delta")
