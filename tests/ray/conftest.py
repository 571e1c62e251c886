"""One small Ray cluster for all tests, which uses no other host and has no dashboard."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

os.environ |= {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "disabled",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
}

import ray


def pytest_configure(config: pytest.Config) -> None:
    """Show warnings, and do not fail for them: most of them are about Ray itself."""
    config.addinivalue_line("filterwarnings", "default")


@dataclass(frozen=True)
class Cluster:
    """A running cluster."""

    address: str
    folder: Path
    """Everything that Ray writes."""

    def files_with(self, secret: str) -> list[str]:
        """Return the files that contain a secret."""
        files = [file for file in self.folder.rglob("*") if file.is_file()]
        return [file.name for file in files if secret.encode() in file.read_bytes()]


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Start a cluster with four CPUs, whatever the machine has."""
    folder = tempfile.mkdtemp(prefix="kr", dir="/tmp")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KILO_CACHE_DIR", f"{folder}/lists")  # of the workers
        context = ray.init(
            num_cpus=4,
            object_store_memory=200_000_000,
            include_dashboard=False,
            _node_ip_address="127.0.0.1",
            _temp_dir=folder,
        )
    try:
        yield Cluster(context.address_info["gcs_address"], Path(context.address_info["session_dir"]))
    finally:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)
