"""Test how rows are asked for and which columns they get, without Ray."""

import asyncio
import json
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, Literal, TypedDict

import pytest
from pydantic import BaseModel, Field

from kilo_gateway.ray import map_rows
from kilo_gateway.ray.mapping import _Job, _Loop, _Plan
from kilo_gateway.ray.rows import FACTS, Column, Output, column, shared
from kilo_gateway.ray.targets import Target, is_builder
from kilo_gateway.ray.worker import Worker

NAMES = [fact.name for fact in FACTS]


class River(BaseModel):
    name: str
    km: Annotated[int, Field(gt=0)]
    slope: float | None = None
    seas: list[str] = Field(default_factory=list)
    kind: Literal["main", "side"] = "main"
    places: dict[str, int] = Field(default_factory=dict)


class Typed(TypedDict):
    name: str
    dry: bool


@dataclass
class Lake:
    name: str
    km: int


class Colour(Enum):
    BLUE = 1


async def shout(row: dict[str, Any]) -> str:
    if row["text"] == "bad":
        raise LookupError("no such river")
    return str(row["text"]).upper()


def ask(target: Any, rows: list[dict[str, Any]], source: Any = None, output: Any = "answer", **more: Any) -> Any:
    """Return the new columns for `rows`."""

    async def run() -> Any:
        worker = Worker(Target(target, source), Output.of(output), **{"concurrency": 4, **more})
        return await worker.answered(rows)

    return asyncio.run(run())


def test_a_row_that_fails_is_a_row_with_an_error() -> None:
    answers = ask(shout, [{"text": "danube"}, {"text": "bad"}, {"text": "rhine"}])
    assert [answer["answer"] for answer in answers] == ["DANUBE", None, "RHINE"]
    assert [answer["error"] for answer in answers] == [None, "LookupError: no such river", None]
    for answer in answers:
        assert list(answer) == ["answer", *NAMES]
        assert answer["seconds"] >= 0
        unknown = ("served_model", "finish_reason", "input_tokens", "output_tokens", "cost_usd")
        assert [answer[name] for name in unknown] == [None] * 5
        assert answer["attempts"] == 0


def test_an_error_is_raised_if_that_is_wanted() -> None:
    with pytest.raises(LookupError, match="no such river") as e:
        ask(shout, [{"text": "danube"}, {"text": "bad", "id": 7}], on_error="raise", id_column="id")
    assert e.value.__notes__ == ["The row has id=7."]


def test_a_cancellation_is_not_the_error_of_a_row() -> None:
    async def stopped(row: dict[str, Any]) -> str:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        ask(stopped, [{"text": "danube"}])


def test_at_most_so_many_rows_at_a_time_whatever_the_blocks() -> None:
    running, most = 0, 0

    async def slow(row: dict[str, Any]) -> str:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return "done"

    async def blocks() -> None:
        worker = Worker(Target(slow), Output.of("answer"), concurrency=3)
        await asyncio.gather(*(worker.answered([{}] * 5) for _ in range(3)))

    asyncio.run(blocks())
    assert most == 3


@pytest.mark.parametrize(
    ("hint", "expected"),
    [
        (str, Column("x", "text")),
        (int | None, Column("x", "integer")),
        (Annotated[float, "metres"], Column("x", "number")),
        (bool, Column("x", "boolean")),
        (list[int], Column("x", "integer", many=True)),
        (tuple[float, ...], Column("x", "number", many=True)),
        (list[str] | None, Column("x", "text", many=True)),
        (Literal["a", "b"], Column("x", "text")),
        (Literal[1, 2], Column("x", "integer")),
        (Literal[1, "a"], Column("x", "text")),
        (int | str, Column("x", "text")),
        (dict[str, int], Column("x", "text")),
        (River, Column("x", "text")),
        (list[River], Column("x", "text", many=True)),
        (list, Column("x", "text")),
        (Any, Column("x", "text")),
        (Colour, Column("x", "text")),
    ],
)
def test_the_type_of_a_column(hint: Any, expected: Column) -> None:
    assert column("x", hint) == expected


@pytest.mark.parametrize(
    ("output", "answer", "expected"),
    [
        ("answer", "text", {"answer": "text"}),
        ("answer", None, {"answer": None}),
        ("answer", "half \ud83d", {"answer": "half \ufffd"}),
        ("answer", Lake("Garda", 52), {"answer": '{"name":"Garda","km":52}'}),
        ("answer", {"a": [1, None]}, {"answer": '{"a":[1,null]}'}),
        (Typed, {"name": "Po", "dry": False}, {"name": "Po", "dry": False}),
        (Typed, {"name": "Po"}, {"name": "Po", "dry": None}),
        (Lake, Lake("Garda", 52), {"name": "Garda", "km": 52}),
        ({"score": float}, 3, {"score": 3.0}),
        ({"score": float}, {"score": 0.5, "why": "not asked for"}, {"score": 0.5}),
        (
            River,
            River(name="Rhine", km=1233, seas=["North Sea"], places={"Basel": 1}),
            {
                "name": "Rhine",
                "km": 1233,
                "slope": None,
                "seas": ["North Sea"],
                "kind": "main",
                "places": '{"Basel":1}',
            },
        ),
    ],
)
def test_answers_become_columns(output: Any, answer: Any, expected: dict[str, Any]) -> None:
    async def fixed(row: dict[str, Any]) -> Any:
        return answer

    (row,) = ask(fixed, [{}], output=output)
    assert row["error"] is None
    assert {name: value for name, value in row.items() if name not in NAMES} == expected


@pytest.mark.parametrize(
    ("output", "answer", "message"),
    [
        ({"km": int}, "far", "km is 'far', not an integer"),
        ({"km": int}, 2**63, "not an integer of 64 bits"),
        ({"km": int}, True, "km is True, not an integer"),
        ({"dry": bool}, 1, "dry is 1, not a bool"),
        ({"seas": list[str]}, {"seas": "North Sea"}, "seas is 'North Sea', not a list"),
        (River, "The Rhine", "not an object with the fields name, km"),
        ("answer", object(), "Unable to serialize unknown type"),
    ],
)
def test_an_answer_that_does_not_fit_is_an_error_of_its_row(output: Any, answer: Any, message: str) -> None:
    async def fixed(row: dict[str, Any]) -> Any:
        return answer if row["odd"] else None

    bad, good = ask(fixed, [{"odd": True}, {"odd": False}], output={"output": output}["output"])
    assert message in bad["error"]
    assert [value for name, value in bad.items() if name not in NAMES] == [None] * len(Output.of(output).columns)
    assert good["error"] is None or output is River


@pytest.mark.parametrize("output", ["", 3, None, {}, [], int])
def test_an_output_that_has_no_columns(output: Any) -> None:
    with pytest.raises(ValueError, match=r"output=.* must be the name of a column, a class with fields"):
        Output.of(output)


class Program:
    """Looks like a program of LlamaIndex."""

    output_cls = River

    async def acall(self, **fields: str) -> River:
        return River(name=fields["name"], km=1)


def test_the_input_of_a_row() -> None:
    async def echo(value: Any) -> str:
        return json.dumps(value)

    row = {"a": "x", "b": 2, "input": "i"}
    asked = [
        ask(echo, [row], source)[0]["answer"] for source in (None, "a", ["a"], ("a", "b"), lambda row: row["b"] + 1)
    ]
    assert asked == [json.dumps(row), '"x"', '{"a": "x"}', '{"a": "x", "b": 2}', "3"]
    assert ask(Program(), [{"name": "Rhine"}], "name", River)[0]["name"] == "Rhine"
    assert ask(Program(), [{"name": "Rhine"}], lambda row: row, River)[0]["name"] == "Rhine"
    assert Target(Program(), "name").answer_class is River
    (missing,) = ask(echo, [{"a": None}], "a")
    assert missing["error"] == "ValueError: the column a is null in this row; fill it, or filter such rows out"
    (failed,) = ask(echo, [{"a": "x"}], lambda row: row["none"])
    assert failed["error"] == "KeyError: 'none'"


def test_targets_that_cannot_be_asked() -> None:
    for target, hint in ((River, "object of the class: River(...)"), (len, "a function that builds one"), (3, "chain")):
        with pytest.raises(ValueError, match=r"^target=.* cannot be asked: give .* a Runnable of LangChain") as e:
            Target(target)
        assert hint in str(e.value)
    odd: list[Any] = ["", [], [3], 7]
    for source in odd:
        with pytest.raises(ValueError, match=r"input=.* must be the name of a column"):
            Target(shout, source)


def test_functions_that_build_a_target() -> None:
    assert is_builder(lambda: shout)
    assert not any(map(is_builder, (shout, len, lambda row: row, Program, Program(), River.model_validate)))


class Vectors:
    """Looks like embeddings of LangChain; a text that is empty spoils its whole request."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.requests: list[list[str]] = []
        self.failure = failure

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        self.requests.append(texts)
        if self.failure is not None:
            raise self.failure
        if "" in texts:
            raise ValueError("an empty text")
        return [[float(len(text))] for text in texts]


def test_embeddings_send_a_block_together() -> None:
    target = Vectors()
    rows: list[dict[str, Any]] = [{"input": "a"}, {"input": None}, {"input": "bcd"}]
    answers = ask(target, rows, output={"vector": list[float]})
    assert [answer["vector"] for answer in answers] == [[1.0], None, [3.0]]
    assert "is null in this row" in answers[1]["error"]
    assert target.requests == [["a", "bcd"]]


def test_one_bad_text_does_not_spoil_the_others() -> None:
    target = Vectors()
    answers = ask(target, [{"input": "a"}, {"input": ""}, {"input": "bcd"}], output={"vector": list[float]})
    assert [answer["vector"] for answer in answers] == [[1.0], None, [3.0]]
    assert [answer["error"] for answer in answers] == [None, "ValueError: an empty text", None]
    with pytest.raises(ValueError, match="an empty text"):
        ask(Vectors(), [{"input": "a"}, {"input": ""}], on_error="raise")


def test_a_failure_of_the_gateway_is_not_repeated_for_each_text() -> None:
    target = Vectors(ConnectionError("down"))
    answers = ask(target, [{"input": "a"}, {"input": "b"}])
    assert [answer["error"] for answer in answers] == ["ConnectionError: down"] * 2
    assert len(target.requests) == 1


def test_a_shared_request_is_divided_without_remainder() -> None:
    facts = {"input_tokens": 100, "output_tokens": None, "cost_usd": 0.3, "attempts": 2}
    parts = shared(facts, [1, 1, 1, 4])
    assert sum(part["input_tokens"] for part in parts) == 100
    assert parts[3]["input_tokens"] > 3 * parts[0]["input_tokens"] > 0
    assert sum(part["cost_usd"] for part in parts) == pytest.approx(0.3)
    assert [(part["output_tokens"], part["attempts"]) for part in parts] == [(None, 2)] * 4


class Counting:
    """Limits that count where they are applied."""

    def __init__(self) -> None:
        self.inside = self.applied_to = self.closed = 0

    @contextmanager
    def applied(self) -> Iterator[None]:
        self.inside += 1
        self.applied_to += 1
        yield
        self.inside -= 1

    def close_share(self) -> None:
        self.closed += 1


def test_the_loop_of_a_worker_applies_the_limits_and_closes_their_share() -> None:
    limits: Any = Counting()
    seen: list[int] = []

    async def asked(row: dict[str, Any]) -> str:
        seen.append(limits.inside)
        return "done"

    loop = _Loop(Worker(Target(asked), Output.of("answer"), concurrency=1, limits=limits))
    with ThreadPoolExecutor(2) as threads:
        blocks = list(threads.map(loop.answered, [[{}] * 3, [{}] * 2]))
    assert [len(block) for block in blocks] == [3, 2]
    assert seen == [1] * 5
    assert (limits.applied_to, limits.inside, limits.closed) == (5, 0, 0)
    loop.stop()
    loop.stop()
    assert limits.closed == 1


def test_a_loop_that_stops_cancels_what_is_under_way() -> None:
    started = threading.Event()

    async def endless(row: dict[str, Any]) -> str:
        started.set()
        await asyncio.Event().wait()
        return "never"

    loop = _Loop(Worker(Target(endless), Output.of("answer"), concurrency=1))
    with ThreadPoolExecutor(1) as threads:
        block = threads.submit(loop.answered, [{}])
        started.wait(5)
        loop.stop()
        with pytest.raises(CancelledError):
            block.result(5)


def plan(
    target: Any = shout, source: Any = None, output: Any = None, id_column: str | None = "id", prefix: str = ""
) -> Any:
    return _Plan(_Job(target, source, output, id_column, prefix, 64, "column", None))


def test_the_columns_of_a_target() -> None:
    def names(*arguments: Any) -> list[str]:
        return [column.name for column in plan(*arguments).columns if column.name not in NAMES]

    assert names() == ["answer"]
    assert names(Program(), "name") == ["name", "km", "slope", "seas", "kind", "places"]
    assert names(Program(), "name", "river") == ["river"]
    assert names(Vectors()) == ["vector"]
    assert names(lambda: Vectors()) == ["vector"]  # it is built in a worker


def test_columns_that_a_dataset_lacks_or_has() -> None:
    plan(Program(), "name", prefix="new_").check(["id", "name", "km"])
    plan(id_column=None).check(["text"])
    for wrong, message in (
        (plan(), r"id='id' is not a column: the dataset has the columns key, error; pass id=None"),
        (plan(Program(), "name", id_column="key"), "input='name' is not a column"),
        (plan(id_column="key"), "the columns error would be there twice: .* pass prefix="),
        (plan(output={"km": int, "seconds": int}, id_column="key", prefix="p"), "the columns pseconds would be there"),
    ):
        with pytest.raises(ValueError, match=message):
            wrong.check(["key", "error"])
    with pytest.raises(ValueError, match=r"output=.* must be the name of the column for the vectors"):
        plan(Vectors(), output={"x": float})


def test_rows_need_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    dataset: Any = None
    with pytest.raises(ImportError, match=r'pip install "kilo-gateway\[ray\]"'):
        map_rows(dataset, shout)
