"""Every test starts with no Kilo or proxy settings in its environment and no notice given."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from kilo_gateway import notices
from tests import vcr_settings


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("KILO", "OPENAI_", "LANGSMITH_", "LANGCHAIN_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    notices.forget()


@pytest.fixture(scope="session", autouse=True)
def _no_loop_of_the_main_thread() -> None:
    """LlamaIndex asks for the main thread's event loop, which would be made for it and never closed."""
    asyncio.set_event_loop(None)


@pytest.fixture(scope="session")
def vcr_config() -> dict[str, Any]:
    return vcr_settings.config("kilo-gateway sandbox")


@pytest.fixture
def vcr_cassette_dir() -> str:
    return str(Path(__file__).parent / "cassettes")
