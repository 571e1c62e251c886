"""Test `map_rows` on a cluster: columns, errors, order, and what is left behind."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import ray.data
from ray.data import Dataset
from ray.data.expressions import col

from kilo_gateway.ray import map_rows
from kilo_gateway.sandbox import Sandbox
from langchain_kilo import ChatKilo, KiloEmbeddings
from tests.ray.conftest import Cluster
from tests.ray.support import open_connections, questions, wait_until
from tests.ray.targets import PAID, Asking

FACTS = ["error", "finish_reason", "served_model", "input_tokens", "output_tokens", "cost_usd", "seconds", "attempts"]


@pytest.fixture
def llm(kilo_sandbox: Sandbox, cluster: Cluster) -> ChatKilo:
    return ChatKilo(model=PAID, base_url=kilo_sandbox.base_url, api_key=kilo_sandbox.api_key)


def dataset(folder: Path, rows: int, bad: Callable[[int], bool] = lambda _: False) -> Dataset:
    return ray.data.read_parquet(questions(folder, rows, bad))


def test_rows_that_fail_and_the_schema_of_their_blocks(llm: ChatKilo, tmp_path: Path, kilo_sandbox: Sandbox) -> None:
    # The second block consists of errors only: its columns have no value to take a type from.
    rows = dataset(tmp_path, 60, bad=lambda n: 20 <= n < 40 or n == 50)
    answered = map_rows(rows, Asking(llm), rows_per_block=20, concurrency=8)
    answered.write_parquet(str(tmp_path / "answers"))
    files = sorted((tmp_path / "answers").iterdir())
    assert len(files) == 3
    assert len({pq.read_schema(file).remove_metadata() for file in files}) == 1
    types = dict(zip(pq.read_schema(files[0]).names, pq.read_schema(files[0]).types, strict=True))
    assert list(types) == ["id", "question", "bad", "answer", *FACTS]
    assert (types["error"], types["input_tokens"], types["cost_usd"]) == (pa.string(), pa.int64(), pa.float64())
    table = pq.read_table(tmp_path / "answers").sort_by("id").to_pandas()
    assert list(table.id) == list(range(60))
    failed = table[table.bad]
    assert set(failed.error) == {"LookupError: no such river"}
    assert failed.answer.isna().all()
    assert (failed.attempts == 0).all()
    good = table[~table.bad]
    assert good.error.isna().all()
    assert (good.answer.str.contains("Name river ") & (good.cost_usd > 0) & (good.attempts == 1)).all()
    assert [a.endswith(q) for a, q in zip(good.answer, good.question, strict=True)] == [True] * 39
    assert (good.served_model == PAID).all()
    assert len(kilo_sandbox.requests) == 39
    # Asked again alone.
    again = ray.data.read_parquet(str(tmp_path / "answers")).filter(expr=col("error").is_not_null())
    second = map_rows(again.select_columns(["id", "question"]), Asking(llm), rows_per_block=20).take_all()
    assert sorted(row["id"] for row in second) == list(failed.id)
    assert {row["error"] for row in second} == {None}
    wait_until(lambda: open_connections(kilo_sandbox) == 0)


def test_embeddings_and_a_builder(kilo_sandbox: Sandbox, cluster: Cluster, tmp_path: Path) -> None:
    account: dict[str, Any] = {"base_url": kilo_sandbox.base_url, "api_key": kilo_sandbox.api_key}
    mapped = map_rows(
        dataset(tmp_path, 10),
        lambda: KiloEmbeddings(**account),
        input="question",
        output="v",
        prefix="my_",
        rows_per_block=4,
    )
    rows = mapped.take_all()
    assert mapped.schema().base_schema.field("my_v").type == pa.list_(pa.float32())
    assert len({len(row["my_v"]) for row in rows}) == 1
    assert {row["my_error"] for row in rows} == {None}
    assert len(kilo_sandbox.requests) == 3


def test_an_early_end_asks_no_more_and_leaves_nothing(llm: ChatKilo, tmp_path: Path, kilo_sandbox: Sandbox) -> None:
    mapped = map_rows(dataset(tmp_path, 400), Asking(llm, 0.05), rows_per_block=10, concurrency=10)
    assert len(mapped.take(5)) == 5
    assert len(kilo_sandbox.requests) == 5
    # Leaving the loop stops the workers, also in the middle of blocks.
    for _ in mapped.iter_rows():
        break
    wait_until(lambda: open_connections(kilo_sandbox) == 0)
    sent = len(kilo_sandbox.requests)
    assert sent < 200
    time.sleep(0.5)
    assert len(kilo_sandbox.requests) == sent
