"""The check of words finds the ones that CONTRIBUTING.md rules out, and only those."""

from pathlib import Path

import pytest

from tests.tools.check_words import check


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.md", "The answer\ntells the model.", "2: 'tells'; use: report"),
        ("a.md", "A dict is\nno list.", "1: 'is no'; use: is not a"),
        ("a.md", "```text\n3 not told\n```\nIt was told.", "4: 'told'"),
        ("a.py", '"""Nobody\n\nwas told."""\n', "3: 'told'"),
        ("a.py", "x = 1  # do it anew\n", "1: 'anew'"),
        ("a.py", "raise ValueError(f'{name} is no tier')\n", "1: 'is no'"),
        ("a.ipynb", '   "source": [\n    "It tells."\n', "2: 'tells'"),
        ("a.md", "It must be told. <!-- words: keep -- -->", "1: 'told'"),
    ],
)
def test_a_word_is_reported_with_its_line(tmp_path: Path, name: str, text: str, expected: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    (finding,) = check([str(tmp_path)])
    assert finding.startswith(f"{tmp_path / name}:{expected}")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.md", "There is no limit. It is no longer `told`. Storytelling, whichevers."),
        ("a.py", "told = file.tell() if told is None else told\n"),
        ("a.py", "x = 'told'  # words: keep -- a key of the wire\n"),
        ("a.ipynb", '   "outputs": [\n    "3 not told"\n   ],\n'),
        ("a.png", "told"),
    ],
)
def test_other_text_passes(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert check([str(tmp_path)]) == []
