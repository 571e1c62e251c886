"""Makes text from anywhere safe to show: in errors, in tables, on a terminal. Pure."""

from __future__ import annotations

import unicodedata
from typing import Final

TEXT_CHARACTERS: Final = 2000
"""Characters that an error shows of a text from outside."""
NAME_CHARACTERS: Final = 200
"""Characters that are shown of a name, an id, a number or an address."""

# They join letters of Persian and emoji; all other format characters could reorder or hide what stands beside them.
_JOINERS: Final = "\u200c\u200d"


def printable(text: str, limit: int | None = None, *, lines: bool = True) -> str:
    """Return `text` with control, bidi and other invisible characters escaped, in at most `limit` characters.

    Line breaks and tabs stay only where `lines` are wanted. A text that is cut ends with ` ...`.
    """
    cut = text if limit is None else text[:limit]
    if not cut.isprintable():
        cut = "".join(c if _is_harmless(c, lines=lines) else _escaped(c) for c in cut.replace("\r\n", "\n"))
        cut = cut if limit is None else cut[:limit]
    return cut + (" ..." if limit is not None and len(text) > limit else "")


def described(value: object) -> str:
    """Return the repr of a user's value in at most 200 characters, or what it is where that cannot be had."""
    try:
        return printable(repr(value), NAME_CHARACTERS, lines=False)
    except (ValueError, RecursionError):  # an int of more than 4,300 digits, a list that contains itself often
        return f"an {type(value).__name__}" if isinstance(value, int) else f"a {type(value).__name__}"


def _is_harmless(character: str, *, lines: bool) -> bool:
    if character.isprintable() or character in _JOINERS or (lines and character in "\n\t"):
        return True
    return unicodedata.category(character) == "Zs"  # spaces of any width


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()
