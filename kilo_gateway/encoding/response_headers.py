"""Facts in the headers of an answer: its id, its charset, and the time to wait. Pure."""

from __future__ import annotations

import codecs
import time
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

from kilo_gateway.encoding.lenient_json import number


def request_id_of(response: Any) -> str | None:
    """Return the id under which the gateway logs a request."""
    headers = getattr(response, "headers", {})
    return headers.get("request-id") or headers.get("x-request-id")


def charset_of(response: Any) -> str:
    """Return a charset in which the page of an error can be read, even if the declared one is unusable.

    Python has codecs that are not for text (`zlib`, `hex`), that refuse all input (`undefined`), or that do not know
    how to replace what they cannot read (`idna`).
    """
    charset = response.charset_encoding or "utf-8"
    try:
        bytes(response.content).decode(charset, "replace").encode()
        codecs.getincrementaldecoder(charset)("replace").decode(response.content, final=True)
    except Exception:  # any codec may raise anything, and UTF-8 with replacements reads all
        return "utf-8"
    return str(charset)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds to wait, which HTTP allows as a number and as a date (RFC 9110, 10.2.3)."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        seconds = number(headers.get(name))
        if seconds is not None and seconds >= 0:
            return seconds * unit
    try:
        date = parsedate_to_datetime(headers.get("retry-after", ""))
        # A date without a zone is one in UTC.
        seconds = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - time.time()
    except (ValueError, OverflowError, OSError):
        return None
    return max(0.0, seconds)
