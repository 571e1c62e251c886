"""Test estimated costs, actual costs and budgets in both frameworks."""

import asyncio
import contextlib
import copy
import pickle
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.exceptions import ModelError
from langchain_core.messages import HumanMessage
from langchain_core.utils.function_calling import convert_to_openai_tool
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import ChatMessage

from kilo_gateway import GatewaySettings, KiloBudget, KiloBudgetExceeded, KiloError, Usage, list_models
from kilo_gateway.charge import Charge
from kilo_gateway.conversation import File, Image, Message, Opaque, Part, Refusal, Text, Thought, ToolCall, ToolResult
from kilo_gateway.models import prices
from kilo_gateway.models.info import ModelInfo
from kilo_gateway.reply import Delta
from kilo_gateway.sandbox import Sandbox
from kilo_gateway.transport.exchange import Exchange
from langchain_kilo import ChatKilo, KiloEmbeddings
from llama_index_kilo import KiloEmbedding, KiloLLM
from tests.support.tools import add
from tests.support.ways import WAYS, every_way

PAID = "anthropic/claude-sonnet-4.6"
EXTRA = "tests/not-listed"


@pytest.fixture
def account(kilo_sandbox: Sandbox) -> dict[str, Any]:
    fields: dict[str, Any] = {"base_url": kilo_sandbox.base_url, "api_key": kilo_sandbox.api_key}
    list_models(**fields)
    kilo_sandbox.clear()
    return fields


@pytest.fixture(params=[ChatKilo, KiloLLM])
def cls(request: pytest.FixtureRequest) -> Any:
    return request.param


def ask(llm: Any, text: str = "Hello", **call: Any) -> float:
    """Return the reported cost of a call."""
    if isinstance(llm, ChatKilo):
        return float(llm.invoke(text, **call).response_metadata["cost"])
    return float(llm.complete(text, **call).additional_kwargs["cost"])


async def aask(llm: Any) -> Any:
    return await (llm.ainvoke("Hello") if isinstance(llm, ChatKilo) else llm.acomplete("Hello"))


def pieces(llm: Any, text: str = "Hello") -> Any:
    return llm.stream(text) if isinstance(llm, ChatKilo) else llm.stream_complete(text)


async def apieces(llm: Any) -> Any:
    return llm.astream("Hello") if isinstance(llm, ChatKilo) else await llm.astream_complete("Hello")


def test_an_estimate(account: dict[str, Any], cls: Any) -> None:
    llm = cls(model=PAID, **account)
    info = list_models(**account).get(PAID)
    assert info.prompt_price is not None
    assert info.completion_price is not None
    text = "word " * 400
    tokens = len(text) + prices.TOKENS_PER_MESSAGE + prices.TOKENS_PER_REQUEST
    dearest = max(float(info.prompt_price), float(info.cache_write_price or 0))
    expected = (tokens * dearest + 1000 * float(info.completion_price)) / 1e6
    assert llm.estimate_cost(text, max_tokens=1000) == pytest.approx(expected)
    assert llm.estimate_cost(text, 1000) == pytest.approx(llm.estimate_cost(text, max_completion_tokens=1000))
    messages: Any = [HumanMessage(text)] if cls is ChatKilo else [ChatMessage(text)]
    assert cls(model=PAID, max_tokens=1000, **account).estimate_cost(messages) == pytest.approx(expected)
    assert info.max_output_tokens is not None
    assert llm.estimate_cost(text) == pytest.approx(llm.estimate_cost(text, info.max_output_tokens))
    assert ask(llm, text, max_tokens=1000) <= expected


def test_an_estimate_of_a_tier_is_that_of_its_dearest_model(account: dict[str, Any], cls: Any) -> None:
    reached = (list_models(**account).get("kilo-auto/frontier").auto_routing or {})["models"]
    assert len(reached) > 1
    each = [cls(model=model, **account).estimate_cost("Hello", 10) for model in reached]
    assert cls(tier="frontier", **account).estimate_cost("Hello", 10) == max(each)


def test_an_unknown_price_is_none_and_a_free_one_is_zero(account: dict[str, Any], cls: Any) -> None:
    assert cls(model=EXTRA, **account).estimate_cost("Hello", 10) is None
    assert cls(tier="free", **account).estimate_cost("Hello") == 0.0
    assert cls(model="nobody/knows:free", **account).estimate_cost("Hello", 10) is None
    assert cls(model="stepfun/step-3.7-flash:free", **account).estimate_cost("Hello") == 0.0


def test_prices() -> None:
    info = ModelInfo.read(
        {"id": "a/b", "pricing": {"prompt": "0.000003", "completion": "0.000015", "input_cache_read": "0.0000003"}}
    )
    assert prices.price(info, Usage(1_000_000, 100_000)) == pytest.approx(4.5)
    assert prices.price(info, Usage(1_000_000, 0, cached_tokens=1_000_000)) == pytest.approx(0.3)
    for_prompt = ModelInfo.read({"id": "a/b", "pricing": {"prompt": "0.000001", "request": "0.01"}})
    assert prices.price(for_prompt, Usage(1_000_000)) == pytest.approx(1.01)
    assert prices.price(for_prompt, Usage(1, 1)) is None
    assert prices.price(ModelInfo.read({"id": "a/b", "pricing": {"prompt": "-1"}}), Usage(1)) is None
    assert prices.price(None, Usage(1)) is None


def test_tokens_of_a_request_are_never_fewer_than_a_tokenizer_makes() -> None:
    def size(*parts: Part, **keywords: Any) -> prices.Size:
        conversation = [Message("user", parts)] if parts else []
        return prices.size_of(GatewaySettings().prepare(conversation, stream=False, keywords=keywords))

    def prompt(*parts: Part, **keywords: Any) -> int:
        return size(*parts, **keywords).prompt

    text = Text("abcdefgh")
    base = prompt(text)
    assert base == 8 + prices.TOKENS_PER_MESSAGE + prices.TOKENS_PER_REQUEST
    assert prompt(text, Image("data:...")) == base + prices.TOKENS_PER_IMAGE
    assert prompt(ToolCall("", "f", "x" * 80)) > 80 + prices.TOKENS_PER_MESSAGE
    assert prompt(ToolResult("", [text, Text("x" * 80)])) > 88 + prices.TOKENS_PER_MESSAGE
    assert prompt(Thought("x" * 80), Refusal("x" * 80)) > 160
    assert prompt(Thought("", [{"type": "reasoning.encrypted", "data": "x" * 400}])) > 400
    assert prompt(Opaque({"type": "other", "data": "x" * 9000})) > 9000
    assert prompt(File("data:application/pdf;base64," + "x" * 9000)) > 9000
    assert prompt(text, tools=[{"name": "x" * 400}]) > base + 400 + prices.TOKENS_FOR_TOOLS
    assert prompt(text, response_format={"type": "json_schema", "json_schema": "x" * 400}) > base + 400
    assert prices.size_of_texts(["abcd", "日本"]) == prices.Size(10 + 2 * prices.TOKENS_PER_MESSAGE, 0)
    assert size(max_tokens=5, n=3) == prices.Size(prices.TOKENS_PER_REQUEST, 15, 3)
    assert size().answer is None


def test_a_spent_budget_refuses_before_the_request_is_sent(
    account: dict[str, Any], cls: Any, kilo_sandbox: Sandbox
) -> None:
    cost = ask(cls(model=PAID, **account))
    llm = cls(model=PAID, max_tokens=100, **account)
    most = llm.estimate_cost("Hello")
    assert most is not None
    budget = KiloBudget(limit_usd=most + cost)
    llm.budget = budget
    assert ask(llm) == pytest.approx(budget.spent_usd) == pytest.approx(cost)
    assert ask(llm) == pytest.approx(cost)
    assert budget.spent_usd == pytest.approx(2 * cost)
    assert budget.left_usd < most
    sent = len(kilo_sandbox.requests)
    with pytest.raises(KiloBudgetExceeded, match="It was not sent") as raised:
        ask(llm)
    error = raised.value
    assert (error.retryable, error.limit_usd, error.under_way_usd) == (False, budget.limit_usd, 0)
    assert error.spent_usd == budget.spent_usd
    assert isinstance(error, ModelError) is (cls is ChatKilo)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)  # noqa: S301 -- our own data
    with pytest.raises(KiloBudgetExceeded):
        list(pieces(llm))
    with pytest.raises(KiloBudgetExceeded):
        asyncio.run(aask(llm))
    with pytest.raises(KiloBudgetExceeded):
        asyncio.run(_first(llm))
    assert len(kilo_sandbox.requests) == sent


async def _first(llm: Any) -> Any:
    async for piece in await apieces(llm):
        return piece
    return None


def test_a_call_that_may_cost_more_than_is_left_is_not_sent(
    account: dict[str, Any], cls: Any, kilo_sandbox: Sandbox
) -> None:
    llm = cls(model=PAID, budget=KiloBudget(limit_usd=0.001), **account)
    with pytest.raises(KiloBudgetExceeded, match=r"this request may cost 0\.1"):
        ask(llm, max_tokens=10_000)
    assert not kilo_sandbox.requests
    ask(llm, max_tokens=10)


def test_everything_that_shares_it_counts(account: dict[str, Any]) -> None:
    budget = KiloBudget(limit_usd=1)
    reported = ask(ChatKilo(model=PAID, budget=budget, **account)) + ask(KiloLLM(model=PAID, budget=budget, **account))
    for embeddings in (KiloEmbeddings(budget=budget, **account), KiloEmbedding(budget=budget, **account)):
        if isinstance(embeddings, KiloEmbeddings):
            embeddings.embed_documents(["foo", "bar"])
        else:
            asyncio.run(embeddings.aget_text_embedding_batch(["foo", "bar"]))
        reported += embeddings.usage.total.cost
    streamed = ChatKilo(model=PAID, budget=budget, **account).invoke("Hello", stream=True)
    reported += streamed.response_metadata["cost"]
    last = list(pieces(KiloLLM(model=PAID, budget=budget, **account)))[-1]
    reported += last.additional_kwargs["cost"]
    assert budget.spent_usd == pytest.approx(reported)
    assert (budget.under_way_usd, budget.unpriced_calls) == (0, 0)


@pytest.mark.parametrize("embeddings", [KiloEmbeddings, KiloEmbedding])
def test_embeddings_are_refused(account: dict[str, Any], kilo_sandbox: Sandbox, embeddings: Any) -> None:
    budget = KiloBudget(limit_usd=1e-9)
    model = embeddings(budget=budget, **account)
    embed = model.embed_query if embeddings is KiloEmbeddings else model.get_query_embedding
    embed("foo")
    with pytest.raises(KiloBudgetExceeded) as raised:
        embed("foo")
    assert len(kilo_sandbox.requests) == 1
    assert isinstance(raised.value, ModelError) is (embeddings is KiloEmbeddings)


def test_threads_cannot_exceed_it(account: dict[str, Any], kilo_sandbox: Sandbox) -> None:
    llm = ChatKilo(model=PAID, max_tokens=100, **account)
    most = llm.estimate_cost("Hello")
    assert most is not None
    budget = KiloBudget(limit_usd=most * 3.5)
    llm.budget = budget

    def attempt(_: int) -> bool:
        try:
            llm.invoke("Hello")
        except KiloBudgetExceeded:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        served = sum(pool.map(attempt, range(32)))
    assert 3 <= served == len(kilo_sandbox.requests)
    assert budget.spent_usd <= budget.limit_usd
    assert budget.under_way_usd == 0


def charge(budget: KiloBudget, keywords: dict[str, Any], base_url: str = "http://127.0.0.1", text: str = "") -> Charge:
    settings = GatewaySettings(base_url=base_url)
    call = settings.prepare(text, stream=False, keywords=keywords)
    return Charge(budget, Exchange(settings, "/", model=call.model), partial(prices.size_of, call))


def test_calls_under_way_count() -> None:
    budget = KiloBudget(limit_usd=1.0, unknown_cost_usd=0.4, unknown_price="allow")
    charges = [charge(budget, {"model": EXTRA}) for _ in range(3)]
    with charges[0], charges[1]:
        assert budget.under_way_usd == pytest.approx(0.8)
        assert budget.left_usd == pytest.approx(0.2)
        with pytest.raises(KiloBudgetExceeded, match=r"0 are spent and 0\.8 under way, and the possible cost"):
            charges[2].__enter__()
        charges[1].answered(None, Usage(cost=0.1))
    assert (budget.under_way_usd, budget.unpriced_calls) == (0, 1)
    assert budget.spent_usd == pytest.approx(0.5)


def test_a_cost_that_is_not_reported(account: dict[str, Any]) -> None:
    def spent(usage: Usage | None, model: str = PAID) -> tuple[float, int]:
        budget = KiloBudget(limit_usd=10, unknown_cost_usd=0.25)
        with charge(budget, {"model": model, "max_tokens": 10}, account["base_url"], "x" * 4000) as one:
            one.answered(None, usage)
        return budget.spent_usd, budget.unpriced_calls

    assert spent(Usage(cost=0.0)) == (0.0, 0)
    assert spent(Usage(1_000_000, 0)) == (pytest.approx(3.0), 0)
    assert spent(Usage(1_000_000, 0), EXTRA) == (0.25, 1)
    assert spent(None, EXTRA) == (0.25, 1)
    assert 0.01 < spent(None)[0] < 0.02
    free = KiloBudget(limit_usd=0.01)
    ChatKilo(budget=free, base_url=account["base_url"]).invoke("The free tier tells no cost")  # words: keep -- a prompt
    assert (free.spent_usd, free.unpriced_calls) == (0, 0)


def test_a_call_that_fails_counts_nothing(account: dict[str, Any], cls: Any) -> None:
    budget = KiloBudget(limit_usd=1, unknown_cost_usd=0.1)
    llm = cls(model="sandbox/error-503", budget=budget, max_retries=0, **account)
    for call in (ask, lambda llm: list(pieces(llm)), lambda llm: asyncio.run(aask(llm))):
        with pytest.raises(Exception, match="503"):
            call(llm)
    assert (budget.spent_usd, budget.under_way_usd, budget.unpriced_calls) == (0, 0, 0)


def test_a_stream_that_is_closed_early_counts_an_estimate(account: dict[str, Any], cls: Any) -> None:
    llm = cls(model=PAID, **account)
    whole = list(pieces(llm, "word " * 400))[-1]
    full_cost = whole.response_metadata["cost"] if cls is ChatKilo else whole.additional_kwargs["cost"]
    budget = llm.budget = KiloBudget(limit_usd=1)
    stream = pieces(llm, "word " * 400)
    next(stream)
    assert budget.under_way_usd > 0
    stream.close()
    assert (budget.under_way_usd, budget.unpriced_calls) == (0, 0)
    assert 0.001 < budget.spent_usd < full_cost

    async def leave() -> None:
        stream = await apieces(llm)
        await anext(stream)
        await stream.aclose()

    before = budget.spent_usd
    asyncio.run(leave())
    assert budget.spent_usd > before
    assert budget.under_way_usd == 0


def test_a_stream_that_breaks_counts_what_had_arrived() -> None:
    budget = KiloBudget(limit_usd=1, unknown_cost_usd=0.2)

    def broken(*deltas: Delta, opened: bool) -> None:
        with charge(budget, {"model": EXTRA}) as one:
            one._exchange.opened = opened
            assert list(one.seen(iter(deltas))) == list(deltas)
            raise OSError

    with pytest.raises(OSError, match=r"^$"):
        broken(opened=False)
    assert budget.spent_usd == 0
    with pytest.raises(OSError, match=r"^$"):
        broken(Delta("some text"), opened=True)
    assert budget.spent_usd == 0.2


@pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince20")  # LlamaIndex's own code warns
@pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince211")  # LlamaIndex's own code warns
def test_agents_stop_when_it_is_spent(account: dict[str, Any], kilo_sandbox: Sandbox) -> None:
    """The first of the agent's two calls spends the budget."""
    llm = ChatKilo(tier="balanced", max_tokens=200, **account)
    most = llm.estimate_cost("What is add(2, 3)?", tools=[convert_to_openai_tool(add)])
    assert most is not None
    budget = llm.budget = KiloBudget(limit_usd=most)
    agent: Any = create_agent(llm, tools=[add])
    with pytest.raises(KiloBudgetExceeded):
        agent.invoke({"messages": [("user", "What is add(2, 3)?")]})
    assert len(kilo_sandbox.requests) == 1
    shared = KiloLLM(tier="balanced", max_tokens=200, budget=budget, **account)
    with pytest.raises(KiloBudgetExceeded):
        asyncio.run(_run(FunctionAgent(tools=[add], llm=shared, streaming=False)))
    assert len(kilo_sandbox.requests) == 1


async def _run(agent: Any) -> Any:
    return await agent.run("What is add(2, 3)?")


def test_a_batch_counts(account: dict[str, Any]) -> None:
    budget = KiloBudget(limit_usd=1)
    answers = ChatKilo(model=PAID, budget=budget, **account).batch(["one", "two", "three"])
    assert budget.spent_usd == pytest.approx(sum(answer.response_metadata["cost"] for answer in answers))


def test_copies_share_the_budget_and_pickles_have_their_own(account: dict[str, Any], cls: Any) -> None:
    budget = KiloBudget(limit_usd=1)
    llm = cls(model=PAID, budget=budget, **account)
    assert copy.copy(budget) is copy.deepcopy(budget) is budget
    assert copy.deepcopy(llm).budget is llm.model_copy().budget is llm.with_mode("plan").budget is budget
    ask(llm)
    other = pickle.loads(pickle.dumps(llm))  # noqa: S301 -- our own data
    assert other.budget.spent_usd == budget.spent_usd > 0
    before = budget.spent_usd
    ask(other)
    assert other.budget.spent_usd > budget.spent_usd == before
    assert repr(budget) == f"KiloBudget(limit_usd=1, spent_usd={before:g})"
    assert "budget" not in str(llm.model_dump(exclude={"callback_manager", "callbacks"})) + repr(llm)


def test_the_cache_of_langchain_does_not_depend_on_it(account: dict[str, Any]) -> None:
    keys = [
        ChatKilo(model=PAID, budget=budget, **account)._get_llm_string() for budget in (None, KiloBudget(limit_usd=1))
    ]
    assert keys[0] == keys[1]


@pytest.mark.parametrize("limit", [0, -1, float("nan"), float("inf")])
def test_a_limit_must_be_positive(limit: float) -> None:
    with pytest.raises(ValueError, match="limit_usd="):
        KiloBudget(limit_usd=limit)
    with pytest.raises(ValueError, match="unknown_cost_usd="):
        KiloBudget(limit_usd=1, unknown_cost_usd=-1)


def test_it_cannot_be_set_per_call(account: dict[str, Any], cls: Any) -> None:
    with pytest.raises(ValueError, match="set it on the model"):
        ask(cls(**account), budget=KiloBudget(limit_usd=1))
    with pytest.raises(ValueError, match="budget"):
        cls(budget=5)


@every_way
@pytest.mark.parametrize("name", ["echo", "error-429", "drop-connection", "cut-stream", "stream-error-first"])
async def test_nothing_stays_under_way(account: dict[str, Any], way: str, name: str) -> None:
    budget = KiloBudget(limit_usd=1, unknown_cost_usd=0.1)
    cls, ask = WAYS[way]
    with contextlib.suppress(KiloError):  # a failed call must release its share too
        await ask(cls(model=f"sandbox/{name}", budget=budget, max_retries=0, **account))
    assert budget.under_way_usd == 0
    assert budget.spent_usd <= 0.1


@pytest.mark.parametrize("way", ["langchain ainvoke", "llama_index astream_chat"])
async def test_a_cancelled_call_counts(account: dict[str, Any], kilo_sandbox: Sandbox, way: str) -> None:
    budget = KiloBudget(limit_usd=1, unknown_cost_usd=0.1)
    cls, ask = WAYS[way]
    task = asyncio.ensure_future(ask(cls(model="sandbox/stall", budget=budget, **account)))
    await asyncio.to_thread(kilo_sandbox.wait_for, lambda record: record.method == "POST")
    assert budget.under_way_usd == 0.1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (budget.under_way_usd, budget.spent_usd, budget.unpriced_calls) == (0, 0.1, 1)
