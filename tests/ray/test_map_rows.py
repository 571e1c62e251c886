"""Test `map_rows` on a cluster: columns, errors, order, and what is left behind."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import ray.data
from langchain_core.prompts import ChatPromptTemplate
from pydantic import BaseModel
from ray.data import Dataset
from ray.data.expressions import col

from kilo_gateway.ray import map_rows
from kilo_gateway.sandbox import Sandbox
from langchain_kilo import ChatKilo, KiloEmbeddings
from tests.ray.targets import PAID, Asking

FACTS = ["error", "finish_reason", "served_model", "input_tokens", "output_tokens", "cost_usd", "seconds", "attempts"]


@pytest.fixture
def llm(kilo_sandbox: Sandbox, cluster: str) -> ChatKilo:
    return ChatKilo(model=PAID, base_url=kilo_sandbox.base_url, api_key=kilo_sandbox.api_key)


def questions(folder: Path, rows: int, bad: Callable[[int], bool] = lambda _: False) -> Dataset:
    """Return a dataset of one file."""
    path = folder / "questions.parquet"
    table = {"id": range(rows), "question": [f"Name river {n}" for n in range(rows)], "bad": map(bad, range(rows))}
    pd.DataFrame(table).to_parquet(path)
    return ray.data.read_parquet(str(path))


def open_connections(sandbox: Sandbox) -> int:
    """Return the number of connections that clients have to the sandbox."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    ends = [(line.split()[2], line.split()[3]) for line in lines]
    return sum(peer.endswith(f":{sandbox.port:04X}") and state == "01" for peer, state in ends)


def wait_until(condition: Callable[[], bool], seconds: float = 15) -> None:
    """Return as soon as the condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it does not hold in time"
        time.sleep(0.05)


def test_rows_that_fail_and_the_schema_of_their_blocks(llm: ChatKilo, tmp_path: Path, kilo_sandbox: Sandbox) -> None:
    # The second block consists of errors only: its columns have no value to take a type from.
    dataset = questions(tmp_path, 60, bad=lambda n: 20 <= n < 40 or n == 50)
    answered = map_rows(dataset, Asking(llm), rows_per_block=20, concurrency=8)
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
    rows = map_rows(again.select_columns(["id", "question"]), Asking(llm), rows_per_block=20).take_all()
    assert sorted(row["id"] for row in rows) == list(failed.id)
    assert {row["error"] for row in rows} == {None}
    wait_until(lambda: open_connections(kilo_sandbox) == 0)


class River(BaseModel):
    name: str
    sea: str


def test_a_chain_with_structured_output(llm: ChatKilo, tmp_path: Path) -> None:
    prompt = ChatPromptTemplate.from_messages([("user", "{question} Where does it end? {id}")])
    chain = prompt | llm.with_structured_output(River)
    mapped = map_rows(questions(tmp_path, 4), chain, input=["question", "id"], prefix="river_")
    rows = mapped.take_all()
    assert [row["river_error"] for row in rows] == [None] * 4
    assert [isinstance(row["river_name"], str) for row in rows] == [True] * 4
    # The prefix lets a second target add its columns.
    assert "river_cost_usd" in rows[0]


def test_embeddings_and_a_builder(kilo_sandbox: Sandbox, cluster: str, tmp_path: Path) -> None:
    account: dict[str, Any] = {"base_url": kilo_sandbox.base_url, "api_key": kilo_sandbox.api_key}
    mapped = map_rows(questions(tmp_path, 10), lambda: KiloEmbeddings(**account), input="question", rows_per_block=4)
    rows = mapped.take_all()
    assert mapped.schema().base_schema.field("vector").type == pa.list_(pa.float32())
    assert len({len(row["vector"]) for row in rows}) == 1
    assert len(kilo_sandbox.requests) == 3


def test_an_early_end_asks_no_more_and_leaves_nothing(llm: ChatKilo, tmp_path: Path, kilo_sandbox: Sandbox) -> None:
    mapped = map_rows(questions(tmp_path, 400), Asking(llm, 0.05), rows_per_block=10, concurrency=10)
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


def test_on_error_raise_ends_the_job(llm: ChatKilo, tmp_path: Path) -> None:
    mapped = map_rows(questions(tmp_path, 20, bad=lambda n: n == 7), Asking(llm), on_error="raise")
    with pytest.raises(Exception, match="no such river"):
        mapped.take_all()
