"""How a target is asked: anything of LangChain or LlamaIndex that answers, or an async function.

Objects are recognised by their methods, so that neither framework is imported here.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from pydantic import BaseModel

from kilo_gateway.encoding.printable import described

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of target."""

    name: str
    method: str
    """The async method that it is asked with, and recognised by if it has none of the kinds before it."""
    takes: Literal["anything", "text", "fields"]
    """What it is asked: "text" comes from one column, "fields" are keyword arguments."""


EMBEDDINGS: Final = ("aembed_documents", "aget_text_embedding_batch")
"""Methods that return a vector for each text of a list."""
KINDS: Final = (
    Kind("embeddings of LangChain", "aembed_documents", "text"),
    Kind("embeddings of LlamaIndex", "aget_text_embedding_batch", "text"),  # they have `acall` too
    Kind("a Runnable of LangChain (a model, chain or agent)", "ainvoke", "anything"),
    Kind("an LLM of LlamaIndex", "acomplete", "text"),
    Kind("a query engine of LlamaIndex", "aquery", "text"),
    Kind("a program of LlamaIndex", "acall", "fields"),
)
FUNCTION: Final = Kind("an async function of the row", "__call__", "anything")


def kind_of(target: Any) -> Kind:
    """Return the kind of a target. Raises ValueError if it cannot be asked."""
    if not isinstance(target, type):
        for kind in KINDS:
            if callable(getattr(target, kind.method, None)):
                return kind
        if inspect.iscoroutinefunction(target) or inspect.iscoroutinefunction(getattr(target, "__call__", None)):  # noqa: B004 -- it is looked at, not called
            return FUNCTION
    names = ", ".join(kind.name for kind in (*KINDS, FUNCTION))
    hint = f"; give an object of the class: {target.__name__}(...)" if isinstance(target, type) else ""
    raise ValueError(f"target={described(target)} cannot be asked: give {names}, or a function that builds one{hint}")


def is_builder(target: Any) -> bool:
    """Return True for a function without parameters that is not async: it builds the target in each worker."""
    if not inspect.isroutine(target) or inspect.iscoroutinefunction(target):
        return False
    try:
        return not inspect.signature(target).parameters
    except ValueError:  # a function of C, which has no signature
        return False


class Target:
    """A target, and the part of a row that it is asked with: see the arguments of `map_rows`.

    Raises ValueError for a target that cannot be asked, or not with such an input.
    """

    def __init__(self, target: Any, source: str | Sequence[str] | Callable[[Row], Any] | None = None) -> None:
        self.target = target
        self.kind = kind_of(target)
        self.source = "input" if source is None and self.kind is not FUNCTION else source
        if source is not None and not callable(source) and not self.columns:
            raise ValueError(
                f"input={described(source)} must be the name of a column, a list of names, or a function of the row"
            )
        if self.kind.takes == "text" and not (isinstance(self.source, str) or callable(self.source)):
            raise ValueError(
                f"input={described(source)}: {self.kind.name} takes one text; name one column, or give a function of "
                "the row that returns the text"
            )

    @property
    def columns(self) -> list[str]:
        """The columns that are read; empty if it may be any."""
        if self.source is None or callable(self.source):
            return []
        names = [self.source] if isinstance(self.source, str) else self.source
        named = isinstance(names, list | tuple) and all(isinstance(name, str) and name for name in names)
        return list(names) if named else []

    @property
    def embeds(self) -> bool:
        """True if the answers are vectors, of many rows at once."""
        return self.kind.method in EMBEDDINGS

    @property
    def answer_class(self) -> type[BaseModel] | None:
        """The class of the answers, or None if they are texts, or if it is not known."""
        cls = getattr(self.target, "output_cls", None)  # of a program, or of a structured LLM of LlamaIndex
        if cls is None and self.kind.method == "ainvoke":
            cls = getattr(self.target, "OutputType", None)
        is_object = isinstance(cls, type) and issubclass(cls, BaseModel) and "response_metadata" not in cls.model_fields
        return cls if is_object else None

    def question(self, row: Row) -> Any:
        """Return what to ask for a row. Raises ValueError if the row has no value there."""
        source = self.source
        if source is None:
            return row
        if callable(source):
            return source(row)
        if isinstance(source, str):
            if row[source] is None:
                raise ValueError(f"the column {source} is null in this row; fill it, or filter such rows out")
            return {source: row[source]} if self.kind.takes == "fields" else row[source]
        return {name: row[name] for name in source}

    async def ask(self, question: Any) -> Any:
        """Return the answer: a text, or an object."""
        method = self.kind.method
        if method == "acomplete" and not isinstance(question, str):
            method = "achat"
        ask = self.target if self.kind is FUNCTION else getattr(self.target, method)
        return content_of(await (ask(**question) if self.kind.takes == "fields" else ask(question)))

    async def vectors(self, texts: list[str]) -> list[list[float]]:
        """Return a vector for each text. Raises ValueError if there are more or fewer."""
        vectors: list[list[float]] = await getattr(self.target, self.kind.method)(texts)
        if len(vectors) != len(texts):
            raise ValueError(f"{len(texts)} texts were sent, and {len(vectors)} vectors came back")
        return vectors


def content_of(answer: Any) -> Any:
    """Return the text or the object that an answer of a framework holds; anything else as it is."""
    if isinstance(answer, Mapping) and answer.get("messages"):  # the state of an agent of LangGraph
        return answer.get("structured_response") or content_of(answer["messages"][-1])
    if hasattr(answer, "response") and hasattr(answer, "source_nodes"):  # of a query engine
        return answer.response
    if hasattr(answer, "response_metadata") and hasattr(answer, "text"):  # a message of LangChain
        return str(answer.text)
    if hasattr(answer, "raw") and hasattr(answer, "additional_kwargs"):  # of an LLM of LlamaIndex
        if isinstance(answer.raw, BaseModel):
            return answer.raw
        return answer.text if hasattr(answer, "text") else answer.message.content
    return answer
