"""Run the recipes of docs/beyond-one-machine.md for Dask and for process pools, as a reader does."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from kilo_gateway.sandbox import Sandbox
from kilo_gateway.sandbox.gateway.call import Call
from kilo_gateway.sandbox.gateway.error_bodies import Refusal
from kilo_gateway.sandbox.model import canned
from kilo_gateway.sandbox.model.turn import Reply
from tests.support.pages import ROOT, Block, blocks

PAGE = ROOT / "docs/beyond-one-machine.md"
RECIPES = [block for block in blocks(PAGE) if block.packages and "kilo_gateway.ray" not in block.code]
REFUSED = {"What is 7 + 7?", "What is 23 + 23?"}
"""The questions that the gateway refuses in these tests."""
SHOW = "\n    import json\n    print(json.dumps(answered))\n"


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch, kilo_sandbox: Sandbox) -> Sandbox:
    answer = canned.answer

    def refuse(call: Call) -> list[Reply]:
        if call.messages[-1]["content"] in REFUSED:
            raise Refusal("context-length")
        return answer(call)

    monkeypatch.setattr(canned, "answer", refuse)
    return kilo_sandbox


def run(block: Block, gateway: Sandbox, folder: Path) -> list[dict[str, Any]]:
    path = folder / "recipe.py"
    path.write_text(block.code + SHOW, encoding="utf-8")
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "KILO_BASE_URL": gateway.base_url,
        "KILO_API_KEY": gateway.api_key,
    }
    command = [sys.executable, "-W", "error::ResourceWarning", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, env=environment)
    assert done.returncode == 0, done.stderr
    assert gateway.api_key not in done.stdout + done.stderr
    assert done.stdout.startswith(f"40 rows, {len(REFUSED)} failed\n")
    rows: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return rows


@pytest.mark.parametrize("block", RECIPES, ids=lambda block: block.packages[0])
def test_each_row_is_asked_once_in_another_process_and_keeps_its_error(
    block: Block, refusing: Sandbox, tmp_path: Path
) -> None:
    rows = run(block, refusing, tmp_path)
    questions = [f"What is {number} + {number}?" for number in range(40)]
    assert [(row["id"], row["question"]) for row in rows] == list(enumerate(questions))
    asked = Counter(record.json["messages"][-1]["content"] for record in refusing.requests if record.method == "POST")
    assert asked == Counter(questions)
    for row in rows:
        if row["question"] in REFUSED:
            assert row["error"].startswith("KiloContextLengthError: ")
            assert "answer" not in row
        else:
            assert row["answer"]
            assert "error" not in row


def test_there_is_a_recipe_for_both_classes_and_both_ways() -> None:
    assert ["Client(cluster)" in block.code for block in RECIPES] == [True, False]
    assert ["ChatKilo(" in block.code for block in RECIPES] == [True, False]
    assert "ProcessPoolExecutor(" in RECIPES[1].code
