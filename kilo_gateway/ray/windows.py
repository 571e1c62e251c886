"""The rates of a cluster: requests in a window of time, as the gateway counts them. Pure: no clock."""

from __future__ import annotations

import math
from collections import deque

from kilo_gateway.ray.reports import FREE_PER_HOUR, GRACE_SECONDS, Terms


class Window:
    """At most `limit` requests in any `seconds`, as the gateway counts them when they arrive.

    A permit is taken from the time it is granted until `seconds`, and a grace for its way, after the request was sent.
    """

    def __init__(self, limit: int, seconds: float) -> None:
        self.limit = limit
        self.seconds = seconds
        self.granted = 0
        """Permits with workers, not used yet."""
        self._sent: deque[tuple[float, int]] = deque()
        self._count = 0

    def open(self, now: float) -> int:
        """Return how many permits can be granted."""
        while self._sent and self._sent[0][0] <= now:
            self._count -= self._sent.popleft()[1]
        return self.limit - self.granted - self._count

    def use(self, sent_at: float, count: int) -> None:
        """Count requests for which permits were granted."""
        self.granted -= count
        self._count += count
        until = sent_at + self.seconds + GRACE_SECONDS
        # Reports of several workers come out of order; a permit that is taken too long does no harm.
        self._sent.append((max(until, self._sent[-1][0]) if self._sent else until, count))

    def opens_in(self, now: float) -> float:
        """Return the seconds until a permit can be granted, if none is returned before."""
        if self.open(now) > 0:
            return 0.0
        return self._sent[0][0] - now if self._sent else math.inf


def windows(terms: Terms) -> dict[str, Window]:
    """Return the windows that requests are counted in."""
    limits = {"minute": (terms.requests_per_minute, 60.0), "hour": (terms.requests_per_hour, 3600.0)}
    limited = {name: Window(limit, seconds) for name, (limit, seconds) in limits.items() if limit is not None}
    return {**limited, "free": Window(FREE_PER_HOUR, 3600.0)}
