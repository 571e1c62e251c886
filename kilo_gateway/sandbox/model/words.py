"""Split text into words, stems and sentences; the canned model knows no more about language."""

from __future__ import annotations

import re

_STOPWORDS = """
    a about above after again all also am an and any are as at be because been before being below between both but
    by call called can could did do does doing down during each few for from function functions further get give given
    had has have having he hello her here hers hi him his how i if in into is it its just let like many me more most
    much my no nor not now of off on once one only or other our out over own please return returns same she should so
    some such than thank thanks that the their them then there these they this those through to tool tools too
    under until up us use used using value very was we were what when where which while who whom whose why will with
    would you your yours
"""
STOPWORDS = frozenset(_STOPWORDS.split()) | {"tell"}  # words: keep -- users write it in prompts

_WORD = re.compile(r"[^\W_]+")
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[\u3002\uff01\uff1f])|\n+")
_SUFFIXES = ("ations", "ation", "ingly", "ings", "ing", "edly", "ies", "ed", "es", "ly", "s")


def words(text: str) -> list[str]:
    """Return the words in lower case; names in snake_case and camelCase are split into words."""
    return _WORD.findall(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", text).lower())


def stem(word: str) -> str:
    """Cut common English endings, so that "cats" equals "cat" and "running" equals "run"."""
    for suffix in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= 3 and not word.endswith("ss"):
            word = word[: -len(suffix)] + ("y" if suffix == "ies" else "")
            break
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "aeiouls":
        word = word[:-1]
    return word[:-1] if len(word) > 3 and word.endswith("e") else word


def terms(text: str) -> list[str]:
    """Return the stems of the content words in order; scripts without spaces yield pairs of characters."""
    stems: list[str] = []
    for word in words(text):
        if word in STOPWORDS or word.isdigit():
            continue
        if _CJK.search(word):
            stems += [word[i : i + 2] for i in range(max(1, len(word) - 1))]
        elif len(word) > 1:
            stems.append(stem(word))
    return stems


def content_words(text: str) -> frozenset[str]:
    """Return the set of `terms`."""
    return frozenset(terms(text))


def sentences(text: str) -> list[str]:
    """Split a text into sentences and lines; blank lines and ruled lines are left out."""
    parts = (part.strip() for part in _SENTENCE_END.split(text))
    return [part for part in parts if _WORD.search(part)]


def pieces(text: str) -> list[str]:
    """Split a text into pieces of one word each; joined, they are the text."""
    return re.findall(r"\s*\S+|\s+\Z", text)


def count_tokens(text: str) -> int:
    """Return the number of words; scripts without spaces count by their characters."""
    return sum(max(1, len(_CJK.findall(piece))) for piece in text.split())
