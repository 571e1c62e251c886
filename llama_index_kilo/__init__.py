"""The Kilo AI Gateway for LlamaIndex: `KiloLLM` and `KiloEmbedding`."""

try:
    import llama_index.core  # noqa: F401 -- imported to name the package that is missing
except ImportError as error:
    raise ImportError('llama_index_kilo needs llama-index-core: pip install "kilo-gateway[llama-index]"') from error

from kilo_gateway import __version__
from llama_index_kilo.embeddings import KiloEmbedding
from llama_index_kilo.llm import KiloLLM
from llama_index_kilo.usage import KiloUsageHandler

__all__ = ["KiloEmbedding", "KiloLLM", "KiloUsageHandler", "__version__"]
