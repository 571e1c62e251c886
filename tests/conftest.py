"""Every test starts with no Kilo or proxy settings in its environment, no list of models and no notice given."""

import asyncio
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from kilo_gateway import KiloBudgetExceeded, data_policy, unsupported
from kilo_gateway.models import known as known_models
from tests.support import live, vcr_settings

# A time limit for each example fails on a busy machine and says nothing about the code.
_UNHURRIED = hypothesis.settings(deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.register_profile("whole", _UNHURRIED, max_examples=150)
# `make test-unit` draws fewer examples of each property; `make test` draws them all.
hypothesis.settings.register_profile("quick", _UNHURRIED, max_examples=20)
hypothesis.settings.load_profile("whole")


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    for name in list(os.environ):
        if name.startswith(("KILO", "OPENAI_", "LANGSMITH_", "LANGCHAIN_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    # The folder is made when a list is kept, which few tests do.
    monkeypatch.setenv("KILO_CACHE_DIR", str(tmp_path_factory.getbasetemp() / uuid.uuid4().hex))
    known_models.forget()
    data_policy.forget()
    unsupported.forget()


@pytest.fixture(scope="session", autouse=True)
def _no_loop_of_the_main_thread() -> None:
    """LlamaIndex asks for the main thread's event loop, which would be made for it and never closed."""
    asyncio.set_event_loop(None)


@pytest.fixture(scope="session")
def live_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[vcr_settings.Source, Path] | None]:
    """Return the live gateway and the folder of its list of models, if the run asks for it with KILO_LIVE=1."""
    folder = tmp_path_factory.mktemp("live")
    with live.gateway(folder) as source:
        yield (source, folder) if source else None


@pytest.fixture
def tested_gateway(
    live_gateway: tuple[vcr_settings.Source, Path] | None,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> vcr_settings.Source:
    """Return the gateway of a test that any gateway can answer: the sandbox, or the live gateway."""
    if live_gateway is None:
        return vcr_settings.sandbox(request.getfixturevalue("kilo_sandbox"))
    source, folder = live_gateway
    monkeypatch.setenv("KILO_CACHE_DIR", str(folder))
    return source


def pytest_exception_interact(node: pytest.Item | pytest.Collector, call: pytest.CallInfo[Any]) -> None:
    """End a live run whose budget is spent: no other test could ask either."""
    if live.STARTED_LIVE and call.excinfo and call.excinfo.errisinstance(KiloBudgetExceeded):
        node.session.shouldstop = f"the budget of this run is spent (KILO_LIVE_LIMIT_USD): {call.excinfo.value}"


@pytest.fixture(scope="session")
def recorded_gateway(request: pytest.FixtureRequest, record_mode: str) -> vcr_settings.Source:
    """The gateway of tests with cassettes: the live one needs a key in the environment the run was started with."""
    if record_mode == "none":
        return vcr_settings.NOBODY
    return vcr_settings.live() or vcr_settings.sandbox(request.getfixturevalue("_kilo_sandbox_server"))


@pytest.fixture(scope="session")
def vcr_config(recorded_gateway: vcr_settings.Source) -> dict[str, Any]:
    return vcr_settings.config(recorded_gateway)


@pytest.fixture(scope="session")
def vcr_cassette_dir() -> str:
    return os.environ.get("CASSETTES") or str(Path(__file__).parent / "cassettes")
