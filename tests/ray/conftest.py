"""One small Ray cluster for all tests, which uses no other host and has no dashboard."""

import os
import shutil
import tempfile
from collections.abc import Iterator

import pytest

os.environ |= {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "disabled",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
}

import ray

CPUS = 4
"""Logical ones; the machine may have fewer."""


def pytest_configure(config: pytest.Config) -> None:
    """Let Ray warn: its warnings are about Ray."""
    config.addinivalue_line("filterwarnings", "ignore")


@pytest.fixture(scope="session")
def cluster() -> Iterator[str]:
    """Start a cluster, and return its address; its logs are in `logs`."""
    folder = tempfile.mkdtemp(prefix="kr", dir="/tmp")
    context = ray.init(
        num_cpus=CPUS,
        object_store_memory=200_000_000,
        include_dashboard=False,
        _node_ip_address="127.0.0.1",
        _temp_dir=folder,
    )
    try:
        yield context.address_info["gcs_address"]
    finally:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)
