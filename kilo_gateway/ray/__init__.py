"""Ask for the rows of a dataset on a cluster, with Ray Data, which the extra `[ray]` installs.

Ray distributes, retries and resumes. This package adds an answer and its cost to each row, and limits that all
workers share.
"""

from typing import TYPE_CHECKING, Any

from kilo_gateway.ray.mapping import map_rows

if TYPE_CHECKING:
    from kilo_gateway.ray.limits import ClusterLimits

__all__ = ["ClusterLimits", "map_rows"]


def __getattr__(name: str) -> Any:
    if name == "ClusterLimits":
        from kilo_gateway.ray.limits import ClusterLimits  # its module imports Ray, which `map_rows` does when called

        return ClusterLimits
    raise AttributeError(f"module 'kilo_gateway.ray' has no attribute {name!r}")
