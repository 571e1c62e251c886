"""No text has more tokens than an estimate of its cost counts."""

from __future__ import annotations

import json
import random
from pathlib import Path

import llama_index.core
import pytest
import tiktoken
from hypothesis import example, given
from hypothesis import strategies as st

from kilo_gateway import GatewaySettings
from kilo_gateway.models import prices


@pytest.fixture(scope="module", params=["cl100k_base", "o200k_base"])
def encoding(request: pytest.FixtureRequest) -> tiktoken.Encoding:
    """An encoding of tiktoken; LlamaIndex brings the files that it would download."""
    with pytest.MonkeyPatch.context() as patch:
        files = Path(llama_index.core.__file__).parent / "_static/tiktoken_cache"
        patch.setenv("TIKTOKEN_CACHE_DIR", str(files))
        return tiktoken.get_encoding(request.param)


ANY = st.text(st.characters(exclude_categories=())) | st.text(st.sampled_from('{}[]":,\\ \n\t0123456789eE+-.'))


@given(ANY)
@example("\ud83d")
@example("\ud83d\ude00")
@example("𐤀𐎠🏳️‍🌈ḿ̈\x00")
def test_no_text_has_more_tokens_than_are_counted(encoding: tiktoken.Encoding, text: str) -> None:
    assert len(encoding.encode(text, disallowed_special=())) <= prices.tokens_of_text(text)


def test_estimating_a_prompt_of_json_counts_all_its_tokens(encoding: tiktoken.Encoding) -> None:
    dice = random.Random(17)
    rows = [[dice.randrange(10) for _ in range(8)] for _ in range(500)]
    text = json.dumps({"rows": rows, "ids": [f"{dice.getrandbits(64):x}" for _ in range(100)]})
    tokens = len(encoding.encode(text))
    assert tokens > len(text) / 4  # a rule of thumb would have been too low
    assert prices.size_of(GatewaySettings().prepare(text, stream=False)).prompt >= tokens
