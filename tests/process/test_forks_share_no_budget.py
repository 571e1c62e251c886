"""Test a forked child of a process with threads: its budget works, without the parent's calls under way."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

SPINNING = """
import os, signal, sys, threading
from kilo_gateway import KiloBudget
from kilo_gateway import GatewaySettings
from kilo_gateway.charge import Charge
from kilo_gateway.models import prices
from kilo_gateway.transport.exchange import Exchange

def charge(model):
    one = Exchange(GatewaySettings(base_url="http://127.0.0.1:9"), "/", model=model, lost=True)
    return Charge(budget, one, lambda: prices.Size(64, None))

budget = KiloBudget(limit_usd=1, unknown_cost_usd=0.25, unknown_price="allow")
mine = charge("tests/unlisted")
mine.__enter__()
stop = threading.Event()

def spin():
    while not stop.is_set():
        with charge("kilo-auto/free"):
            budget.left_usd

threads = [threading.Thread(target=spin) for _ in range(4)]
for thread in threads:
    thread.start()

def child():
    signal.alarm(10)
    assert budget.under_way_usd == 0, budget.under_way_usd
    assert budget.spent_usd == 0
    with charge("tests/unlisted"):
        assert budget.under_way_usd == 0.25
    assert (budget.spent_usd, budget.unpriced_calls, budget.under_way_usd) == (0.25, 1, 0)
    mine.__exit__(None, None, None)  # the parent's call: the parent counts it
    assert budget.spent_usd == 0.25

children = []
for _ in range(20):
    if not (pid := os.fork()):
        code = 1
        try:
            child()
            code = 0
        except BaseException as error:
            print(repr(error), file=sys.stderr)
        finally:
            sys.stderr.flush()
            os._exit(code)
    children.append(pid)
codes = [os.waitpid(pid, 0)[1] for pid in children]
stop.set()
for thread in threads:
    thread.join()
assert budget.under_way_usd == 0.25
mine.__exit__(None, None, None)
assert (budget.spent_usd, budget.under_way_usd) == (0.25, 0)
print(codes)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="only systems that fork")
def test_children_of_a_process_whose_threads_use_the_budget() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", SPINNING],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str([0] * 20), done.stderr
