"""Python's garbage collector in servers with many streams."""

from __future__ import annotations

import gc


def freeze_imports() -> None:
    """Keep everything that is imported now out of later garbage collections.

    A full collection walks all objects of the process, which takes about 90 ms once LangChain is imported, and every
    stream waits for it. Call this once in a server, after its imports and before its first request. It imports what
    the first call would import, collects the garbage and calls `gc.freeze()`. Cycles of objects that exist now are
    never freed; so do not call it in a notebook, or after large objects were created that you will drop.
    """
    # Half of the objects belong to the HTTP libraries, which the first call imports.
    from kilo_gateway import chat, embeddings  # noqa: F401 -- imported for what they import
    from kilo_gateway.transport.event_loops import chosen_transport, client_class

    client_class(chosen_transport(None))
    gc.collect()
    gc.freeze()
