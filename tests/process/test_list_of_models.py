"""Test the stored list of models with several processes, and the imports that it needs."""

import os
import subprocess
import sys
from pathlib import Path

WORKER = """
import random, sys, time
from kilo_gateway.models.store import ListFile, Stored
me, file = int(sys.argv[1]), ListFile.of("http://gateway", "account")
while file.read() is None:
    file.write(Stored(time.time(), [{"id": "start"}] * 400))
for turn in range(40):
    if random.random() < 0.5:
        file.write(Stored(time.time(), [{"id": f"{me}/{turn}"}] * random.randint(1, 400)))
    stored = file.read()
    assert stored is not None and stored.entries, "a reader saw half a file"
    assert len({entry["id"] for entry in stored.entries}) == 1, "a reader saw two writers"
"""


def test_ten_processes_write_and_read_at_once() -> None:
    workers = [
        subprocess.Popen([sys.executable, "-c", WORKER, str(n)], stderr=subprocess.PIPE, text=True) for n in range(10)
    ]
    outcomes = [worker.communicate()[1] for worker in workers]
    assert [worker.returncode for worker in workers] == [0] * 10, outcomes
    assert len(list(Path(os.environ["KILO_CACHE_DIR"]).iterdir())) == 1  # no temporary file is left behind


def test_the_adapters_do_not_import_the_list() -> None:
    code = (
        "import sys, langchain_kilo, llama_index_kilo\n"
        "heavy = {'kilo_gateway.models.catalog', 'kilo_gateway.models.listing', 'kilo_gateway.models.info', 'pandas'}\n"
        "assert heavy.isdisjoint(sys.modules), heavy & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
