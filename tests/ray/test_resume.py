"""Test that a job that was killed goes on, and what is asked again."""

import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import ray.data
from ray.data.checkpoint import CheckpointConfig
from ray.data.expressions import col

from kilo_gateway import list_models
from kilo_gateway.ray import ClusterLimits, map_rows
from kilo_gateway.sandbox import Sandbox
from langchain_kilo import ChatKilo
from tests.ray import job
from tests.ray.conftest import Cluster
from tests.ray.support import questions, wait_until
from tests.ray.targets import PAID, Asking

pytestmark = pytest.mark.timeout(300)  # a driver and its workers take most of a minute to start on a busy machine

UNWRITTEN = 2 * job.ROWS_PER_BLOCK
"""Rows at most that one worker has under way: a block, and what it has asked of the next one."""


def start(cluster: Cluster, sandbox: Sandbox, folder: Path) -> subprocess.Popen[bytes]:
    arguments = [cluster.address, sandbox.base_url, sandbox.api_key, str(folder)]
    log = (folder / "log.txt").open("ab")
    return subprocess.Popen([sys.executable, "-m", "tests.ray.job", *arguments], stdout=log, stderr=log)


def workers(cluster: Cluster) -> list[int]:
    """Return the processes of this cluster, and of no other one on the machine, that ask for rows."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended
            title, status = (folder / "cmdline").read_bytes(), (folder / "status").read_text()
            parent = re.search(r"^PPid:\t(\d+)$", status, re.MULTILINE)
            if title.startswith(b"ray::MapWorker(MapBatches(AskRows") and parent is not None:
                raylet = (Path("/proc") / parent[1] / "cmdline").read_bytes()
                if str(cluster.folder).encode() in raylet:
                    found.append(int(folder.name))
    return found


def kept(folder: Path) -> int:
    """Return how many rows the checkpoint has."""
    files = [file for file in (folder / "checkpoint").iterdir() if ".pending." not in file.name]
    return sum(pq.read_metadata(file).num_rows for file in files)


def test_a_killed_driver_and_then_killed_workers(cluster: Cluster, kilo_sandbox: Sandbox, tmp_path: Path) -> None:
    questions(tmp_path, job.ROWS)
    first = start(cluster, kilo_sandbox, tmp_path)
    wait_until(lambda: len(kilo_sandbox.requests) >= job.ROWS // 2, 100)
    first.kill()
    first.wait()
    wait_until(lambda: not workers(cluster))  # Ray ends them
    sent, done = len(kilo_sandbox.requests), kept(tmp_path)
    assert job.ROWS > sent > done >= sent - job.WORKERS * UNWRITTEN

    second = start(cluster, kilo_sandbox, tmp_path)
    wait_until(lambda: len(kilo_sandbox.requests) >= sent + 60, 100)
    for worker in workers(cluster):
        os.kill(worker, signal.SIGKILL)
    assert second.wait(timeout=100) == 0, (tmp_path / "log.txt").read_text()
    left = job.ROWS - done
    assert left < len(kilo_sandbox.requests) - sent <= left + job.WORKERS * UNWRITTEN
    table = pq.read_table(tmp_path / "answers").sort_by("id").to_pandas()
    assert list(table.id) == list(range(job.ROWS))
    assert table.error.isna().all()
    assert [a.endswith(q) for a, q in zip(table.answer, table.question, strict=True)] == [True] * job.ROWS
    assert kilo_sandbox.api_key not in (tmp_path / "log.txt").read_text()
    assert cluster.files_with(kilo_sandbox.api_key) == []


def test_a_spent_budget_leaves_rows_to_the_next_run(cluster: Cluster, kilo_sandbox: Sandbox, tmp_path: Path) -> None:
    list_models(base_url=kilo_sandbox.base_url, api_key=kilo_sandbox.api_key)
    kilo_sandbox.clear()
    llm = ChatKilo(model=PAID, base_url=kilo_sandbox.base_url, api_key=kilo_sandbox.api_key, max_tokens=100)
    file = questions(tmp_path, 40)

    def run(limits: ClusterLimits) -> None:
        dataset = ray.data.read_parquet(file)
        dataset.context.checkpoint_config = CheckpointConfig(
            "id", str(tmp_path / "checkpoint"), delete_checkpoint_on_success=False
        )
        with pytest.raises(ValueError, match="id='question' must be the id_column of the checkpoint, which is 'id'"):
            map_rows(dataset, Asking(llm), id="question")
        mapped = map_rows(dataset, Asking(llm), rows_per_block=10, limits=limits)
        # A row that is not written is not done.
        mapped.filter(expr=col("error").is_null()).write_parquet(str(tmp_path / "answers"))

    small = ClusterLimits(budget_usd=0.005)
    run(small)
    first = pq.read_table(tmp_path / "answers").to_pandas()
    assert 0 < len(first) == len(kilo_sandbox.requests) < 40
    spent = small.status().spent_usd
    assert first.cost_usd.sum() == pytest.approx(spent)
    assert spent <= 0.005
    run(ClusterLimits(budget_usd=1, spent_usd=spent))
    assert len(kilo_sandbox.requests) == 40
    table = pq.read_table(tmp_path / "answers").sort_by("id").to_pandas()
    assert list(table.id) == list(range(40))
