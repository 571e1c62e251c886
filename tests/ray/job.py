"""A job that asks for all questions of a folder and can be resumed; the tests start it and kill it.

Arguments: the address of the cluster, the base URL and the key of the gateway, the folder.
"""

import sys
from pathlib import Path

import ray
import ray.data
from ray.data.checkpoint import CheckpointConfig

from kilo_gateway.ray import map_rows
from langchain_kilo import ChatKilo
from tests.ray.targets import PAID, Asking

ROWS = 400
WORKERS = 2
ROWS_PER_BLOCK = 20
CONCURRENCY = 10
SECONDS = 0.3
"""How long an answer takes."""


def main(address: str, base_url: str, api_key: str, folder: Path) -> None:
    """Run the job, from where it was left if it ran before."""
    ray.init(address=address)
    dataset = ray.data.read_parquet(str(folder / "questions.parquet"))
    dataset.context.checkpoint_config = CheckpointConfig(id_column="id", checkpoint_path=str(folder / "checkpoint"))
    llm = ChatKilo(model=PAID, base_url=base_url, api_key=api_key)
    mapped = map_rows(
        dataset, Asking(llm, SECONDS), workers=WORKERS, rows_per_block=ROWS_PER_BLOCK, concurrency=CONCURRENCY
    )
    mapped.write_parquet(str(folder / "answers"))


if __name__ == "__main__":
    _, address, base_url, api_key, folder = sys.argv
    main(address, base_url, api_key, Path(folder))
