"""`KiloEmbeddings`: the Kilo AI Gateway's embedding models for LangChain."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Unpack

from langchain_core.embeddings import Embeddings

import kilo_gateway as kilo
from kilo_gateway.settings import types
from kilo_gateway.settings.embedding import BATCH_SIZE, EmbeddingSettings, Vector
from langchain_kilo import usage
from langchain_kilo.translation import langchain_errors

if TYPE_CHECKING:
    from kilo_gateway.embeddings import Embedded
    from langchain_kilo.arguments import KiloEmbeddingsArguments


class KiloEmbeddings(EmbeddingSettings, Embeddings):
    """Turn texts into vectors, for vector stores and retrievers.

    Every field of `kilo_gateway.EmbeddingSettings` is an argument. Embeddings need an account: set
    `KILO_API_KEY`. What was used is in `usage`, and `with KiloUsageCallback()` counts it too. Errors are those of
    `ChatKilo`; an empty text is a ValueError.
    """

    batch_size: types.BatchSize = BATCH_SIZE
    """Texts of a request; less where the model's provider takes less, or the texts are long; alias `chunk_size`."""
    max_concurrency: types.AtOnce = 4
    """Requests that `aembed_documents` has under way at the same time."""
    show_progress: bool = False
    """Show a bar of tqdm while documents are embedded; alias `show_progress_bar`."""

    if TYPE_CHECKING:  # pydantic's own constructor stays, which takes the same

        def __init__(self, **arguments: Unpack[KiloEmbeddingsArguments]) -> None:
            """Check the arguments. Raises pydantic.ValidationError, a ValueError."""

    def embed_documents(self, texts: list[str]) -> list[Vector]:
        """Return a vector for each text, in their order. Raises KiloError."""
        with self._run(texts) as report:
            return kilo.embeddings.embed(self, texts, batch_size=self.batch_size, report=report)

    def embed_query(self, text: str) -> Vector:
        """Return the vector of a question. Raises KiloError."""
        with self._run() as report:
            return kilo.embeddings.embed(self, [text], query=True, report=report)[0]

    async def aembed_documents(self, texts: list[str]) -> list[Vector]:
        """Return a vector for each text, in their order. Raises KiloError."""
        with self._run(texts) as report:
            return await kilo.embeddings.aembed(
                self, texts, batch_size=self.batch_size, max_concurrency=self.max_concurrency, report=report
            )

    async def aembed_query(self, text: str) -> Vector:
        """Return the vector of a question. Raises KiloError."""
        with self._run() as report:
            return (await kilo.embeddings.aembed(self, [text], query=True, report=report))[0]

    @contextmanager
    def _run(self, texts: list[str] | None = None) -> Iterator[Any]:
        bar = _bar(len(texts)) if texts and self.show_progress else None

        def report(batch: Embedded) -> None:
            usage.count(batch.model, batch.spent)
            if bar is not None:
                bar.update(len(batch.vectors))

        try:
            with langchain_errors():
                yield report
        finally:
            if bar is not None:
                bar.close()


def _bar(total: int) -> Any:
    try:
        tqdm: Any = importlib.import_module("tqdm.auto")
    except ImportError as error:
        raise ImportError("show_progress=True needs tqdm: pip install tqdm") from error
    return tqdm.tqdm(total=total, unit="text")
