"""The fields of embedding models, and the request body for a batch of texts. No I/O."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, Self, Unpack

from pydantic import PrivateAttr

from kilo_gateway.call import refuses_data_collection
from kilo_gateway.encoding.json_values import to_json
from kilo_gateway.ledger import Ledger
from kilo_gateway.settings import types
from kilo_gateway.settings.account import AccountSettings

if TYPE_CHECKING:
    from kilo_gateway.settings.arguments import EmbeddingArguments

DEFAULT_MODEL: Final = "mistralai/mistral-embed-2312"
BATCH_SIZE: Final = 64
BATCH_BYTES: Final = 32_000
"""UTF-8 bytes of a request: Mistral takes 16,384 tokens at once, and a token of dense text is about two bytes."""
MAX_INPUTS: Final = {"google": 100, "mistralai": 512}
"""Upper limit of texts in a request, by the vendor of the model."""

Vector = list[float]


class EmbeddingSettings(AccountSettings):
    """The fields of a Kilo embedding model, those of `AccountSettings` included.

    The gateway serves embeddings to signed-in callers only.
    """

    model: types.Model = DEFAULT_MODEL
    """Model id such as `openai/text-embedding-3-small`; `GET /embedding-models` lists them."""
    dimensions: types.Dimensions | None = None
    """Length of a vector, for models that let you choose; None: the model's own."""
    query_input_type: str | None = None
    """`input_type` of queries, for models that treat questions and documents differently (`query`, `search_query`,
    ...)."""
    document_input_type: str | None = None
    """`input_type` of documents (`document`, `passage`, `search_document`, ...)."""
    extra_body: types.EmbeddingBody | None = None
    """Further fields of the request body."""

    _usage: Ledger = PrivateAttr(default_factory=Ledger)
    _lengths: dict[tuple[str, int | None], int] = PrivateAttr(default_factory=dict)

    if TYPE_CHECKING:  # pydantic's own constructor stays, which takes the same

        def __init__(self, **arguments: Unpack[EmbeddingArguments]) -> None:
            """Check the arguments. Raises pydantic.ValidationError, a ValueError."""

    def __copy__(self) -> Self:
        # A shallow copy would share them, and each object would count the other's requests.
        other = super().__copy__()
        other._usage = copy.deepcopy(self._usage)
        other._lengths = dict(self._lengths)
        return other

    def __repr_args__(self) -> Iterator[tuple[str, Any]]:
        """Yield the model that is asked, and the other arguments that were given."""
        yield "model", self.model
        yield from super().__repr_args__()

    @property
    def usage(self) -> Ledger:
        """Tokens and cost of this object's requests so far; a copy continues from there on its own."""
        return self._usage

    @property
    def length(self) -> int | None:
        """Length of a vector: the requested one, else that of the model's first answer; None before it."""
        return self._lengths.get((self.model, self.dimensions), self.dimensions)

    @length.setter
    def length(self, length: int) -> None:
        self._lengths[self.model, self.dimensions] = length

    @property
    def refuses_data_collection(self) -> bool:
        """True if the gateway may not choose a provider that keeps texts."""
        return refuses_data_collection((self.extra_body or {}).get("provider", self.preferences()))

    def payload(self, texts: Sequence[str], *, query: bool) -> dict[str, Any]:
        """Return the request body for one batch."""
        input_type = self.query_input_type if query else self.document_input_type
        fields = {"dimensions": self.dimensions, "input_type": input_type, "provider": self.preferences()}
        body = {name: value for name, value in fields.items() if value is not None} | (self.extra_body or {})
        body = {name: to_json(value, name) for name, value in body.items()}
        # base64 takes a third of the bytes of JSON numbers, and is exact.
        return {**body, "model": self.model, "input": list(texts), "encoding_format": "base64"}


def batches(texts: Sequence[str], model: str, size: int) -> list[list[str]]:
    """Split `texts` into requests of at most `size` texts, and no more than the model's vendor takes.

    Raises ValueError for an empty text, which providers refuse, and for anything that is not a text.
    """
    limit = min(size, MAX_INPUTS.get(model.partition("/")[0], size))
    requests: list[list[str]] = []
    room = 0
    for position, text in enumerate(texts):
        if not isinstance(text, str) or not text:
            what = "is empty" if text == "" else f"is a {type(text).__name__}, not a str"
            raise ValueError(f"texts[{position}] {what}; an embedding needs text: leave it out")
        length = len(text.encode("utf-8", "replace"))
        if not requests or length > room or len(requests[-1]) >= limit:
            requests.append([])
            room = BATCH_BYTES
        requests[-1].append(text)
        room -= length
    return requests
