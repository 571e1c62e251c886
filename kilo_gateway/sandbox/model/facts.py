"""Find values for parameters in a prompt: numbers, quoted strings, names, words after a parameter's name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from kilo_gateway.sandbox.model.words import STOPWORDS, sentences, words

_NUMBER = re.compile(r"(?<![\w.\-])-?(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)(?![\w]|-\d)")
_NUMBER_WORDS = (
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
)
_QUOTES = re.compile(
    r"""(?<!\w)'([^'\n]+)'(?!\w)|"([^"\n]+)"|`([^`\n]+)`"""
    # Typographic pairs: English, single, German, French, Japanese.
    r"|\u201c([^\u201d\n]+)\u201d|\u2018([^\u2019\n]+)\u2019|\u201e([^\u201c\u201d\n]+)[\u201c\u201d]"
    r"|\u00ab\s*([^\u00bb\n]+?)\s*\u00bb|\u300c([^\u300d\n]+)\u300d"
)
_CAPITALISED = r"[^\W\d_a-z][\w\u2019'.\-]*[\w]|[A-Z]"
_NAMES = re.compile(rf"(?:{_CAPITALISED})(?:,? (?!I\b)(?:{_CAPITALISED}))*")
_VALUE = re.compile(r"\s*(?:is|are|was|to|of|=|:|named|called|as)?\s*[:=]?\s*")
_SEPARATOR = re.compile(r"^\s*(?:,|;|and|,\s*and)\s*")
_LEADING = re.compile(r"^(?:\W*)(\w+)")
_FORMATS = {
    "date": re.compile(r"\b\d{4}-\d{2}-\d{2}\b"),
    "date-time": re.compile(r"\b\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:Z|[+-]\d{2}:\d{2})"),
    "time": re.compile(r"\b\d{2}:\d{2}:\d{2}(?:Z|[+-]\d{2}:\d{2})"),
    "email": re.compile(r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+\b"),
    "uri": re.compile(r"\bhttps?://[^\s<>\"']+[\w/]"),
    "url": re.compile(r"\bhttps?://[^\s<>\"']+[\w/]"),
    "uuid": re.compile(r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b"),
    "ipv4": re.compile(r"\b(?:\d{1,3}\.){3}\d{1,3}\b"),
}


class Facts:
    """The values in a text; each is used once, in order of appearance."""

    def __init__(self, text: str) -> None:
        self.text = text.strip()
        self._numbers = _numbers(self.text)
        self._quoted = [next(filter(None, groups)) for groups in _QUOTES.findall(self.text)]
        self._names = _names(self.text)
        self._used: set[str] = set()

    def use(self, value: str) -> None:
        """Mark a string as used."""
        self._used.add(value)

    def quoted(self) -> Iterator[str]:
        """Yield the quoted strings that are not used yet."""
        yield from (value for value in self._quoted if value not in self._used)

    def names(self) -> Iterator[str]:
        """Yield the capitalised names that are not used yet."""
        yield from (value for value in self._names if value not in self._used)

    def number(self, name: str, fits: Callable[[float], bool]) -> float | None:
        """Use the number that follows the name, or else the next number that fits; return it, or None."""
        following = self._following(name)
        if following and (match := _NUMBER.match(following)):
            value = float(match.group().replace(",", ""))
            if fits(value):
                if value in self._numbers:
                    self._numbers.remove(value)
                return value
        for value in self._numbers:
            if fits(value):
                self._numbers.remove(value)
                return value
        return None

    def flag(self, name: str) -> bool | None:
        """Return the truth value that follows a name in the text, or None without the name."""
        following = self._following(name)
        if following is None:
            return None
        return _first_word(following) not in ("false", "no", "off", "0")

    def mentioned(self, values: list[str]) -> str | None:
        """Return the value that the text mentions first, or None."""
        mentions = self.all_mentioned(values)
        return mentions[0] if mentions else None

    def all_mentioned(self, values: list[str]) -> list[str]:
        """Return the values that the text mentions, in order of appearance."""
        places = {}
        for value in values:
            spelled = re.escape(value).replace("_", "[_ -]").replace(r"\-", "[_ -]")
            if value and (match := re.search(rf"(?<!\w){spelled}(?!\w)", self.text, re.IGNORECASE)):
                places[value] = match.start()
        return sorted(places, key=lambda value: places[value])

    def formatted(self, kind: str) -> str | None:
        """Return the first value in a format of JSON Schema, such as "email", or None."""
        pattern = _FORMATS.get(kind)
        match = pattern.search(self.text) if pattern else None
        return match.group() if match else None

    def after(self, name: str) -> str | None:
        """Return the value after a parameter's name: a quoted string, a name, or a word after "is", "=" or ":"."""
        following = self._following(name)
        if not following:
            return None
        if quoted := _QUOTES.match(following):
            return str(next(filter(None, quoted.groups())))
        if named := _NAMES.match(following):
            return named.group().rstrip(".,")
        marked = re.search(rf"{_spelled(name)}\s*(?:is|=|:)\s*([^\s,;.!?]+)", self.text, re.IGNORECASE)
        return marked.group(1) if marked else None

    def listed(self, name: str) -> list[str]:
        """Return the quoted strings in a list after a name, and mark them as used."""
        values = []
        following = self._following(name) or ""
        while quoted := _QUOTES.match(following):
            values.append(str(next(filter(None, quoted.groups()))))
            following = _SEPARATOR.sub("", following[quoted.end() :], count=1)
        self._used.update(values)
        return values

    def names_something(self, name: str) -> bool:
        """Return True if the text contains the name of a parameter."""
        return self._following(name) is not None

    def summary(self, name: str) -> str:
        """Return a short text for a parameter that the prompt does not mention."""
        first = next(iter(sentences(self.text)), "")
        if len(first) > 160:
            first = first[:160].rsplit(" ", 1)[0]
        label = " ".join(words(name))
        return f"{label}: {first}" if label and first else first

    def _following(self, name: str) -> str | None:
        if not name:
            return None
        match = re.search(rf"(?<!\w){_spelled(name)}(?!\w)", self.text, re.IGNORECASE)
        if match is None:
            return None
        rest = self.text[match.end() :]
        start = _VALUE.match(rest)
        return rest[start.end() if start else 0 :]


def _spelled(name: str) -> str:
    parts = words(name)
    return r"[_\s-]?".join(map(re.escape, parts)) if parts else re.escape(name)


def _numbers(text: str) -> list[float]:
    numbers = [(m.start(), float(m.group().replace(",", ""))) for m in _NUMBER.finditer(text)]
    for value, word in enumerate(_NUMBER_WORDS):
        # "one" is often a pronoun.
        if word != "one":
            numbers += [(m.start(), float(value)) for m in re.finditer(rf"\b{word}\b", text, re.IGNORECASE)]
    return [value for _, value in sorted(numbers)]


def _names(text: str) -> list[str]:
    """Return capitalised names; the first word of a sentence counts only as part of a longer name."""
    names = []
    for sentence in sentences(text):
        first = _LEADING.match(sentence)
        start = first.start(1) if first else 0
        for match in _NAMES.finditer(sentence):
            name = match.group().rstrip(".,'\u2019")
            if match.start() == start:
                name = re.sub(r"^\w+[\u2019']?\w*\s?", "", name) if name.split(" ")[0].lower() in _OPENERS else name
                if " " not in name and match.start() == start and name == match.group().rstrip(".,'\u2019"):
                    continue
            if name and name.lower() not in _NO_NAMES and len(name) > 1:
                names.append(name)
    return names


_NO_NAMES = STOPWORDS | {"json", "html", "sql", "api"}
_IMPERATIVES = """
    add ask book buy calculate check compare compute convert count create delete describe email explain fetch find
    generate hello hey hi list look make open order pay plan play read remind remove rename reserve run say search send
    set show start stop summarise summarize translate update write
"""
_OPENERS = STOPWORDS | frozenset(_IMPERATIVES.split())


def _first_word(text: str) -> str:
    match = _LEADING.match(text)
    return match.group(1).lower() if match else ""
