"""Test one instance in many threads and tasks, streams that are left early, event loops, and forks.

Connections are shared by all interfaces. So calls that run at once use them in turn, and a stream is left on each.
"""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, closing, suppress
from typing import Any

import pytest

from kilo_gateway.sandbox import Sandbox
from langchain_kilo import ChatKilo
from llama_index_kilo import KiloLLM
from tests.support.frames import FRAMES
from tests.support.leftovers import collected, open_to, other_tasks
from tests.support.ways import WAYS, acollect, both, collect, messages, text_of

STREAMS = 500
APIS = list(FRAMES)
ECHO: dict[str, Any] = {"model": "sandbox/echo", "max_retries": 0}
"""Keywords of the call after a stream that was left."""
every_api = pytest.mark.parametrize("api", APIS)
PATIENCE = 20.0
"""Seconds to wait until a left connection is closed; normally it is closed at once."""


def stream(llm: Any, text: str = "hi", **call: Any) -> Any:
    return llm.stream(text, **call) if isinstance(llm, ChatKilo) else llm.stream_chat(messages(text), **call)


async def astream(llm: Any, text: str = "hi", **call: Any) -> Any:
    return llm.astream(text, **call) if isinstance(llm, ChatKilo) else await llm.astream_chat(messages(text), **call)


@pytest.fixture
def llm(kilo_sandbox: Sandbox, cls: Any, api: str) -> Any:
    # An idle connection may be closed at the moment of the first call, which then needs a retry; `ECHO` must not.
    return cls(model="sandbox/stall", base_url=kilo_sandbox.base_url, api=api)


def in_turn(number: int) -> dict[str, Any]:
    """Return a question of its own and its interface, as keywords of `stream` and `astream`."""
    return {"text": f"number {number}!", "api": APIS[number % len(APIS)]}


def freed(gateway: Sandbox) -> bool:
    return gateway.wait_for(lambda record: record.disconnected, timeout=PATIENCE).disconnected


@pytest.mark.parametrize(
    "way", ["langchain invoke", "langchain astream", "llama_index achat", "llama_index stream_chat"]
)
def test_sixty_four_threads(kilo_sandbox: Sandbox, way: str) -> None:
    llm, method = WAYS[way][0](base_url=kilo_sandbox.base_url), way.split()[1]

    def ask(text: str, api: str) -> Any:
        return collect(getattr(llm, method)(text if isinstance(llm, ChatKilo) else messages(text), api=api))

    with ThreadPoolExecutor(64) as pool:
        answers = list(pool.map(lambda number: text_of(ask(**in_turn(number))), range(64)))
    assert len(answers) == 64
    assert all(answer.endswith(f"number {number}!") for number, answer in enumerate(answers))


async def _once(ask: Callable[..., Awaitable[str]], llm: Any) -> str:
    return await ask(llm)


@pytest.fixture
def _many_files() -> Iterator[None]:
    """Allow a socket for each end of each stream; some systems begin with 256."""
    resource = pytest.importorskip("resource", reason="this system does not limit open files")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4 * STREAMS
    if soft < wanted:
        if resource.RLIM_INFINITY != hard < wanted:
            pytest.skip(f"this system allows {hard} open files, {wanted} are needed")  # a limit of the system
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("_many_files")
def test_five_hundred_streams_at_once(kilo_sandbox: Sandbox) -> None:
    llms = [cls(base_url=kilo_sandbox.base_url, timeout=60) for cls in (ChatKilo, KiloLLM)]

    async def read(number: int) -> tuple[str, str]:
        items = await acollect(astream(llms[number % 2], **in_turn(number)))
        return text_of(items), f"number {number}!"

    async def all_of_them() -> None:
        for answer, asked in await asyncio.gather(*(read(number) for number in range(STREAMS))):
            assert answer.endswith(asked)
        assert other_tasks() == set()

    asyncio.run(all_of_them())
    assert len(kilo_sandbox.requests) == STREAMS


# Leaving a stream early. The sandbox stalls, so only a connection that was closed ends the request.
def _break(llm: Any) -> None:
    for _ in stream(llm):
        break


def _raise(llm: Any) -> None:
    with suppress(ZeroDivisionError):  # leaves the stream
        for _ in stream(llm):
            raise ZeroDivisionError


def _close(llm: Any) -> None:
    with closing(stream(llm)) as items:
        next(items)


LEAVING = {"break": _break, "exception": _raise, "close": _close}


@every_api
@both
@pytest.mark.parametrize("leave", LEAVING)
def test_left_early(kilo_sandbox: Sandbox, llm: Any, leave: str) -> None:
    before = open_to(kilo_sandbox.base_url)
    LEAVING[leave](llm)
    assert freed(kilo_sandbox)
    assert open_to(kilo_sandbox.base_url) <= before
    assert text_of(list(stream(llm, **ECHO)))


async def _read(llm: Any, arrived: asyncio.Event) -> None:
    async for _ in await astream(llm):
        arrived.set()


async def _abreak(llm: Any, gateway: Sandbox) -> None:
    async for _ in await astream(llm):
        break


async def _araise(llm: Any, gateway: Sandbox) -> None:
    with suppress(ZeroDivisionError):  # leaves the stream
        async for _ in await astream(llm):
            raise ZeroDivisionError


async def _aclose(llm: Any, gateway: Sandbox) -> None:
    async with aclosing(await astream(llm)) as items:
        await anext(items)


async def _cancel(llm: Any, gateway: Sandbox) -> None:
    arrived = asyncio.Event()
    task = asyncio.create_task(_read(llm, arrived))
    await arrived.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def _timeout(llm: Any, gateway: Sandbox) -> None:
    with pytest.raises(TimeoutError):  # noqa: PT012 -- the deadline is set after the first piece
        async with asyncio.timeout(None) as limit:
            async for _ in await astream(llm):
                limit.reschedule(asyncio.get_running_loop().time())


async def _cancel_invoke(llm: Any, gateway: Sandbox) -> None:
    ask = WAYS["langchain ainvoke" if isinstance(llm, ChatKilo) else "llama_index achat"][1]
    task = asyncio.create_task(_once(ask, llm))
    await asyncio.to_thread(gateway.wait_for, lambda record: True)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


ALEAVING = {
    "break": _abreak,
    "exception": _araise,
    "aclose": _aclose,
    "cancel": _cancel,
    "timeout": _timeout,
    "cancel of an invoke": _cancel_invoke,
}


@pytest.mark.parametrize(
    ("api", "transport"), [*((api, None) for api in APIS), ("completions", "httpx")], ids=[*APIS, "httpx"]
)
@both
@pytest.mark.parametrize("leave", ALEAVING)
def test_left_early_async(kilo_sandbox: Sandbox, llm: Any, leave: str, transport: Any) -> None:
    llm.transport = transport
    before = open_to(kilo_sandbox.base_url)

    async def run() -> None:
        await ALEAVING[leave](llm, kilo_sandbox)
        # If a stream is only dropped, the event loop closes it in another task.
        await asyncio.gather(*other_tasks())
        assert await asyncio.to_thread(freed, kilo_sandbox)
        assert open_to(kilo_sandbox.base_url) <= before
        assert text_of(await acollect(astream(llm, **ECHO)))
        assert other_tasks() == set()

    with collected():  # an unclosed socket or generator would warn here, which fails the test
        asyncio.run(run())


@both
@pytest.mark.parametrize("api", ["completions"])
def test_an_open_stream_is_counted(kilo_sandbox: Sandbox, llm: Any) -> None:
    """Check that the counts above can fail."""
    before = open_to(kilo_sandbox.base_url)
    held = [stream(llm) for _ in range(before + 1)]
    for items in held:
        next(items)
    assert open_to(kilo_sandbox.base_url) > before
    with pytest.raises(TimeoutError):
        kilo_sandbox.wait_for(lambda record: record.disconnected, timeout=0.05)
    for items in held:
        items.close()
    assert freed(kilo_sandbox)


@both
def test_streams_in_three_loops_at_once(kilo_sandbox: Sandbox, cls: Any) -> None:
    llm = cls(base_url=kilo_sandbox.base_url)

    async def run(api: str) -> str:
        return text_of(await acollect(astream(llm, api=api)))

    with ThreadPoolExecutor(len(APIS)) as pool:
        assert len(set(pool.map(lambda api: asyncio.run(run(api)), APIS))) == 1


@both
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:This process.*multi-threaded:DeprecationWarning")  # the test forks on purpose
def test_a_fork_in_the_middle_of_a_stream(kilo_sandbox: Sandbox, cls: Any) -> None:
    """The child opens its own connections, and the parent's stream continues."""
    llm = cls(model="sandbox/slow-drip", base_url=kilo_sandbox.base_url)
    items = stream(llm)
    first = next(items)
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        answers = "".join(text_of(list(stream(llm, model="sandbox/echo", api=api))) for api in APIS)
        answers += asyncio.run(_again(llm))
        os._exit(0 if answers.count("Hello!") == 1 + len(APIS) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert text_of([first, *items]) == "Hello! How can I help you?"


async def _again(llm: Any) -> str:
    return text_of(await acollect(astream(llm, model="sandbox/echo")))
