"""Whatever lies where a list of models is kept: nothing raises, nothing waits, and the next list replaces it."""

from __future__ import annotations

import json
import math
import os
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from kilo_gateway import ModelCatalog
from kilo_gateway.models import known as known_models
from kilo_gateway.models import prices
from kilo_gateway.models.listing import _Listing
from kilo_gateway.models.store import FORMAT, ListFile, Stored
from langchain_kilo import ChatKilo
from llama_index_kilo import KiloLLM

GATEWAY = "https://gateway.example"
MODEL = "vendor/model"
ENTRY = {"id": MODEL, "context_length": 5_000, "pricing": {"prompt": "0.000001", "completion": "0.000002"}}
GOOD = Stored(time.time(), [ENTRY])

SCALAR = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
SCALAR |= st.sampled_from([10**400, -(10**400), math.inf, -math.inf, math.nan, "\ud800", "1e-900000", MODEL])
FIELDS = [
    *("id", "name", "context_length", "pricing", "prompt", "completion", "architecture", "input_modalities", "created"),
    *("top_provider", "max_completion_tokens", "supported_parameters", "expiration_date", "isFree", "opencode"),
    *("variants", "autoRouting", "models", "mayTrainOnYourPrompts", "canonical_slug"),
]
JSON = st.recursive(
    SCALAR,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=4),
    max_leaves=8,
)
ENTRIES = st.lists(JSON | st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=8).map(lambda e: {"id": MODEL, **e}))
HELD = st.fixed_dictionaries(
    {},
    optional={"format": st.just(FORMAT) | JSON, "fetched_at": st.just(time.time()) | JSON, "entries": ENTRIES | JSON},
)
CONTENT = st.binary(max_size=20) | st.one_of(HELD, JSON).map(lambda held: json.dumps(held).encode())


@pytest.fixture
def file() -> ListFile:
    listing = _Listing({"base_url": GATEWAY}, refresh=False, max_age=3600)
    listing.file.path.parent.mkdir(parents=True, exist_ok=True)
    return listing.file


def use_everything() -> ModelCatalog | None:
    """Ask everything that a kept list may answer."""
    known_models.forget()
    known_models.known(MODEL, base_url=GATEWAY)
    assert known_models.context_window(MODEL, base_url=GATEWAY) > 0
    assert KiloLLM(model=MODEL, base_url=GATEWAY).metadata.context_window > 0
    llm = ChatKilo(model=MODEL, base_url=GATEWAY)
    assert llm.profile is not None or known_models.known(MODEL, base_url=GATEWAY) is None
    prices.at_most(MODEL, prices.Size(1, 1), base_url=GATEWAY)
    catalog = _Listing({"base_url": GATEWAY}, refresh=False, max_age=3600).kept_and_fresh()
    if catalog is not None:
        assert len(catalog) > 0
        assert str(catalog)
        assert catalog._repr_html_()
        catalog.to_frame()
        catalog.sort("prompt_price").filter(tools=True)
    return catalog


def held(**fields: Any) -> bytes:
    return json.dumps({"format": FORMAT, "fetched_at": time.time(), "entries": [ENTRY], **fields}).encode()


@given(CONTENT)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # each example overwrites the file
@example(held())
@example(held(fetched_at=10**400))
@example(held(fetched_at=-math.inf))
@example(held(fetched_at=math.nan))
@example(held(fetched_at=1e300))
@example(held(entries=[{**ENTRY, "context_length": 10**400}]))
@example(held(entries=[None]))
@example(b"[" * 100_000)
@example(b"9" * 10_000)
def test_any_content(file: ListFile, content: bytes) -> None:
    file.path.write_bytes(content)
    use_everything()
    file.write(GOOD)
    catalog = use_everything()
    assert catalog is not None
    assert catalog.ids == [MODEL]


@pytest.mark.parametrize(
    "fetched_at", [10**400, -(10**400), math.inf, -math.inf, math.nan, -1, 1e300, "1", None, True, [1]]
)
def test_an_impossible_time_makes_the_file_unusable(file: ListFile, fetched_at: Any) -> None:
    file.path.write_bytes(held(fetched_at=fetched_at))
    assert file.read() is None


def lay_fifo(path: Path) -> None:
    os.mkfifo(path)


def lay_folder(path: Path) -> None:
    path.mkdir()


def lay_endless_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def lay_broken_link(path: Path) -> None:
    path.symlink_to("nowhere")


@pytest.mark.timeout(20)
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has neither FIFOs nor devices as files")
@pytest.mark.parametrize("lay", [lay_fifo, lay_folder, lay_endless_device, lay_broken_link])
def test_other_things_than_files_are_left_alone(file: ListFile, lay: Any) -> None:
    older = ListFile.of(GATEWAY, "somebody else")
    older.write(GOOD)
    lay(file.path)
    assert file.read() is None
    assert use_everything() is None
    known_models.forget()
    info = known_models.known(MODEL, base_url=GATEWAY)
    assert info is not None, "the list of another account still counts"
    assert info.context_length == 5_000


@pytest.mark.timeout(20)
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has neither FIFOs nor devices as files")
@pytest.mark.parametrize("lay", [lay_fifo, lay_endless_device, lay_broken_link])
def test_other_things_than_files_are_replaced(file: ListFile, lay: Any) -> None:
    lay(file.path)
    file.write(GOOD)
    assert file.read() == GOOD
