"""The live gateway in place of the sandbox, under one budget: KILO_LIVE=1 with KILO_API_KEY. See CONTRIBUTING.md."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from kilo_gateway import KiloBudget, list_models
from tests.support import vcr_settings
from tests.support.vcr_settings import Source

LIMIT_USD = 0.50
STARTED_LIVE = os.environ.get("KILO_LIVE") == "1"
"""True if this run was started against the live gateway; each test removes the variable."""


@contextmanager
def gateway(folder: Path) -> Iterator[Source | None]:
    """Yield the live gateway, whose list of models is kept in `folder`; None if the environment does not ask for it."""
    if os.environ.get("KILO_LIVE") != "1":
        yield None
        return
    source = vcr_settings.live()
    if source is None:
        pytest.exit("KILO_LIVE=1 needs the key of an account in KILO_API_KEY", pytest.ExitCode.USAGE_ERROR)
    limit = float(os.environ.get("KILO_LIVE_LIMIT_USD") or LIMIT_USD)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KILO_CACHE_DIR", str(folder))
        list_models(refresh=True, base_url=source.base_url)  # the budget knows the prices from it
    yield replace(source, budget=KiloBudget(limit))
