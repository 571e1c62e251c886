"""Test streams of an event loop that is closed without `shutdown_asyncgens`: the garbage collector closes them.

Each test runs in a new interpreter, because the sockets of such a loop stay open and can warn at any later time.
"""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

SCRIPT = """
import asyncio, gc, os, sys, tempfile
os.environ["KILO_CACHE_DIR"] = tempfile.mkdtemp()
from llama_index.core.base.llms.types import ChatMessage
from kilo_gateway import KiloBudget, chat, list_models
from langchain_kilo import ChatKilo
from llama_index_kilo import KiloLLM
from tests.support.billing import KEY, PAID, UNLISTED, BillingGateway

async def langchain(account):
    stream = ChatKilo(**account).astream("Hello")
    await anext(stream)
    return stream

async def llama_index(account):
    stream = await KiloLLM(**account).astream_chat([ChatMessage("Hello")])
    await anext(stream)
    return stream

async def driver(account):
    llm = ChatKilo(**account)
    stream = chat.astream(llm, llm.prepare("Hello", stream=True))
    await anext(stream)
    return stream

with BillingGateway() as gateway:
    account = {"base_url": gateway.base_url, "api_key": KEY}
    list_models(**account)
    for model in (PAID, UNLISTED):
        budget = KiloBudget(limit_usd=10, unknown_cost_usd=0.01)
        plan = {"plan": {"id": model, "steps": ["hold"], "sent": 8}}
        loop = asyncio.new_event_loop()
        begin = globals()[sys.argv[1]]
        stream = loop.run_until_complete(begin({**account, "model": model, "budget": budget, "extra_body": plan}))
        assert budget.under_way_usd > 0
        loop.close()
        del stream, loop
        gc.collect()
        assert budget.under_way_usd == 0
        if model == PAID:
            assert budget.spent_usd >= gateway.billed(model) > 0
        else:
            assert (budget.spent_usd, budget.unpriced_calls) == (0.01, 1)
        # The stream does not block the next call without a known price.
        ChatKilo(**account, model=UNLISTED, budget=budget).invoke("Hello")
print("done")
"""


@pytest.mark.parametrize("begin", ["langchain", "llama_index", "driver"])
def test_a_stream_of_a_loop_that_was_just_closed(begin: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT, begin],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "done"), done.stderr
