"""Test the embeddings of both frameworks on the sandbox: requests, batches, odd answers, cost, errors, copies."""

import asyncio
import copy
import pickle
from typing import Any

import httpx
import pytest
from llama_index.core import Settings
from pydantic import ValidationError

import kilo_gateway as kilo
from kilo_gateway.sandbox import Sandbox
from kilo_gateway.sandbox.model.vectors import vector
from langchain_kilo import KiloEmbeddings, KiloUsageCallback
from llama_index_kilo import KiloEmbedding, KiloUsageHandler

SMALL = "openai/text-embedding-3-small"
TEXTS = ["A cat sleeps.", "Two\nlines and  blanks ", "日本語", "A cat sleeps."]


class LangChain:
    """KiloEmbeddings with the names that the tests use."""

    cls = KiloEmbeddings
    count = KiloUsageCallback

    @staticmethod
    def make(gateway: Sandbox, **fields: Any) -> Any:
        if "batch" in fields:
            fields["batch_size"] = fields.pop("batch")
        return KiloEmbeddings(**{"base_url": gateway.base_url, "api_key": gateway.api_key, **fields})

    @staticmethod
    def texts(model: Any, texts: list[str], use_async: bool = False) -> list[list[float]]:
        vectors = asyncio.run(model.aembed_documents(texts)) if use_async else model.embed_documents(texts)
        return list(vectors)

    @staticmethod
    def query(model: Any, text: str, use_async: bool = False) -> list[float]:
        return list(asyncio.run(model.aembed_query(text)) if use_async else model.embed_query(text))


class LlamaIndex:
    """KiloEmbedding with the same names."""

    cls = KiloEmbedding
    count = KiloUsageHandler

    @staticmethod
    def make(gateway: Sandbox, **fields: Any) -> Any:
        if "batch" in fields:
            fields["embed_batch_size"] = fields.pop("batch")
        return KiloEmbedding(**{"base_url": gateway.base_url, "api_key": gateway.api_key, **fields})

    @staticmethod
    def texts(model: Any, texts: list[str], use_async: bool = False) -> list[list[float]]:
        batch = model.aget_text_embedding_batch
        return list(asyncio.run(batch(texts)) if use_async else model.get_text_embedding_batch(texts))

    @staticmethod
    def query(model: Any, text: str, use_async: bool = False) -> list[float]:
        return list(asyncio.run(model.aget_query_embedding(text)) if use_async else model.get_query_embedding(text))


def pickled(model: Any) -> Any:
    return pickle.loads(pickle.dumps(model))  # noqa: S301 -- our own data


both = pytest.mark.parametrize("framework", [LangChain, LlamaIndex])
sync_and_async = pytest.mark.parametrize("use_async", [False, True], ids=["sync", "async"])


@both
@sync_and_async
def test_texts_become_vectors_in_their_order(kilo_sandbox: Sandbox, framework: Any, use_async: bool) -> None:
    model = framework.make(kilo_sandbox, model=SMALL, dimensions=256, batch=3)
    vectors = framework.texts(model, TEXTS, use_async)
    assert vectors == [pytest.approx(vector(text, 256), abs=1e-6) for text in TEXTS]
    # Simultaneous requests arrive in any order.
    sent = sorted((record.json["input"] for record in kilo_sandbox.requests), key=len, reverse=True)
    assert sent == [TEXTS[:3], TEXTS[3:]]
    body = kilo_sandbox.requests[0].json
    assert {name: value for name, value in body.items() if name != "input"} == {
        "model": SMALL,
        "dimensions": 256,
        "encoding_format": "base64",
    }
    assert framework.query(model, "cats", use_async) == pytest.approx(vector("cats", 256), abs=1e-6)


@both
@sync_and_async
def test_queries_and_documents_are_distinguished(kilo_sandbox: Sandbox, framework: Any, use_async: bool) -> None:
    model = framework.make(
        kilo_sandbox, query_input_type="search_query", document_input_type="search_document", extra_body={"x": 1}
    )
    framework.texts(model, ["foo"], use_async)
    assert (kilo_sandbox.last.json["input_type"], kilo_sandbox.last.json["x"]) == ("search_document", 1)
    framework.query(model, "foo", use_async)
    assert kilo_sandbox.last.json["input_type"] == "search_query"


@both
@sync_and_async
@pytest.mark.parametrize("name", ["reversed", "unnumbered", "no-usage"])
def test_harmless_oddities(kilo_sandbox: Sandbox, framework: Any, use_async: bool, name: str) -> None:
    vectors = framework.texts(framework.make(kilo_sandbox, model=f"sandbox/{name}"), TEXTS, use_async)
    assert vectors == [pytest.approx(vector(text, 1536), abs=1e-6) for text in TEXTS]


@both
def test_numbers_instead_of_base64(kilo_sandbox: Sandbox, framework: Any) -> None:
    assert framework.query(framework.make(kilo_sandbox, model="sandbox/numbers"), "foo") == [1.0, 0.5]


@both
@sync_and_async
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("numbered-twice", r"the indexes \[0, 0, 0, 0\]"),
        ("one-short", "4 texts were sent, and 3 embeddings came back"),
        ("uneven", r"differ in length: \[1, 2, 3, 4\]"),
        ("not-finite", "embedding 0 is not a list of finite numbers"),
        ("half-a-number", "embedding 0 is not a list"),
        ("huge-number", "embedding 0 is not a list"),
        ("no-base64", "embedding 0 is not a list"),
        ("no-vectors", "embedding 0 is not a list"),
        ("null", "embedding 0 is not a list"),
        ("page", "it is not JSON"),
    ],
)
def test_a_mismatched_answer_raises(
    kilo_sandbox: Sandbox, framework: Any, use_async: bool, name: str, message: str
) -> None:
    model = framework.make(kilo_sandbox, model=f"sandbox/{name}")
    with pytest.raises(kilo.KiloResponseError, match=message):
        framework.texts(model, TEXTS, use_async)


@both
def test_wrong_dimensions_raise(kilo_sandbox: Sandbox, framework: Any) -> None:
    model = framework.make(kilo_sandbox, model="sandbox/three-dimensions", dimensions=256)
    with pytest.raises(kilo.KiloResponseError, match="have 3 dimensions, not 256"):
        framework.texts(model, TEXTS)
    with pytest.raises(kilo.KiloInvalidRequestError, match="does not support the dimensions 3"):
        framework.texts(framework.make(kilo_sandbox, dimensions=3), TEXTS)


@both
@sync_and_async
def test_batches_that_differ_in_dimensions_raise(kilo_sandbox: Sandbox, framework: Any, use_async: bool) -> None:
    long = ["x" * 40_000, "foo"]  # two requests, for any batch size
    vectors = framework.texts(framework.make(kilo_sandbox), long, use_async)
    assert [len(record.json["input"]) for record in kilo_sandbox.requests] == [1, 1]
    assert [len(v) for v in vectors] == [1024, 1024]
    model = framework.make(kilo_sandbox, model="sandbox/a-dimension-a-text", batch=2)
    with pytest.raises(kilo.KiloResponseError, match=r"have (1 dimensions, not 2|2 dimensions, not 1)\."):
        framework.texts(model, TEXTS[:3], use_async)


@both
@sync_and_async
@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"model": "sandbox/error-200"}, kilo.KiloRateLimitError),
        ({"model": "sandbox/error-503", "max_retries": 0}, kilo.KiloServerError),
        ({"model": "no/such-model"}, kilo.KiloModelNotFoundError),
        ({"api_key": "rejected"}, kilo.KiloAuthenticationError),
        ({"api_key": None}, kilo.KiloSignInRequiredError),
        ({"api_key": Sandbox.poor_api_key}, kilo.KiloCreditsError),
        ({"base_url": "http://127.0.0.1:9", "max_retries": 0}, kilo.KiloConnectionError),
    ],
)
def test_errors_are_those_of_chat(
    kilo_sandbox: Sandbox, framework: Any, use_async: bool, fields: dict[str, Any], error: Any
) -> None:
    with pytest.raises(error) as raised:
        framework.texts(framework.make(kilo_sandbox, **fields), TEXTS, use_async)
    assert "tier" not in str(raised.value)
    if framework is LangChain:
        from langchain_core.exceptions import ModelError

        assert isinstance(raised.value, ModelError)


@both
def test_failed_requests_are_repeated(kilo_sandbox: Sandbox, framework: Any) -> None:
    with pytest.raises(kilo.KiloServerError):
        framework.query(framework.make(kilo_sandbox, model="sandbox/error-503", max_retries=1), "foo")
    assert len(kilo_sandbox.requests) == 2


@both
@sync_and_async
@pytest.mark.parametrize(("texts", "message"), [(["foo", ""], r"texts\[1\] is empty"), (["foo", 5], r"\[1\] is a int")])
def test_texts_that_cannot_be_embedded_are_not_sent(
    kilo_sandbox: Sandbox, framework: Any, use_async: bool, texts: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        framework.texts(framework.make(kilo_sandbox), texts, use_async)
    assert framework.texts(framework.make(kilo_sandbox), [], use_async) == []
    with pytest.raises(ValueError, match="half of a character"):
        framework.texts(framework.make(kilo_sandbox), ["\ud800"], use_async)
    assert not kilo_sandbox.requests


@both
@sync_and_async
def test_account_and_labels(kilo_sandbox: Sandbox, framework: Any, use_async: bool) -> None:
    model = framework.make(
        kilo_sandbox,
        api_key=kilo_sandbox.member_api_key,
        organization_id=kilo_sandbox.organization_id,
        project_id="library",
        default_headers={"X-Secret": "s3cr3t"},
        default_query={"q": "1"},
        provider={"data_collection": "deny"},
    )
    framework.query(model, "foo", use_async)
    sent = kilo_sandbox.last
    assert sent.headers["authorization"] == f"Bearer {kilo_sandbox.member_api_key}"
    assert sent.organization_id == kilo_sandbox.organization_id
    assert (sent.headers["x-kilocode-projectid"], sent.headers["x-secret"]) == ("library", "s3cr3t")
    assert (sent.query, sent.json["provider"]) == ("q=1", {"data_collection": "deny"})
    secrets = (kilo_sandbox.member_api_key, kilo_sandbox.organization_id, "s3cr3t")
    shown = repr(model) + str(model) + model.model_dump_json(exclude={"callback_manager"})
    if framework is LlamaIndex:
        shown += str(model.to_dict()) + str(model.to_payload()) + model.to_json()
    assert not any(secret in shown for secret in secrets)


@both
@sync_and_async
def test_cost_is_counted(kilo_sandbox: Sandbox, framework: Any, use_async: bool) -> None:
    model = framework.make(kilo_sandbox, batch=2)
    with framework.count() as used:
        framework.texts(model, TEXTS, use_async)
        framework.query(framework.make(kilo_sandbox, model="sandbox/no-cost"), "foo", use_async)
        framework.query(framework.make(kilo_sandbox, model="sandbox/cost-of-vercel"), "foo", use_async)
    framework.query(model, "foo", use_async)
    spent = used.usage.by_model["mistralai/mistral-embed-2312"]
    assert (spent.calls, spent.unpriced) == (2, 0)
    assert spent.cost == pytest.approx(spent.prompt_tokens * 1e-7)
    other = used.usage.by_model[SMALL]
    assert (other.calls, other.prompt_tokens, other.unpriced, other.cost) == (2, 6, 1, 0.00002)
    assert model.usage.total.calls == 3
    assert copy.deepcopy(model).usage.total == model.usage.total


@both
def test_an_answered_batch_counts_if_the_next_fails(kilo_sandbox: Sandbox, framework: Any) -> None:
    model = framework.make(kilo_sandbox, batch=1, model="sandbox/uneven")
    with pytest.raises(ValueError, match="half of a character"):
        framework.texts(model, ["foo", "\ud800"])
    assert model.usage.total.calls == 1


@both
async def test_async_batches_are_bounded(kilo_sandbox: Sandbox, framework: Any) -> None:
    class Meeting(httpx.AsyncHTTPTransport):
        """Send when three requests have arrived, and count those under way."""

        barrier, under_way, most = asyncio.Barrier(3), 0, 0

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            self.under_way += 1
            self.most = max(self.most, self.under_way)
            await self.barrier.wait()
            try:
                return await super().handle_async_request(request)
            finally:
                self.under_way -= 1

    transport = Meeting()
    limit = {"max_concurrency": 3} if framework is LangChain else {"num_workers": 3}
    async with httpx.AsyncClient(transport=transport) as client:
        model = framework.make(kilo_sandbox, batch=1, http_async_client=client, **limit)
        embed = model.aembed_documents if framework is LangChain else model.aget_text_embedding_batch
        texts = [f"word{i}" for i in range(9)]
        vectors = await embed(texts)
    assert transport.most == 3
    assert vectors == [pytest.approx(vector(text, 1024), abs=1e-6) for text in texts]


async def test_when_a_batch_fails_the_others_are_cancelled(kilo_sandbox: Sandbox) -> None:
    cancelled = asyncio.Event()

    class Stuck(httpx.AsyncHTTPTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if b"stuck" not in request.content:
                return httpx.Response(404, json={"error": "gone", "error_type": "model_not_found"})
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()
            raise AssertionError

    async with httpx.AsyncClient(transport=Stuck()) as client:
        model = LangChain.make(kilo_sandbox, batch=1, http_async_client=client)
        with pytest.raises(kilo.KiloModelNotFoundError):
            await model.aembed_documents(["stuck", "foo"])
    assert cancelled.is_set()


@both
def test_progress(kilo_sandbox: Sandbox, framework: Any, capsys: pytest.CaptureFixture[str]) -> None:
    if framework is LangChain:
        model = LangChain.make(kilo_sandbox, batch=2, show_progress=True)
        model.embed_documents(TEXTS)
        assert "4/4" in capsys.readouterr().err
        asyncio.run(model.aembed_documents(TEXTS))
    else:
        model = LlamaIndex.make(kilo_sandbox, batch=1)
        model.get_text_embedding_batch(TEXTS, show_progress=True)
        assert "4/4" in capsys.readouterr().err
        asyncio.run(model.aget_text_embedding_batch(TEXTS, show_progress=True))
    assert "4/4" in capsys.readouterr().err


@both
def test_copies_work_elsewhere(kilo_sandbox: Sandbox, framework: Any) -> None:
    model = framework.make(kilo_sandbox, model=SMALL, dimensions=256)
    framework.query(model, "foo")
    for twin in (copy.copy(model), copy.deepcopy(model), pickled(model), model.model_copy()):
        assert framework.query(twin, "foo") == pytest.approx(vector("foo", 256), abs=1e-6)
        assert type(twin) is type(model)


@both
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"modle": "x"}, "did you mean 'model'"),
        ({"model": " "}, "must not be blank"),
        ({"dimensions": 0}, "must be at least 1"),
        ({"extra_body": {"input": []}}, "must not contain"),
        ({"openai_api_key": "x"}, "did you mean 'api_key'"),
        ({"temperature": 0}, "has no argument 'temperature'; send other request fields with extra_body"),
    ],
)
def test_bad_arguments(framework: Any, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        framework.cls(**fields)
    model = framework.cls()
    with pytest.raises(ValueError, match="must be at least 1"):
        model.dimensions = 0


def test_names_of_other_classes() -> None:
    model = KiloEmbeddings(model_name=SMALL, chunk_size=5, show_progress_bar=True)
    assert (model.model, model.batch_size, model.show_progress) == (SMALL, 5, True)
    index = KiloEmbedding(model_name=SMALL)
    assert (index.model, index.model_name, index.to_payload()["model_name"]) == (SMALL, SMALL, SMALL)
    index.model_name = "a/b"
    assert (index.model, index.model_name) == ("a/b", "a/b")
    index.model = SMALL
    assert index.model_name == SMALL
    assert KiloEmbedding.from_dict(index.to_dict()).model_name == SMALL
    with pytest.raises(ValidationError, match="give one of them"):
        KiloEmbedding(model="a/b", model_name=SMALL)


def test_llama_index_accepts_it_as_its_default(kilo_sandbox: Sandbox) -> None:
    model = LlamaIndex.make(kilo_sandbox)
    Settings.embed_model = model
    try:
        assert Settings.embed_model is model
    finally:
        Settings._embed_model = None


def test_batches() -> None:
    from kilo_gateway.settings.embedding import BATCH_BYTES, batches

    def sizes(count: int, model: str = SMALL, size: int = 2048, text: str = "x") -> list[int]:
        return [len(batch) for batch in batches([text] * count, model, size)]

    assert sizes(5, size=2) == [2, 2, 1]
    assert sizes(2049) == [2048, 1]
    assert sizes(101, "google/gemini-embedding-001") == [100, 1]
    assert sizes(600, "mistralai/mistral-embed-2312") == [512, 88]
    assert sizes(3, text="é" * (BATCH_BYTES // 4)) == [2, 1]
    assert sizes(2, text="x" * (BATCH_BYTES + 1)) == [1, 1]
    assert sizes(0) == []
