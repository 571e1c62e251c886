"""`KiloEmbedding`: the Kilo AI Gateway's embedding models for LlamaIndex."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, Unpack

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.instrumentation.events import BaseEvent
from llama_index_instrumentation import get_dispatcher
from pydantic import ConfigDict, Field, model_validator

import kilo_gateway as kilo
from kilo_gateway.ledger import Spent
from kilo_gateway.settings.embedding import BATCH_SIZE, EmbeddingSettings, Vector

if TYPE_CHECKING:
    from kilo_gateway.embeddings import Embedded
    from llama_index_kilo.arguments import KiloEmbeddingArguments


class KiloEmbeddingUsageEvent(BaseEvent):
    """The usage of one request for embeddings, for which LlamaIndex's own events have no place."""

    model: str
    """The model that served."""
    spent: Spent

    @classmethod
    def class_name(cls) -> str:
        """Return the name under which the event is serialized."""
        return "KiloEmbeddingUsageEvent"


class KiloEmbedding(BaseEmbedding, EmbeddingSettings):
    """Turn texts into vectors, for indexes, retrievers and ingestion pipelines.

    Every field of `kilo_gateway.EmbeddingSettings` is an argument. Embeddings need an account: set
    `KILO_API_KEY`. What was used is in `usage`, `with KiloUsageHandler()` counts it, and each request reports it in a
    `KiloEmbeddingUsageEvent`. Errors are those of `KiloLLM`; an empty text is a ValueError.
    """

    model_config = ConfigDict(hide_input_in_errors=True, protected_namespaces=(), arbitrary_types_allowed=True)

    model_name: str = Field(default="", exclude=True)
    """LlamaIndex's name of `model`, which always has the same value."""
    embed_batch_size: int = Field(default=BATCH_SIZE, gt=0, le=2048)
    """Texts of a request; less where the model's provider takes less, or the texts are long."""
    num_workers: int | None = 4
    """Requests that async batches have under way at the same time."""

    if TYPE_CHECKING:  # pydantic's own constructor stays, which takes the same

        def __init__(self, **arguments: Unpack[KiloEmbeddingArguments]) -> None:
            """Check the arguments. Raises pydantic.ValidationError, a ValueError."""

    @model_validator(mode="after")
    def _one_name(self) -> Self:
        self.__dict__["model_name"] = self.model
        return self

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__("model" if name == "model_name" else name, value)
        if name in ("model", "model_name"):
            self.__dict__["model_name"] = self.model

    @classmethod
    def class_name(cls) -> str:
        """Return the name under which the class is serialized."""
        return "KiloEmbedding"

    def to_payload(self) -> dict[str, Any]:
        """Return the fields that traces may show of this model; no secrets."""
        shown = {"model_name": self.model, "embed_batch_size": self.embed_batch_size, "dimensions": self.dimensions}
        return {"class_name": self.class_name(), **shown}

    def _get_query_embedding(self, query: str) -> Vector:
        return kilo.embeddings.embed(self, [query], query=True, report=_report)[0]

    async def _aget_query_embedding(self, query: str) -> Vector:
        return (await kilo.embeddings.aembed(self, [query], query=True, report=_report))[0]

    def _get_text_embedding(self, text: str) -> Vector:
        return self._get_text_embeddings([text])[0]

    async def _aget_text_embedding(self, text: str) -> Vector:
        return (await self._aget_text_embeddings([text]))[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[Vector]:
        return kilo.embeddings.embed(self, texts, batch_size=self.embed_batch_size, report=_report)

    async def _aget_text_embeddings(self, texts: list[str]) -> list[Vector]:
        return await kilo.embeddings.aembed(self, texts, batch_size=self.embed_batch_size, report=_report)


def _report(batch: Embedded) -> None:
    get_dispatcher().event(KiloEmbeddingUsageEvent(model=batch.model, spent=batch.spent))
