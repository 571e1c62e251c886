"""Test that what cannot work raises before anything is asked for, where Ray would wait or fail later."""

import threading
import warnings
from pathlib import Path
from typing import Any

import pytest
import ray.data
from langchain.agents import create_agent
from langchain_core.runnables import RunnableLambda
from ray.data import Dataset

from kilo_gateway import KiloBudget, KiloBudgetExceeded
from kilo_gateway.ray import map_rows
from langchain_kilo import ChatKilo
from tests.ray.conftest import Cluster
from tests.ray.support import questions
from tests.ray.targets import Asking


@pytest.fixture
def rows(cluster: Cluster, tmp_path: Path) -> Dataset:
    return ray.data.read_parquet(questions(tmp_path, 3))


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ({"workers": 13}, "the cluster has 4 CPUs, and this job needs 4.25: 3.25 for 13 workers with num_cpus=0.25"),
        ({"workers": (2, 100), "num_cpus": 2}, "this job needs 5"),
        ({"workers": 0}, "workers=0 must be a whole number of at least 1"),
        ({"workers": (3, 2)}, r"workers=\(3, 2\) must be"),
        ({"workers": 1.5}, "workers=1.5 must be"),
        ({"concurrency": 0}, "concurrency=0 must be a whole number of at least 1"),
        ({"rows_per_block": True}, "rows_per_block=True must be a whole number"),
        ({"num_cpus": -1}, "num_cpus=-1 must be a number of CPUs, 0 or more"),
        ({"on_error": "ignore"}, "on_error='ignore' is unknown; use one of 'column', 'raise'"),
        ({"id": "key"}, "id='key' is not a column: the dataset has the columns id, question, bad; pass id=None"),
        ({"input": "text"}, "input='text' is not a column: the dataset has the columns id, question, bad"),
        ({"output": "question"}, "the columns question would be there twice"),
        ({"output": 3}, "output=3 must be the name of a column, a class with fields"),
    ],
)
def test_arguments(rows: Dataset, argument: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        map_rows(rows, Asking(ChatKilo()), **argument)


def test_targets_that_cannot_travel(rows: Dataset) -> None:
    agent: Any = create_agent(ChatKilo())
    message = "target= has a graph of LangGraph, which cannot be sent to the workers; give a function"
    for target in (agent, RunnableLambda(str) | agent):
        with pytest.raises(ValueError, match=message):
            map_rows(rows, target, input="question")
    with pytest.raises(ValueError, match=r"cannot be sent to the workers \(.*lock.*\); give a function"):
        map_rows(rows, Unpicklable())


def test_a_budget_that_each_worker_would_have(rows: Dataset) -> None:
    with pytest.warns(UserWarning, match=r"each worker gets a copy .* limits=ClusterLimits") as warned:
        map_rows(rows, Asking(ChatKilo(budget=KiloBudget(limit_usd=1))))
    assert warned[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        map_rows(rows, Asking(ChatKilo()), input=lambda row: KiloBudgetExceeded.__name__)


class Unpicklable:
    """A target that holds a lock."""

    def __init__(self) -> None:
        self.lock = threading.Lock()

    async def __call__(self, row: dict[str, Any]) -> str:
        """Return nothing of interest."""
        return ""
