"""Test the life of an LLM object, as part of the contract: loops, copies, secrets, leaving early."""

from __future__ import annotations

import asyncio
import copy
import gc
import pickle
from typing import Any

import pytest
from llama_index.core import Settings
from llama_index.core.llms import LLM

from .base import ContractBase, each_endpoint, each_stream, observe, text_of


class LifecycleContract(ContractBase):
    """The tests for programs that keep an LLM, copy it, save it and stop it."""

    def test_it_has_a_name_of_its_own(self) -> None:
        """`class_name` identifies saved LLMs."""
        llm = self.make_llm()
        assert llm.class_name() not in {base.class_name() for base in type(llm).__mro__[1:] if issubclass(base, LLM)}

    def test_two_event_loops(self) -> None:
        """An async client ends with its event loop: a second `asyncio.run` works, and nothing stays open."""
        llm = self.make_llm()
        for endpoint in ("achat", "astream_chat", "acomplete"):
            assert text_of(self.ask(llm, endpoint)[-1]).strip()
        gc.collect()  # an unclosed socket warns here

    def test_loops_side_by_side(self) -> None:
        """Simultaneous calls in one loop do not disturb each other."""
        llm = self.make_llm()

        async def run() -> list[Any]:
            return await asyncio.gather(*(llm.achat(self.user) for _ in range(5)))

        assert all(text_of(response).strip() for response in asyncio.run(run()))

    def test_copies_work_after_use(self) -> None:
        """Frameworks make deep copies at any time, also while connections are open."""
        llm = self.make_llm()
        self.ask(llm, "chat")
        self.ask(llm, "achat")
        for twin in (copy.copy(llm), copy.deepcopy(llm), llm.model_copy(deep=True)):
            assert text_of(self.ask(twin, "chat")[-1]).strip()
            assert text_of(self.ask(twin, "achat")[-1]).strip()

    def test_pickles_work_after_use(self) -> None:
        """Process pools of ingestion pipelines pickle the LLM, its key included."""
        self.need(self.is_picklable, "pickling")
        llm = self.make_llm()
        self.ask(llm, "chat")
        self.ask(llm, "achat")
        twin = pickle.loads(pickle.dumps(llm))  # noqa: S301 -- this line made it
        assert text_of(self.ask(twin, "chat")[-1]).strip()
        assert text_of(self.ask(twin, "achat")[-1]).strip()

    def test_it_can_be_saved_and_loaded(self) -> None:
        """`from_dict(to_dict())` returns an LLM with the same settings and the same dict."""
        llm = self.make_llm(system_prompt="Be brief.")
        saved = llm.to_dict()
        assert saved["class_name"] == llm.class_name()
        loaded = type(llm).from_dict(saved)
        assert loaded.system_prompt == "Be brief."
        assert loaded.to_dict() == saved
        assert type(llm).from_json(llm.to_json()).metadata == llm.metadata

    def test_secrets_are_not_shown(self) -> None:
        """repr, str, dict and JSON contain no key."""
        llm = self.make_llm()
        shown = [repr(llm), str(llm), repr(llm.to_dict()), llm.to_json(), repr(llm.model_dump()), repr(llm.metadata)]
        for secret in self.secrets():
            assert not any(secret in text for text in shown)

    @each_endpoint
    def test_secrets_are_not_traced(self, endpoint: str) -> None:
        """The events, callback payloads, logs of all libraries and the response contain no key."""
        llm = self.make_llm()
        with observe(llm) as seen:
            responses = self.ask(llm, endpoint)
        shown = seen.text() + repr(responses)
        assert llm.class_name() in seen.text()
        for secret in self.secrets():
            assert secret not in shown

    def test_events_leave_the_answer_alone(self) -> None:
        """Dumping an event, as tracers do, does not change the response that it contains."""
        llm = self.make_llm()
        with observe(llm) as seen:
            [response] = self.ask(llm, "chat")
        before = repr(response.raw)
        seen.text()
        assert repr(response.raw) == before

    def test_it_can_be_the_default(self) -> None:
        """`Settings.llm` accepts it unchanged."""
        llm, before = self.make_llm(), Settings._llm
        try:
            Settings.llm = llm
            assert Settings.llm is llm
        finally:
            Settings._llm = before

    @each_endpoint
    def test_the_rate_limiter_is_asked_once(self, endpoint: str) -> None:
        """Each call takes one permit."""
        self.need("rate_limiter" in LLM.model_fields, "rate limiter in this version of LlamaIndex")
        from llama_index.core.rate_limiter import TokenBucketRateLimiter

        asked: list[int] = []

        class Counting(TokenBucketRateLimiter):
            def acquire(self, num_tokens: int = 0) -> None:
                asked.append(num_tokens)

            async def async_acquire(self, num_tokens: int = 0) -> None:
                asked.append(num_tokens)

        llm = self.make_llm()
        llm.rate_limiter = Counting(requests_per_minute=600)
        self.ask(llm, endpoint)
        assert len(asked) == 1

    @each_stream
    @pytest.mark.parametrize("kept", [False, True])
    def test_leaving_a_stream_frees_the_connection(self, endpoint: str, kept: bool) -> None:
        """Closing a stream stops the server, even if a handler keeps the events of the call (`kept`)."""
        llm = self.make_slow_llm()
        self.need(llm, "slow LLM")
        assert llm is not None
        given: Any = self.question if "complete" in endpoint else self.user

        async def leave() -> bool:
            stream = await getattr(llm, endpoint)(given)
            await stream.__anext__()
            await stream.aclose()
            return await asyncio.to_thread(self.was_disconnected)

        def run() -> bool:
            if endpoint.startswith("a"):
                return asyncio.run(leave())
            stream = getattr(llm, endpoint)(given)
            next(stream)
            stream.close()
            return self.was_disconnected()

        gc.disable()
        try:
            if not kept:
                assert run()
                return
            with observe(llm):
                assert run()
        finally:
            gc.enable()
