"""The Kilo AI Gateway, framework-free: settings, chat drivers, decoders, errors.

Users of LangChain and LlamaIndex want `langchain_kilo.ChatKilo` and `llama_index_kilo.KiloLLM`, which
stand on this package.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kilo_gateway import chat as chat
    from kilo_gateway import embeddings as embeddings
    from kilo_gateway._version import __version__ as __version__
    from kilo_gateway.budget import KiloBudget
    from kilo_gateway.call import Call
    from kilo_gateway.conversation import ToolCall
    from kilo_gateway.data_policy import KiloDataPolicyWarning
    from kilo_gateway.errors import (
        KiloAuthenticationError,
        KiloBudgetExceeded,
        KiloConflictError,
        KiloConnectionError,
        KiloContextLengthError,
        KiloCreditsError,
        KiloDataCollectionError,
        KiloError,
        KiloInvalidRequestError,
        KiloModelNotFoundError,
        KiloNotFoundError,
        KiloPermissionError,
        KiloProviderTimeoutError,
        KiloRateLimitError,
        KiloResponseError,
        KiloServerError,
        KiloSignInRequiredError,
        KiloStatusError,
        KiloStreamInterruptedError,
        KiloTimeoutError,
    )
    from kilo_gateway.garbage import freeze_imports
    from kilo_gateway.ledger import Ledger, Spent
    from kilo_gateway.models.catalog import ModelCatalog, UnknownModelError
    from kilo_gateway.models.info import ModelInfo
    from kilo_gateway.models.listing import alist_models, list_models
    from kilo_gateway.reply import Delta, Ending, Reply, ToolCallDelta
    from kilo_gateway.routing import MODES, TIERS
    from kilo_gateway.settings.chat import GatewaySettings
    from kilo_gateway.settings.embedding import EmbeddingSettings
    from kilo_gateway.usage import Usage

_HOME = {
    "KiloBudget": "budget",
    "Call": "call",
    "ToolCall": "conversation",
    "KiloDataPolicyWarning": "data_policy",
    **dict.fromkeys(("ModelCatalog", "UnknownModelError"), "models.catalog"),
    "EmbeddingSettings": "settings.embedding",
    "freeze_imports": "garbage",
    **dict.fromkeys(("Ledger", "Spent"), "ledger"),
    **dict.fromkeys(("alist_models", "list_models"), "models.listing"),
    "ModelInfo": "models.info",
    **dict.fromkeys(("Delta", "Ending", "Reply", "ToolCallDelta"), "reply"),
    **dict.fromkeys(("MODES", "TIERS"), "routing"),
    "GatewaySettings": "settings.chat",
    "Usage": "usage",
    "__version__": "_version",
}

__all__ = [
    "MODES",
    "TIERS",
    "Call",
    "Delta",
    "EmbeddingSettings",
    "Ending",
    "GatewaySettings",
    "KiloAuthenticationError",
    "KiloBudget",
    "KiloBudgetExceeded",
    "KiloConflictError",
    "KiloConnectionError",
    "KiloContextLengthError",
    "KiloCreditsError",
    "KiloDataCollectionError",
    "KiloDataPolicyWarning",
    "KiloError",
    "KiloInvalidRequestError",
    "KiloModelNotFoundError",
    "KiloNotFoundError",
    "KiloPermissionError",
    "KiloProviderTimeoutError",
    "KiloRateLimitError",
    "KiloResponseError",
    "KiloServerError",
    "KiloSignInRequiredError",
    "KiloStatusError",
    "KiloStreamInterruptedError",
    "KiloTimeoutError",
    "Ledger",
    "ModelCatalog",
    "ModelInfo",
    "Reply",
    "Spent",
    "ToolCall",
    "ToolCallDelta",
    "UnknownModelError",
    "Usage",
    "__version__",
    "alist_models",
    "chat",
    "embeddings",
    "freeze_imports",
    "list_models",
]


def __getattr__(name: str) -> Any:
    """Import on first use: the openai package takes longer to import than everything else together."""
    if name in ("chat", "embeddings"):
        return importlib.import_module(f"kilo_gateway.{name}")
    if name in __all__:
        value = getattr(importlib.import_module(f"kilo_gateway.{_HOME.get(name, 'errors')}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'kilo_gateway' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
