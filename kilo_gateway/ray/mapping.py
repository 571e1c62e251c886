"""`map_rows`: a dataset of Ray with what a target answers to each row."""

from __future__ import annotations

import asyncio
import math
import re
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, get_args

from kilo_gateway._frames import user_stacklevel
from kilo_gateway.encoding.printable import described
from kilo_gateway.ray.rows import FACTS, Column, Output
from kilo_gateway.ray.targets import Row, Target, is_builder
from kilo_gateway.ray.worker import OnError, Worker

if TYPE_CHECKING:
    import pyarrow as pa
    from ray.data import Dataset

    from kilo_gateway.ray.limits import ClusterLimits

STOP_SECONDS: Final = 5.0
"""How long a worker that ends waits for its connections to close."""


def map_rows(
    dataset: Dataset,
    target: Any,
    *,
    input: str | Sequence[str] | Callable[[Row], Any] | None = None,  # noqa: A002 -- the name that fits `output`
    output: str | type | Mapping[str, Any] | None = None,
    id: str | None = "id",  # noqa: A002 -- the column is called so in most datasets
    prefix: str = "",
    concurrency: int = 64,
    rows_per_block: int = 50,
    workers: int | tuple[int, int] = 1,
    num_cpus: float = 0.25,
    on_error: OnError = "column",
    limits: ClusterLimits | None = None,
    ray_options: Mapping[str, Any] | None = None,
) -> Dataset:
    """Ask `target` for each row, and return the dataset with the answers and their cost in further columns.

    Nothing is asked until the dataset is read or written. `target` is a Runnable of LangChain (a model, a chain, an
    agent), an LLM, a query engine or a program of LlamaIndex, embeddings of either, or an async function of the row. It
    travels to the workers as a pickle, with its key. What cannot, such as an agent, is built there: give a function
    without parameters that returns it.

    `input`: the column to ask with (default `input`; a function gets the whole row), a list of columns for the
    variables of a prompt, or a function of the row.
    `output`: the column for the text (default `answer`; JSON if the answer is not a text), or a class or a dict of
    names and types whose fields become columns. By default these are the fields of the target's own pydantic class,
    if it is known.
    `id`: the column that identifies a row, which Ray's checkpoints need; None if there is none.
    `prefix`: what the names of all new columns begin with.
    `concurrency`: rows that a worker asks for at the same time.
    `rows_per_block`: rows that are written together. After a crash, the rows of unwritten blocks are asked again.
    `workers`: processes, or their least and largest number; each counts as `num_cpus` of the cluster's CPUs.
    `on_error`: "column" puts the error of a row into its column `error`; "raise" ends the job.
    `limits`: the budget and the rates that all workers share.
    `ray_options`: further arguments of Ray's `map_batches`, such as `runtime_env` or `memory`.

    Further columns: `error`, `finish_reason`, `served_model`, `input_tokens`, `output_tokens`, `cost_usd` (None if the
    gateway did not report it), `seconds` and `attempts` (requests that were sent). Raises ValueError for arguments that
    cannot work, also if the cluster has too few CPUs, because Ray would wait for ever.
    """
    ray = _ray()
    least, most = _range(workers)
    _check_whole("concurrency", concurrency)
    _check_whole("rows_per_block", rows_per_block)
    if not 0 <= num_cpus < math.inf:
        raise ValueError(f"num_cpus={num_cpus!r} must be a number of CPUs, 0 or more")
    if on_error not in get_args(OnError):
        raise ValueError(f"on_error={on_error!r} is unknown; use one of {', '.join(map(repr, get_args(OnError)))}")
    job = _Job(target, input, output, id, prefix, concurrency, on_error, limits)
    _check_pickle(ray, job)
    if not is_builder(target):
        plan = _Plan(job)
        if (existing := dataset.columns(fetch_if_missing=False)) is not None:
            plan.check(existing)
    checkpoint = dataset.context.checkpoint_config
    if checkpoint is not None and checkpoint.id_column != id:
        raise ValueError(f"id={id!r} must be the id_column of the checkpoint, which is {checkpoint.id_column!r}")
    # One task at a time reads, splits or writes; the filter of a checkpoint is an actor, which keeps its CPU.
    _check_cpus(ray, least, num_cpus, others=1 if checkpoint is None else 2)
    # One block more than are needed, so that no row waits for the slowest one of a block.
    blocks = math.ceil(concurrency / rows_per_block) + 1
    # Not strict, it would leave small blocks as they are, and a worker asks for the rows of few blocks at a time.
    return dataset.repartition(target_num_rows_per_block=rows_per_block, strict=True).map_batches(
        AskRows,
        fn_constructor_kwargs={"job": job},
        batch_size=None,  # the whole block
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(
            min_size=least,
            max_size=most,
            max_tasks_in_flight_per_actor=blocks,
            max_concurrent_calls_per_actor=blocks,
            enable_true_multi_threading=True,
        ),
        num_cpus=num_cpus,
        udf_modifying_row_count=False,  # `take` and `limit` then ask only for the rows that they return
        **(ray_options or {}),
    )


def _ray() -> Any:
    try:
        import ray.data
    except ImportError as error:
        raise ImportError('map_rows needs Ray: pip install "kilo-gateway[ray]"') from error
    return ray


def _range(workers: Any) -> tuple[int, int]:
    least, most = workers if isinstance(workers, tuple) and len(workers) == 2 else (workers, workers)
    if not (_is_whole(least) and _is_whole(most) and least <= most):
        raise ValueError(f"workers={workers!r} must be a whole number of at least 1, or the least and the largest one")
    return least, most


def _is_whole(number: Any) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and number >= 1


def _check_whole(name: str, number: Any) -> None:
    if not _is_whole(number):
        raise ValueError(f"{name}={number!r} must be a whole number of at least 1")


def _check_pickle(ray: Any, job: _Job) -> None:
    """Raise ValueError for what does not arrive at the workers as it is here, and warn of a budget that is copied."""
    remedy = "give a function without parameters that builds the target: map_rows(dataset, lambda: ...)"
    try:
        sent = ray.cloudpickle.dumps(replace(job, limits=None))
    except Exception as error:
        raise ValueError(
            f"target={described(job.target)} or its input= cannot be sent to the workers ({error}); {remedy}"
        ) from error
    if not is_builder(job.target) and re.search(rb"langgraph\.(graph|pregel)", sent):
        # Its nodes compare objects by identity, which a pickle does not keep (langgraph 1.3, SKIP_WRITE): each row
        # would fail after its answer was paid for.
        raise ValueError(f"target= has a graph of LangGraph, which cannot be sent to the workers; {remedy}")
    if re.search(rb"KiloBudget(?!Exceeded)", sent):
        warnings.warn(
            "target= has a KiloBudget, of which each worker gets a copy that counts by itself; "
            "limits=ClusterLimits(budget_usd=...) counts for all workers",
            stacklevel=user_stacklevel(),
        )


def _check_cpus(ray: Any, workers: int, num_cpus: float, *, others: int) -> None:
    """Raise ValueError if the job would wait for ever, as Ray has it, for CPUs that the cluster does not have."""
    needed, there = workers * num_cpus + others, ray.cluster_resources().get("CPU", 0)
    # What an autoscaler may add has no public name; Ray Data asks for it in the same way.
    later = (ray._private.state.state.get_max_resources_from_cluster_config() or {}).get("CPU", 0)
    if max(there, later) < needed:
        raise ValueError(
            f"the cluster has {there:g} CPUs, and this job needs {needed:g}: {workers * num_cpus:g} for {workers} "
            f"workers with num_cpus={num_cpus:g}, and {others} for Ray's own tasks and its checkpoint. Ray would wait "
            "for ever. Start it with more (ray.init(num_cpus=...) may exceed the cores, because workers mostly wait), "
            "or lower workers= or num_cpus="
        )


@dataclass(frozen=True, repr=False, eq=False)
class _Job:
    """What travels to the workers: arguments of `map_rows`. Ray may log its repr, which shows none of them."""

    target: Any
    source: Any
    output: Any
    id_column: str | None
    prefix: str
    concurrency: int
    on_error: OnError
    limits: ClusterLimits | None


class _Plan:
    """How the rows of a job are asked for, and the columns that they get. Raises ValueError if that cannot work."""

    def __init__(self, job: _Job) -> None:
        self.job = job
        self.target = Target(job.target() if is_builder(job.target) else job.target, job.source)
        self.output = self._output(job.output)
        self.columns = (*self.output.columns, *FACTS)
        """The new columns, named without the prefix."""

    def _output(self, output: Any) -> Output:
        if output is None:
            output = self.target.answer_class or ("vector" if self.target.embeds else "answer")
        if not self.target.embeds:
            return Output.of(output)
        if not isinstance(output, str):
            raise ValueError(f"output={described(output)} must be the name of the column for the vectors")
        return Output([Column(output, "vector")], whole=True)

    def check(self, existing: Sequence[str]) -> None:
        """Raise ValueError if the dataset lacks a column, or has one already that would be added."""
        has = f"the dataset has the columns {', '.join(existing)}"
        if self.job.id_column is not None and self.job.id_column not in existing:
            raise ValueError(f"id={self.job.id_column!r} is not a column: {has}; pass id=None if rows have no id")
        for name in self.target.columns:
            if name not in existing:
                raise ValueError(f"input={name!r} is not a column: {has}")
        names = [self.job.prefix + column.name for column in self.columns]
        if taken := [name for place, name in enumerate(names) if name in existing or name in names[:place]]:
            raise ValueError(
                f"the columns {', '.join(taken)} would be there twice: {has}, and {', '.join(names)} are added; pass "
                "prefix=, another output=, or drop columns before"
            )

    def needed(self, block: pa.Table) -> pa.Table:
        """Return the block with the columns that are read; all of them if that is not known."""
        read = self.target.columns
        own = [] if self.job.id_column is None else [self.job.id_column]
        return block.select(list(dict.fromkeys([*own, *read]))) if read else block

    def worker(self) -> Worker:
        """Return what asks for the rows."""
        job = self.job
        return Worker(
            self.target,
            self.output,
            concurrency=job.concurrency,
            on_error=job.on_error,
            limits=job.limits,
            id_column=job.id_column,
        )


class AskRows:
    """Asks for the blocks of a dataset; one object in each worker, whose threads share it."""

    def __init__(self, job: _Job) -> None:
        self._plan = _Plan(job)
        self._loop = _Loop(self._plan.worker())

    def __call__(self, block: pa.Table) -> pa.Table:
        """Return the block with the new columns."""
        import pyarrow as pa

        plan = self._plan
        plan.check(block.column_names)
        _check_ids(block, plan.job.id_column)
        answered = self._loop.answered(plan.needed(block).to_pylist())
        for column in plan.columns:
            values = pa.array([row[column.name] for row in answered], _arrow(column))
            block = block.append_column(plan.job.prefix + column.name, values)
        return block

    def __del__(self) -> None:
        # Ray drops the object when its worker ends, and offers no other moment to close connections in.
        if "_loop" in self.__dict__:  # it was constructed
            self._loop.stop()


def _check_ids(block: pa.Table, name: str | None) -> None:
    """Raise ValueError if a row has no id or the same id as another; only rows of one block are compared."""
    if name is None:
        return
    seen: set[Any] = set()
    for value in block[name].to_pylist():
        if value is None or value in seen:
            what = "null" if value is None else f"{described(value)} in more than one row"
            raise ValueError(
                f"the column {name}, which should identify a row, contains {what}; pass another id=, or None"
            )
        seen.add(value)


def _arrow(column: Column) -> Any:
    """Return Arrow's type of a column: the same in each block, even if all its values are null."""
    import pyarrow as pa

    types = {
        "text": pa.string(),
        "integer": pa.int64(),
        "number": pa.float64(),
        "boolean": pa.bool_(),
        "vector": pa.list_(pa.float32()),
    }
    return pa.list_(types[column.kind]) if column.many else types[column.kind]


class _Loop:
    """An event loop in a thread of its own, in which all blocks of a worker are asked for."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._ready: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()
        self._thread = threading.Thread(target=self._main, name="kilo-rows", daemon=True)
        self._thread.start()
        self._loop, self._over = self._ready.result()

    def answered(self, rows: list[Row]) -> list[Row]:
        """Return the new columns of each row; any number of threads may wait here."""
        return asyncio.run_coroutine_threadsafe(self._worker.answered(rows), self._loop).result()

    def stop(self) -> None:
        """Cancel what is under way, and close the connections."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._over.set)
            self._thread.join(STOP_SECONDS)

    def _main(self) -> None:
        try:
            asyncio.run(self._until_over())  # it closes the connections that belong to the loop
        finally:
            if self._worker.limits is not None:
                self._worker.limits.close_share()

    async def _until_over(self) -> None:
        over = asyncio.Event()
        self._ready.set_result((asyncio.get_running_loop(), over))
        await over.wait()
