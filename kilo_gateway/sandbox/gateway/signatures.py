"""Sign thinking, so that a changed block is refused when it comes back. See docs/gateway.md, "Messages"."""

from __future__ import annotations

import base64
import hashlib

_PREFIX = b"sandbox-signature:"


def sign(thinking: str) -> str:
    """Return the signature of a thinking block, as Messages shows it."""
    return base64.b64encode(_PREFIX + hashlib.sha256(thinking.encode("utf-8", "replace")).digest()[:12]).decode()


def is_broken(thinking: object, signature: object) -> bool:
    """Return True if the sandbox made this signature, but for another text."""
    try:
        ours = base64.b64decode(str(signature), validate=True).startswith(_PREFIX)
    except ValueError:
        return False
    return ours and signature != sign(str(thinking))
