"""Find the words that CONTRIBUTING.md ("English") rules out, and suggest others. `make lint` runs this.

The arguments are files and folders. The script reads comments and strings of Python files, and all of other files but
program output (`text` blocks, outputs of notebooks), which is checked where it is written. A line may keep a word if it
has the comment `words: keep -- <reason>`.
"""

import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

BANNED = {
    r"tells?|telling|told|untold": "report, return, send, say, set; unknown",
    r"(?<!there\s)(?:is|are|was|were)\s+no(?!\s+longer\b)": "is not a ...; has no ...",
    r"(?<!there\s)(?:is|are|was|were)\s+(?-i:none)": "is not one; has none",
    r"be\s+it": "whether it is",
    r"as\s+ever": "as before",
    r"anew": "again",
    r"which(?:so)?ever": "any; the one that",
    r"mere(?:ly)?": "only",
    r"without\s+a\s+word": "silently",
}
WORDS = {re.compile(rf"(?<![\w`])(?:{words})(?![\w`])", re.IGNORECASE): use for words, use in BANNED.items()}
OUTPUT = re.compile(r'^```text\n.*?^```$|^   "outputs": \[\n.*?^   \]', re.DOTALL | re.MULTILINE)
SUFFIXES = {".ipynb", ".md", ".py", ".toml", ".yml"}
STRINGS = {tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}


def passages(path: Path, text: str) -> Iterator[tuple[int, str]]:
    """Yield the passages of a file that are checked, each with the number of its first line."""
    if path.suffix == ".py":
        tokens = tokenize.generate_tokens(io.StringIO(text).readline)
        yield from ((token.start[0], token.string) for token in tokens if token.type in STRINGS)
    else:
        yield 1, OUTPUT.sub(lambda output: "\n" * output[0].count("\n"), text)


def findings(path: Path) -> Iterator[str]:
    """Yield a line of text for each word that a file should not have."""
    text = path.read_text(encoding="utf-8")
    for start, passage in passages(path, text):
        for pattern, use in WORDS.items():
            for match in pattern.finditer(passage):
                number = start + passage.count("\n", 0, match.start())
                if not re.search(r"words: keep -- \w", text.splitlines()[number - 1]):
                    yield f"{path}:{number}: {' '.join(match[0].split())!r}; use: {use}"


def check(names: list[str]) -> list[str]:
    """Return the findings in the named files, and in the files of the named folders."""
    paths = [path for name in map(Path, names) for path in (name.rglob("*") if name.is_dir() else [name])]
    files = sorted(path for path in paths if path.suffix in SUFFIXES or path.name == "Makefile")
    return [line for path in files if "check_words" not in path.name for line in findings(path)]


if __name__ == "__main__":
    sys.exit("\n".join(check(sys.argv[1:])) or 0)
