"""Test every fault of `faults.py` on each interface, in both classes, sync and async, streamed and not.

The interfaces differ in the code that reads an answer. A fault before the answer meets only code that they share. So
there, and where an answer is long, Chat Completions is tested in all eight ways, and the two others in four each, which
together are all eight. The transports differ in what happens below an answer, so the async ways of Chat Completions are
tested on httpx too.
"""

import asyncio
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from kilo_gateway import GatewaySettings, chat
from kilo_gateway.sandbox import Sandbox
from tests.matrix.faults import FAULTS, PATIENT, Fault, Place, Stage
from tests.support.frames import FRAMES, whole
from tests.support.leftovers import open_to, other_tasks, stays_open, threads
from tests.support.server import server
from tests.support.ways import ASYNC, STREAMED, WAYS, collect

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="sockets are counted in /proc")


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("faults")


PLAYED = [
    *((fault, api, way, "default") for fault in FAULTS for api, way in fault.played),
    *(
        (fault, api, way, "httpx")
        for fault in FAULTS
        for api, way in fault.played
        if way in ASYNC and api == "completions"
    ),
]


@on_linux
@pytest.mark.parametrize(
    ("fault", "api", "way", "transport"),
    [pytest.param(*played, id="-".join([played[0].name, *played[1:]])) for played in PLAYED],
)
def test_fault(
    kilo_sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    folder: Path,
    fault: Fault,
    api: str,
    way: str,
    transport: str,
) -> None:
    before = threads()
    with fault.play(Stage(kilo_sandbox, monkeypatch, folder, api, way)) as place:
        fields = place.fields if transport == "default" else {**place.fields, "transport": transport}
        asyncio.run(_suffer(fault, place, way, {"max_retries": 0, "api": api, **fields}))
    assert threads() <= before
    assert place.seen()


async def _suffer(fault: Fault, place: Place, way: str, fields: dict[str, Any]) -> None:
    cls, ask = WAYS[way]
    llm = cls(base_url=place.base_url, **fields)
    played_by_sandbox = llm.model_id.startswith("sandbox/")
    if played_by_sandbox:
        # An idle connection may be closed at the moment of this call, which then needs a retry.
        await ask(llm, model="sandbox/echo", max_retries=2, **PATIENT)
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


# The interfaces have the same two drivers, and both drivers use the decoder of the interface.
@pytest.mark.parametrize(("api", "asynchronous"), [("completions", False), ("responses", True), ("messages", False)])
def test_a_hundred_thousand_tiny_frames(api: Any, asynchronous: bool) -> None:
    """The core decodes the frames. The frameworks are not tested here, because they need more time for each frame."""
    frames = FRAMES[api]
    with server(whole(frames.text, *[frames.delta * 1_000] * 100, frames.finish, frames.end)) as (url, _):
        settings = GatewaySettings(base_url=url, api=api, merge_ready=False)
        request = settings.prepare("hi", stream=True)
        stream = chat.astream if asynchronous else chat.stream
        texts = [delta.text for delta in collect(stream(settings, request))]
    assert texts.count("whole") == 100_001
