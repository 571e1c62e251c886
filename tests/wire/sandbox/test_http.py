"""Test the sandbox over HTTP: the size of writes, the headers, and the official client."""

import json
import socket
from typing import Any

import openai
import pytest

from kilo_gateway.sandbox import Sandbox
from tests.support.plain_client import chat


def test_big_and_tiny_writes(gw: Sandbox) -> None:
    """Read from the socket directly, because the transfer encoding shows the size of every write."""
    sizes: dict[str, list[int]] = {}
    for name in ("big-chunk", "tiny-chunks"):
        body = json.dumps({"model": f"sandbox/{name}", "stream": True, "messages": []}).encode()
        with socket.create_connection(("127.0.0.1", gw.port)) as sock, sock.makefile("rb") as stream:
            head = b"POST /api/gateway/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s"
            sock.sendall(head % (len(body), body))
            while stream.readline() != b"\r\n":
                pass
            sizes[name] = []
            while size := int(stream.readline(), 16):
                sizes[name].append(size)
                stream.read(size + 2)
    assert len(sizes["big-chunk"]) == 1
    assert set(sizes["tiny-chunks"]) == {1}


def test_the_official_client_reads_a_stream_and_an_error_frame(gw: Sandbox) -> None:
    with openai.OpenAI(base_url=gw.base_url, api_key=gw.api_key, max_retries=0) as client:
        ask: Any = {"messages": [{"role": "user", "content": "Hi"}], "stream": True}
        text = "".join(
            chunk.choices[0].delta.content or ""
            for chunk in client.chat.completions.create(model="sandbox/crlf", **ask)
            if chunk.choices
        )
        assert text == "Hello! How can I help you?"
        with pytest.raises(openai.APIError, match="Provider returned error"):
            list(client.chat.completions.create(model="sandbox/stream-error-upstream", **ask))


def test_the_official_client_gets_past_a_flaky_model(gw: Sandbox) -> None:
    with openai.OpenAI(base_url=gw.base_url, api_key=gw.api_key, max_retries=1) as client:
        client.chat.completions.create(model="sandbox/flaky-503", messages=[])
    assert [record.status for record in gw.requests] == [503, 200]


def test_the_official_client_embeds(gw: Sandbox) -> None:
    with openai.OpenAI(base_url=gw.base_url, api_key=gw.api_key) as client:
        answer = client.embeddings.create(model="mistral-embed-2312", input=["foo", "bar"])
    assert [len(item.embedding) for item in answer.data] == [1024, 1024]
    assert gw.last.json["encoding_format"] == "base64"
    assert gw.last.served_model == "mistralai/mistral-embed-2312"


def test_the_official_client_lists(gw: Sandbox) -> None:
    with openai.OpenAI(base_url=gw.base_url, api_key="whatever") as client:
        assert "openai/gpt-5.4" in [model.id for model in client.models.list()]


def test_only_the_documented_response_headers(gw: Sandbox) -> None:
    plain = chat(gw, "openai/gpt-5.4")
    streamed = chat(gw, "openai/gpt-5.4", stream=True)
    expected = {"date", "content-type", "request-id", "content-encoding"}
    assert set(plain.headers) == expected | {"content-length"}
    assert set(streamed.headers) == expected | {"transfer-encoding"}
    assert plain.headers["request-id"] != streamed.headers["request-id"]
    assert streamed.headers["content-type"] == "text/event-stream"
