"""`ClusterLimits`: one budget and one rate for all workers of a Ray job, kept by a named actor."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Final, Self

from kilo_gateway.budget import in_force
from kilo_gateway.models import known, store
from kilo_gateway.ray.accounts import Accounts
from kilo_gateway.ray.reports import Reply, Report, Status, Terms
from kilo_gateway.ray.shares import Share

NAMESPACE: Final = "kilo_gateway"
"""The namespace of the actors, which every job of a cluster can use because their names are random."""
REPLY_SECONDS: Final = 5.0
"""Seconds after which a report is sent again."""


class Keeper:
    """The actor: the accounts of all workers, on the clock of one machine."""

    def __init__(self, terms: Terms, lists: dict[str, store.Stored]) -> None:
        self._accounts = Accounts(terms)
        self._lists = lists

    def exchange(self, report: Report) -> Reply:
        """Count a report and return what the worker is granted."""
        return self._accounts.exchange(report, time.monotonic())

    def lists(self) -> dict[str, store.Stored]:
        """Return the lists of models that the program of the job has fetched."""
        return self._lists

    def status(self) -> Status:
        """Return the state of the limits."""
        return self._accounts.status(time.monotonic())


class ClusterLimits:
    """Limit the cost, the rate and the number of requests of all workers of a Ray job together.

        limits = ClusterLimits(budget_usd=5, requests_per_minute=600, max_in_flight=200)
        rows = map_rows(dataset, llm, limits=limits)

    `budget_usd` is the most that all calls may cost, in USD. Each call reserves the most that it may cost before it is
    sent, as with a `KiloBudget`, so the limit is not passed while prices are known. A call that no longer fits raises
    KiloBudgetExceeded. Workers know the prices that the program has fetched (`kilo_gateway.list_models`) before the
    limits are first used. `spent_usd` is the part of the budget that earlier jobs have used: to go on after
    a job, pass a higher `budget_usd` and the `spent_usd` of its limits. A call whose price is not known counts
    `unknown_cost_usd`; without that argument, it raises KiloBudgetExceeded.

    `requests_per_minute` and `requests_per_hour` limit the requests of any 60 seconds and any hour, each attempt
    counted. Anonymous calls of the tier "small" send at most 200 an hour, as the gateway allows for each address.
    `max_in_flight` limits the calls that run at the same time. A call waits for its turn as long as it takes; its
    `total_timeout` begins when it is sent. If an answer asks to wait (`Retry-After`), all workers wait.

    The limits are kept by an actor on the machine of the program that made them, which starts with their first use
    and ends with that program. Workers get money and permits from it in slices, not row by row. A worker that dies
    counts as spent what it held for its calls, because they may have been billed; `status()` reports the amount as
    estimated.

    Raises ValueError for a wrong argument, and ImportError without Ray. Use `with limits.applied():` to apply the
    limits to calls of your own.
    """

    def __init__(
        self,
        *,
        budget_usd: float | None = None,
        requests_per_minute: int | None = None,
        requests_per_hour: int | None = None,
        max_in_flight: int | None = None,
        spent_usd: float = 0.0,
        unknown_cost_usd: float | None = None,
    ) -> None:
        counts = {
            "requests_per_minute": requests_per_minute,
            "requests_per_hour": requests_per_hour,
            "max_in_flight": max_in_flight,
        }
        for name, count in counts.items():
            if count is not None and (type(count) is not int or count < 1):
                raise ValueError(f"{name}={count!r} must be a whole number, 1 or more; for no limit leave it out")
        if budget_usd is not None and not 0 < budget_usd < float("inf"):
            raise ValueError(f"budget_usd={budget_usd!r} must be a number of USD above 0; for no limit leave it out")
        if not 0 <= spent_usd < float("inf"):
            raise ValueError(f"spent_usd={spent_usd!r} must be a number of USD, 0 or more")
        if unknown_cost_usd is not None and not 0 <= unknown_cost_usd < float("inf"):
            raise ValueError(f"unknown_cost_usd={unknown_cost_usd!r} must be a number of USD, 0 or more, or None")
        if budget_usd is not None and spent_usd >= budget_usd:
            raise ValueError(
                f"spent_usd={spent_usd!r} leaves nothing of budget_usd={budget_usd!r}; pass a higher budget_usd, which "
                "includes what earlier jobs have spent"
            )
        _ray()
        self._terms = Terms(
            budget_usd=budget_usd,
            spent_usd=spent_usd,
            unknown_cost_usd=unknown_cost_usd,
            requests_per_minute=requests_per_minute,
            requests_per_hour=requests_per_hour,
            max_in_flight=max_in_flight,
        )
        self._name = f"limits-{uuid.uuid4().hex}"
        self._maker = _PROCESS

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Apply the limits to all calls that begin in this context: this thread or task, and those that copy it."""
        share, outer = self._share(), in_force.get()
        token = in_force.set(outer if share in outer else (*outer, share))
        try:
            yield
        finally:
            in_force.reset(token)

    def close_share(self) -> None:
        """Release what this process holds of the limits. Call it when a worker ends; calls under way count as lost."""
        with _LOCK:
            share = _SHARES.pop(self._name, None)
        if share is not None:
            share.close()

    def status(self) -> Status:
        """Return the state of the limits; reports of workers are up to a second old."""
        status: Status = _answer(self._keeper().status.remote())
        return status

    @property
    def spent_usd(self) -> float:
        """The cost of all calls so far in USD, estimates and earlier jobs included."""
        return self.status().spent_usd

    def _share(self) -> Share:
        with _LOCK:
            if (share := _SHARES.get(self._name)) is None:
                keeper = self._keeper()
                if self._terms.budget_usd is not None and self._maker != _PROCESS:
                    _fetch_prices(keeper)
                share = _SHARES[self._name] = Share(self._terms, partial(_exchange, keeper))
            return share

    def _keeper(self) -> Any:
        """Return the handle of the actor; the process that made the limits starts it."""
        if (keeper := _KEEPERS.get(self._name)) is None:
            if self._maker == _PROCESS:
                keeper = _started(self._name, self._terms)
            else:
                try:
                    keeper = _ray().get_actor(self._name, namespace=NAMESPACE)
                except ValueError as error:
                    raise _ended() from error
            # A named actor ends with the last handle of the process that started it.
            _KEEPERS[self._name] = keeper
        return keeper

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __getstate__(self) -> dict[str, Any]:
        self._keeper()  # the process that receives the state looks for it
        return self.__dict__

    def __repr__(self) -> str:
        terms = self._terms
        names = ("budget_usd", "requests_per_minute", "requests_per_hour", "max_in_flight", "unknown_cost_usd")
        given = [f"{name}={value:g}" for name in names if (value := getattr(terms, name)) is not None]
        return f"ClusterLimits({', '.join(given + [f'spent_usd={terms.spent_usd:g}'] * bool(terms.spent_usd))})"


def _ray() -> Any:
    try:
        import ray  # 1 s, which imports of the package need not take
    except ImportError as error:
        raise ImportError('ClusterLimits needs Ray: pip install "kilo-gateway[ray]"') from error
    return ray


def _started(name: str, terms: Terms) -> Any:
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    ray = _ray()
    if not ray.is_initialized():
        ray.init()
    # It must not end before its program does: a restarted one would not know what is spent.
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    lists = {} if terms.budget_usd is None else store.all_lists()
    options = {"name": name, "namespace": NAMESPACE, "num_cpus": 0, "max_restarts": 0, "scheduling_strategy": here}
    return ray.remote(Keeper).options(**options).remote(terms, lists)


def _fetch_prices(keeper: Any) -> None:
    """Store the lists of models of the job's program here, so that the prices are known on each machine."""
    with suppress(OSError):  # a call of unknown price raises an error that names the remedy
        store.add_lists(_answer(keeper.lists.remote()))
    known.forget()


def _exchange(keeper: Any, report: Report) -> Reply | None:
    try:
        reply: Reply = _answer(keeper.exchange.remote(report), REPLY_SECONDS)
    except (TimeoutError, _ray().exceptions.ActorUnavailableError):
        return None
    return reply


def _answer(reference: Any, seconds: float | None = None) -> Any:
    """Return the result of a call of the actor."""
    try:
        # `ray.get` would print a warning in each async actor, although this is not the thread of its event loop.
        return reference.future().result(seconds)
    except _ray().exceptions.ActorDiedError as error:
        raise _ended() from error


def _ended() -> RuntimeError:
    return RuntimeError(
        "the actor that keeps the ClusterLimits has ended, as it does with the program that made them; make new "
        "ClusterLimits, with the spent_usd that the old ones reported last"
    )


_PROCESS: Final = uuid.uuid4().hex
"""Names this process; process ids are not unique in a cluster."""
_LOCK: Final = threading.Lock()
_KEEPERS: Final[dict[str, Any]] = {}
_SHARES: Final[dict[str, Share]] = {}
