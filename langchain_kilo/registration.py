"""`register()`: lets LangChain's `init_chat_model` build a `ChatKilo` from a text such as `kilo:kilo-auto/free`."""

from __future__ import annotations

import importlib
from typing import Any, Final

from langchain_kilo.chat_models import ChatKilo

PROVIDER: Final = "kilo"
_TABLE: Final = "_BUILTIN_PROVIDERS"


def register() -> None:
    """Make `init_chat_model("kilo:...")` and `create_agent("kilo:...")` return a `ChatKilo`, in this process.

    LangChain has no public way to add a provider, so this adds a row to a private table of the package langchain. Call
    it once, before such a text is used; calling it again changes nothing, and a row that langchain itself has for
    `kilo` is kept. Raises ImportError if langchain is not installed, and RuntimeError if its table is not as expected.
    """
    try:
        module = importlib.import_module("langchain.chat_models.base")
    except ImportError as error:
        raise ImportError("register() needs langchain: pip install langchain") from error
    table = getattr(module, _TABLE, None)
    if not isinstance(table, dict) or not _is_row(table.get("openai")):
        version = importlib.import_module("langchain").__version__
        raise RuntimeError(
            f"langchain {version} keeps its providers in another form than register() knows, so 'kilo:...' cannot be "
            'added: pass the model itself, for example create_agent(ChatKilo(model="kilo-auto/free"))'
        )
    table.setdefault(PROVIDER, (__package__, ChatKilo.__name__, _built))


def _is_row(row: Any) -> bool:
    """Return True for a row of module, class and function that builds a model."""
    match row:
        case (str(), str(), function):
            return callable(function)
        case _:
            return False


def _built(cls: type[ChatKilo], **arguments: Any) -> ChatKilo:
    return cls(**arguments)
