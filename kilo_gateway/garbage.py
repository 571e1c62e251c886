"""Python's garbage collector in servers with many streams."""

from __future__ import annotations

import gc


def freeze_imports() -> None:
    """Keep everything that has been imported so far out of later garbage collections.

    A full collection walks all objects of the process, which takes about 90 ms once LangChain is imported, and every
    stream waits for it. Call this once in a server, after its imports and before its first request: it collects the
    garbage and then calls `gc.freeze()`. Objects that are garbage later, but were alive now, are not freed any more;
    so do not call it in a notebook, or after large objects were created that you will drop.
    """
    gc.collect()
    gc.freeze()
