"""Count the requests of callers against the gateway's rate limits. See docs/gateway.md, "Rate limits"."""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, get_args

Limit = tuple[int, float]
"""The largest number of requests, and the seconds in which they count."""
LimitName = Literal["free_models", "anonymous", "account", "throttle"]
LIMIT_NAMES: tuple[LimitName, ...] = get_args(LimitName)


@dataclass(frozen=True)
class RateLimits:
    """The rate limits of a sandbox: pairs of a number of requests and the seconds in which they count, or None.

    `free_models` counts an address's requests for rate-limited free models, and `anonymous` those of an address without
    an account. `account` and `throttle` count all requests of an account, or of an address without one; above
    `throttle`, the answer says when to ask again. Their numbers are not known, so they are off by default.
    `clock` returns the time in seconds; a test can pass its own and need not wait. ValueError is raised for a limit
    below one request, or of no time.
    """

    free_models: Limit | None = (200, 3600.0)
    anonymous: Limit | None = (10_000, 86_400.0)
    account: Limit | None = None
    throttle: Limit | None = None
    clock: Callable[[], float] = field(default=time.monotonic, repr=False)

    def __post_init__(self) -> None:
        for name in LIMIT_NAMES:
            if (limit := self.of(name)) is not None and not (limit[0] >= 1 and limit[1] > 0):
                raise ValueError(f"{name}={limit!r} allows nothing; use at least 1 request and more than 0 seconds")

    def of(self, name: LimitName) -> Limit | None:
        limit: Limit | None = getattr(self, name)
        return limit


_OFF = RateLimits(free_models=None, anonymous=None)


class RateCounts:
    """The requests that each caller has sent within the window of each limit; refused requests do not count."""

    def __init__(self, limits: RateLimits | None = None) -> None:
        self._limits = limits or _OFF
        self._lock = threading.Lock()
        self._times: defaultdict[tuple[LimitName, str], deque[float]] = defaultdict(deque)

    def wait(self, name: LimitName, caller: str) -> float:
        """Count a request and return 0.0, or return the seconds until the caller may send the next one."""
        limit = self._limits.of(name)
        if limit is None:
            return 0.0
        most, seconds = limit
        with self._lock:
            now, times = self._limits.clock(), self._times[name, caller]
            while times and times[0] <= now - seconds:
                times.popleft()
            if len(times) >= most:
                return times[0] + seconds - now
            times.append(now)
            return 0.0

    def clear(self) -> None:
        """Forget all requests."""
        with self._lock:
            self._times.clear()
