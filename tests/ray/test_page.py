"""Run the blocks of docs/beyond-one-machine.md that need Ray, in a program with a cluster of its own."""

import json
import os
import subprocess
import sys

import pytest

from kilo_gateway.sandbox import Sandbox
from tests.support.pages import ROOT, Block, blocks

BLOCKS = [
    block
    for block in blocks(ROOT / "docs/beyond-one-machine.md")
    if block.language == "python" and "kilo_gateway.ray" in block.code
]


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The outputs of all blocks, by their place."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("KILO")},
        "PYTHONPATH": str(ROOT),
        "KILO_CACHE_DIR": str(tmp_path_factory.mktemp("cache")),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AUTH_MODE": "disabled",
    }
    with Sandbox() as gateway:
        environment |= {"KILO_BASE_URL": gateway.base_url, "KILO_API_KEY": gateway.api_key}
        done = subprocess.run(
            [sys.executable, "-m", "tests.ray.run_blocks"],
            input=json.dumps([block.code for block in BLOCKS]),
            capture_output=True,
            text=True,
            check=False,
            env=environment,
            cwd=ROOT,
        )
    assert done.returncode == 0, done.stderr
    return dict(zip((block.place for block in BLOCKS), json.loads(done.stdout.splitlines()[-1]), strict=True))


@pytest.mark.timeout(300)  # the first test runs all blocks
@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.place)
def test_a_block_prints_what_the_page_shows(block: Block, outputs: dict[str, str]) -> None:
    assert block.printed is not None
    assert outputs[block.place].rstrip() == block.printed.rstrip()
