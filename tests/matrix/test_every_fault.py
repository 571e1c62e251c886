"""Test every fault of `faults.py` in both classes, sync and async, streamed and not."""

import asyncio
import re
import sys
from pathlib import Path

import pytest

from kilo_gateway import GatewaySettings, chat
from kilo_gateway.sandbox import Sandbox
from tests.matrix.faults import FAULTS, PATIENT, Fault, Place, Stage
from tests.support.leftovers import open_to, other_tasks, stays_open, threads
from tests.support.ways import STREAMED, WAYS, collect, every_way

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="sockets are counted in /proc")


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("faults")


@on_linux
@every_way
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_fault(kilo_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, folder: Path, fault: Fault, way: str) -> None:
    before = threads()
    with fault.play(Stage(kilo_sandbox, monkeypatch, folder)) as place:
        asyncio.run(_suffer(fault, place, way))
    assert threads() <= before
    assert place.seen()


async def _suffer(fault: Fault, place: Place, way: str) -> None:
    cls, ask = WAYS[way]
    llm = cls(base_url=place.base_url, **{"max_retries": 0, **place.fields})
    played_by_sandbox = llm.model_id.startswith("sandbox/")
    if played_by_sandbox:
        await ask(llm, model="sandbox/echo", **PATIENT)
    idle = open_to(place.base_url) if played_by_sandbox else 0
    error = fault.expected(streamed=way in STREAMED)
    if error is None:
        assert (await ask(llm)).startswith(fault.text)
    else:
        with pytest.raises(error, match=fault.says) as caught:
            await ask(llm)
        partial = caught.value.partial_text
        assert re.fullmatch(fault.partial, partial, re.DOTALL) or (not partial and way not in STREAMED)
        assert not {"hush", "s3cr3t"} & set(re.split(r"\W", repr(caught.value)))
        assert {name: getattr(caught.value, name) for name in fault.attributes} == fault.attributes
        del caught
    # The limits that caused the fault are too short for a busy machine.
    assert await ask(llm, **{**PATIENT, **place.heal(llm)})
    if ":" in place.base_url.partition("//")[2]:
        assert not await stays_open(llm.base_url, idle)
    # The loop closes the generators of the HTTP library that were dropped, each in a task of its own.
    await asyncio.wait_for(asyncio.gather(*other_tasks()), 5)
    assert other_tasks() == set()


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_a_hundred_thousand_tiny_frames(kilo_sandbox: Sandbox, asynchronous: bool) -> None:
    """The core decodes the frames. The frameworks are not tested here, because they need more time for each frame."""
    settings = GatewaySettings(model="sandbox/many-frames", base_url=kilo_sandbox.base_url, merge_ready=False)
    request = settings.prepare("hi", stream=True)

    stream = chat.astream if asynchronous else chat.stream
    texts = [delta.text for delta in collect(stream(settings, request))]
    assert texts.count("x") == 100_000
