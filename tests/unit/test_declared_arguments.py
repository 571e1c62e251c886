"""Test that type checkers know the arguments that the constructors take."""

import ast
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kilo_gateway import EmbeddingSettings, GatewaySettings
from kilo_gateway.settings import names
from kilo_gateway.settings.account import AccountSettings
from kilo_gateway.settings.arguments import ChatArguments, EmbeddingArguments
from langchain_kilo import ChatKilo, KiloEmbeddings
from langchain_kilo.arguments import ChatKiloArguments, KiloEmbeddingsArguments
from llama_index_kilo import KiloEmbedding, KiloLLM
from llama_index_kilo.arguments import KiloEmbeddingArguments, KiloLLMArguments


@pytest.mark.parametrize(
    ("cls", "declared"),
    [
        (GatewaySettings, ChatArguments),
        (EmbeddingSettings, EmbeddingArguments),
        (ChatKilo, ChatKiloArguments),
        (KiloEmbeddings, KiloEmbeddingsArguments),
        (KiloLLM, KiloLLMArguments),
        (KiloEmbedding, KiloEmbeddingArguments),
    ],
)
def test_each_field_and_alias_is_declared_and_nothing_else(cls: type[AccountSettings], declared: Any) -> None:
    fields = set(cls.model_fields)
    aliases = {alias for alias, field in names.ALIASES.items() if field in fields}
    if issubclass(cls, GatewaySettings):
        aliases.add("use_responses_api")
    # Older versions of LlamaIndex lack `rate_limiter`.
    assert declared.__annotations__.keys() - {"rate_limiter"} == (fields | aliases) - {"rate_limiter"}


ROOT = Path(__file__).resolve().parents[2]


def test_each_argument_has_a_description() -> None:
    """The API page shows that of the field, else that of the declaration."""
    sources = [
        "kilo_gateway/settings/account.py",
        "kilo_gateway/settings/chat.py",
        "kilo_gateway/settings/embedding.py",
    ]
    sources += ["langchain_kilo/chat_models.py", "langchain_kilo/embeddings.py"]
    sources += ["llama_index_kilo/llm.py", "llama_index_kilo/embeddings.py"]
    declarations = [
        f"{package}/arguments.py" for package in ("kilo_gateway/settings", "langchain_kilo", "llama_index_kilo")
    ]
    described = {name for path in [*sources, *declarations] for name, text in described_attributes(path) if text}
    declared = {name for path in declarations for name, _ in described_attributes(path)}
    assert len(declared) > 60
    assert declared - described == set()


def described_attributes(path: str) -> Iterator[tuple[str, str]]:
    """Yield each annotated attribute of the classes of a file, with the text below it."""
    module = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    for cls in (node for node in module.body if isinstance(node, ast.ClassDef)):
        for node, following in itertools.pairwise([*cls.body, ast.Pass()]):
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                match following:
                    case ast.Expr(value=ast.Constant(value=str(text))):
                        yield node.target.id, text
                    case _:
                        yield node.target.id, ""
