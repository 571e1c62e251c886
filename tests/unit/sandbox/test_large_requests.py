"""A large request costs the sandbox time in proportion to its size, whatever its form."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from kilo_gateway.sandbox.admission import admit
from kilo_gateway.sandbox.gateway.call import Call
from kilo_gateway.sandbox.gateway.options import Options
from kilo_gateway.sandbox.model import canned, vectors
from kilo_gateway.sandbox.model.conversation import MOST_READ, clipped
from kilo_gateway.sandbox.wire import chat_completions as wire


def call(text: str, **fields: Any) -> Call:
    body = {"model": "sandbox/echo", "messages": [{"role": "user", "content": text}], **fields}
    return admit(Call({}, Options.for_era("E3"), json.dumps(body).encode()))


def test_the_chunks_of_a_stream_hash_the_request_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = call("word " * 5_000, stream=True)
    replies = canned.answer(asked)
    hashed = 0
    real = hashlib.sha256

    def counted(data: bytes) -> Any:
        nonlocal hashed
        hashed += len(data)
        return real(data)

    monkeypatch.setattr(hashlib, "sha256", counted)
    assert len(wire.frames(asked, replies)) > 5_000
    assert hashed < 2 * len(asked.raw)


@pytest.mark.timeout(10)  # half a second each; minutes, when the time grows with the square of the length
@pytest.mark.parametrize("text", ["\n", "{", " ", "a\n\n", "Context:\n", '{"'])
def test_a_long_run_of_anything_is_answered(text: str) -> None:
    asked = call(text * (MOST_READ // len(text)), stream=True)
    assert wire.frames(asked, canned.answer(asked))


def test_many_results_of_tools_are_read_at_both_ends() -> None:
    results = [f"Oslo {number}. " + "x" * MOST_READ for number in range(5)]
    read = clipped("\n".join(results))
    assert len(read) <= MOST_READ + 1
    assert read.startswith("Oslo 0.")


def test_a_vector_is_made_of_the_ends_of_a_long_text() -> None:
    long = "begin " + "x " * MOST_READ + "end"
    assert vectors.vector(long, 64) == vectors.vector(clipped(long), 64)
    assert vectors.vector(long, 64) != vectors.vector(f"{long} Oslo", 64)
