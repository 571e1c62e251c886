"""The Kilo AI Gateway for LangChain: `ChatKilo` and `KiloEmbeddings`."""

try:
    import langchain_core  # noqa: F401 -- imported to tell the reader what is missing
except ImportError as error:
    raise ImportError('langchain_kilo needs langchain-core: pip install "kilo-gateway[langchain]"') from error

from kilo_gateway import __version__
from langchain_kilo import blocks as _blocks  # noqa: F401 -- registers the translator of our messages
from langchain_kilo.callbacks import KiloUsageCallback
from langchain_kilo.chat_models import ChatKilo
from langchain_kilo.embeddings import KiloEmbeddings

__all__ = ["ChatKilo", "KiloEmbeddings", "KiloUsageCallback", "__version__"]
