"""Ask for the rows of a dataset on a cluster, with Ray Data, which the extra `[ray]` installs.

Ray distributes, retries and resumes. This package adds an answer and its cost to each row.
"""

from kilo_gateway.ray.mapping import map_rows

__all__ = ["map_rows"]
