"""The contract's part about an LLM object's life: loops, copies, secrets, leaving early."""

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
    """What an LLM owes to programs that keep it, copy it, save it and stop it."""

    def test_it_has_a_name_of_its_own(self) -> None:
        """`class_name` identifies saved LLMs."""
        llm = self.make_llm()
        assert llm.class_name() not in {base.class_name() for base in type(llm).__mro__[1:] if issubclass(base, LLM)}

    def test_two_event_loops(self) -> None:
        """An async client does not outlive its event loop: a second `asyncio.run` works, and nothing is left open."""
        llm = self.make_llm()
        for endpoint in ("achat", "astream_chat", "acomplete"):
            assert text_of(self.ask(llm, endpoint)[-1]).strip()
        gc.collect()  # an unclosed socket warns here

    def test_loops_side_by_side(self) -> None:
        """Calls of one loop at the same time do not disturb each other."""
        llm = self.make_llm()

        async def run() -> list[Any]:
            return await asyncio.gather(*(llm.achat(self.user) for _ in range(5)))

        assert all(text_of(response).strip() for response in asyncio.run(run()))

    def test_copies_work_after_use(self) -> None:
        """Deep copies are made by frameworks at any time: open connections do not hinder them."""
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
        twin = pickle.loads(pickle.dumps(llm))  # noqa: S301 -- made on this line
        assert text_of(self.ask(twin, "chat")[-1]).strip()
        assert text_of(self.ask(twin, "achat")[-1]).strip()

    def test_it_survives_being_saved(self) -> None:
        """`from_dict(to_dict())` gives an LLM with the same settings, and again the same dict."""
        llm = self.make_llm(system_prompt="Be brief.")
        saved = llm.to_dict()
        assert saved["class_name"] == llm.class_name()
        loaded = type(llm).from_dict(saved)
        assert loaded.system_prompt == "Be brief."
        assert loaded.to_dict() == saved
        assert type(llm).from_json(llm.to_json()).metadata == llm.metadata

    def test_secrets_are_not_shown(self) -> None:
        """No key in repr, str, dict or JSON."""
        llm = self.make_llm()
        shown = [repr(llm), str(llm), repr(llm.to_dict()), llm.to_json(), repr(llm.model_dump()), repr(llm.metadata)]
        for secret in self.secrets():
            assert not any(secret in text for text in shown)

    @each_endpoint
    def test_secrets_are_not_traced(self, endpoint: str) -> None:
        """No key in the events, the callbacks' payloads, the logs of any library or the response."""
        llm = self.make_llm()
        with observe(llm) as seen:
            responses = self.ask(llm, endpoint)
        told = seen.told() + repr(responses)
        assert llm.class_name() in seen.told()
        for secret in self.secrets():
            assert secret not in told

    def test_events_leave_the_answer_alone(self) -> None:
        """Dumping an event, as tracers do, does not change the response that it holds."""
        llm = self.make_llm()
        with observe(llm) as seen:
            [response] = self.ask(llm, "chat")
        before = repr(response.raw)
        seen.told()
        assert repr(response.raw) == before

    def test_it_can_be_the_default(self) -> None:
        """`Settings.llm` takes it as it is."""
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
        """Closing a stream stops the server, even while a handler keeps the events of the call (`kept`)."""
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
