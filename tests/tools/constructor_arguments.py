"""Show the arguments of the constructors on the API page: an extension of griffe, which mkdocs.yml names.

The fields are declared in several classes of several packages. Here they stand together, with the type that a caller
may write (`arguments.py`), the default and the first sentence of the description.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import griffe

CLASSES: Final = {
    "langchain_kilo.chat_models": {"ChatKilo": "langchain_kilo.arguments.ChatKiloArguments"},
    "langchain_kilo.embeddings": {"KiloEmbeddings": "langchain_kilo.arguments.KiloEmbeddingsArguments"},
    "llama_index_kilo.llm": {"KiloLLM": "llama_index_kilo.arguments.KiloLLMArguments"},
    "llama_index_kilo.embeddings": {"KiloEmbedding": "llama_index_kilo.arguments.KiloEmbeddingArguments"},
    "kilo_gateway.settings.chat": {"GatewaySettings": "kilo_gateway.settings.arguments.ChatArguments"},
    "kilo_gateway.settings.embedding": {"EmbeddingSettings": "kilo_gateway.settings.arguments.EmbeddingArguments"},
}


class ConstructorArguments(griffe.Extension):
    """Adds a table of all arguments to the description of each class."""

    def on_package(self, *, pkg: griffe.Module, loader: griffe.GriffeLoader, **_: Any) -> None:
        """Add the tables, when a package and those that it needs are loaded."""
        for module, classes in CLASSES.items():
            for name, declared in classes.items():
                if module.partition(".")[0] == pkg.name:
                    collection = loader.modules_collection
                    _describe(collection[f"{module}.{name}"], collection[declared])


def _describe(cls: griffe.Class, declared: griffe.Class) -> None:
    cls.members.pop("__init__", None)  # its parameter is a dict for type checkers
    arguments = dict(_attributes(declared))
    fields = {name: field for name, field in _attributes(cls) if name in arguments}
    parameters = [
        griffe.DocstringParameter(
            name,
            annotation=arguments[name].annotation,
            value=_default(field.value),
            description=field.docstring.value if field.docstring else "",
        )
        # Other names, and the framework's arguments, are not fields that can be read here.
        for name, field in {**fields, **{name: arguments[name] for name in arguments if name not in fields}}.items()
    ]
    if cls.docstring is not None:
        section = griffe.DocstringSectionParameters(parameters, title="Arguments:")
        cls.docstring.__dict__["parsed"] = [*cls.docstring.parsed, section]


def _attributes(cls: griffe.Class) -> Iterator[tuple[str, griffe.Attribute]]:
    """Yield the annotated attributes of a class, those of its loaded parents last, and each once."""
    seen: set[str] = set()
    for parent in [cls, *cls.mro()]:
        for name, member in parent.members.items():
            if name in seen or "property" in member.labels or not isinstance(member, griffe.Attribute):
                continue
            if member.annotation is not None:
                seen.add(name)
                yield name, member


def _default(value: Any) -> Any:
    """Return the default that a declaration gives, or dots for one that is computed or not known here."""
    if value is None:
        return "..."
    if not isinstance(value, griffe.ExprCall):
        return value
    keywords = {
        argument.name: argument.value for argument in value.arguments if isinstance(argument, griffe.ExprKeyword)
    }
    return keywords.get("default", "...")
