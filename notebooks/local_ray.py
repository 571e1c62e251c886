"""Start Ray on this computer for notebook 09, without its dashboard, its progress bars and its messages.

A program of your own needs only `ray.init()`, and may well keep the progress bars.
"""

from __future__ import annotations

import logging
import os
import tempfile
import warnings


def start(cpus):
    """Start Ray with a number of logical CPUs; only programs on this computer can reach it."""
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled"}
    logging.getLogger("ray.widgets.util").setLevel(logging.ERROR)  # it recommends a package
    warnings.filterwarnings("ignore", module=r"ray\.|tqdm\.")  # they are about code of these packages
    import ray.data

    ray.init(
        "local",
        num_cpus=cpus,
        object_store_memory=200_000_000,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="error",
        _node_ip_address="127.0.0.1",
        _temp_dir=tempfile.mkdtemp(prefix="ray"),
    )
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    ray.data.DataContext.get_current().enable_progress_bars = False
