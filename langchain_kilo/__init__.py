"""The Kilo AI Gateway for LangChain: `ChatKilo` and `KiloEmbeddings`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

try:
    import langchain_core  # noqa: F401 -- imported to name the package that is missing
except ImportError as error:
    raise ImportError('langchain_kilo needs langchain-core: pip install "kilo-gateway[langchain]"') from error

from kilo_gateway import __version__
from langchain_kilo import content_blocks as _blocks  # noqa: F401 -- registers the translator of our messages
from langchain_kilo.chat_models import ChatKilo

if TYPE_CHECKING:
    from langchain_kilo.embeddings import KiloEmbeddings
    from langchain_kilo.registration import register
    from langchain_kilo.usage import KiloUsageCallback

__all__ = ["ChatKilo", "KiloEmbeddings", "KiloUsageCallback", "__version__", "register"]


def __getattr__(name: str) -> Any:
    """Import on first use: LangChain's tracers alone take as long to import as this whole package."""
    if name == "KiloUsageCallback":
        from langchain_kilo.usage import KiloUsageCallback

        return KiloUsageCallback
    if name == "KiloEmbeddings":
        from langchain_kilo.embeddings import KiloEmbeddings

        return KiloEmbeddings
    if name == "register":
        from langchain_kilo.registration import register

        return register
    raise AttributeError(f"module 'langchain_kilo' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
