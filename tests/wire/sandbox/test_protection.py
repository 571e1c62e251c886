"""Test the sandbox's protection: from web pages, from leaks of the environment, and from huge requests."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from kilo_gateway import KiloServerError
from kilo_gateway.sandbox import Sandbox
from kilo_gateway.sandbox.model import conversation
from langchain_kilo import ChatKilo
from tests.support.in_process import InProcess

CHAT = "/api/gateway/chat/completions"
BODY = json.dumps({"model": "kilo-auto/free", "messages": [{"role": "user", "content": "hi"}]}).encode()


@pytest.mark.parametrize(
    ("header", "value", "allowed"),
    [
        ("host", "127.0.0.1:8787", True),
        ("host", "localhost:8787", True),
        ("host", "kilo.localhost", True),
        ("host", "[::1]:8787", True),
        ("host", "evil.example", False),
        ("host", "127.0.0.1.evil.example", False),
        ("host", "localhost.evil.example:8787", False),
        ("origin", "http://127.0.0.1:3000", True),
        ("origin", "http://localhost:3000", True),
        ("origin", "https://evil.example", False),
        ("origin", "http://127.0.0.1.evil.example", False),
        ("origin", "null", False),
        ("origin", "http://[evil", False),
        ("origin", "http://localhost@evil.example", False),
        ("origin", "https://[::1]:3000", True),
    ],
)
@pytest.mark.parametrize("content_type", ["application/json", "text/plain"])
def test_a_web_page_cannot_use_it(header: str, value: str, allowed: bool, content_type: str) -> None:
    gateway = InProcess()
    for method, path, body in (("POST", CHAT, BODY), ("GET", "/api/gateway/models", b"")):
        answer = gateway.exchange(method, path, body, {header: value, "content-type": content_type})
        assert (answer.status == 200) is allowed
        if not allowed:
            assert answer.status == 403
    assert len(gateway.requests) == (2 if allowed else 0)


@contextmanager
def upstream(status: int, headers: dict[str, str], answer: Any) -> Iterator[tuple[str, list[Any]]]:
    seen: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            seen.append(self.headers)
            self.send_response(status)
            content = json.dumps(answer).encode()
            for name, value in {**headers, "content-length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Print nothing."""

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{httpd.server_address[1]}/v1", seen
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join()


ANSWER = {"choices": [{"index": 0, "message": {"content": "hi"}, "finish_reason": "stop"}]}


def test_nothing_of_the_environment_goes_upstream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org-of-the-user")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "project-of-the-user")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Secret: of the user")
    with upstream(200, {"content-type": "application/json"}, ANSWER) as (url, seen):
        with Sandbox(upstream=url, upstream_model="m") as gateway:
            assert ChatKilo(base_url=gateway.base_url).invoke("hi").text == "hi"
    assert "of the user" not in str(seen[0].items())
    assert "of-the-user" not in str(seen[0].items())
    assert not [name for name in seen[0] if name.lower().startswith(("openai-", "x-secret"))]


@pytest.mark.parametrize("streamed", [False, True])
def test_a_redirect_sends_no_prompt_to_another_host(streamed: bool) -> None:
    with upstream(200, {}, ANSWER) as (other, others):
        with upstream(307, {"location": f"{other}/chat/completions"}, {}) as (url, seen):
            with Sandbox(upstream=url, upstream_model="m") as gateway:
                llm = ChatKilo(base_url=gateway.base_url, max_retries=0)
                with pytest.raises(KiloServerError, match="redirects"):
                    list(llm.stream("hi")) if streamed else llm.invoke("hi")
    assert (len(seen), others) == (1, [])


def test_records_are_bounded() -> None:
    gateway = InProcess(keep=3)
    for number in range(5):
        gateway.exchange("GET", f"/api/gateway/models?{number}")
    assert [record.query for record in gateway.requests] == ["2", "3", "4"]
    with pytest.raises(ValueError, match="keep=0"):
        Sandbox(keep=0)


def test_large_bodies_push_out_older_records(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kilo_gateway.sandbox.gateway.records.MOST_BYTES", 2_000_000)
    gateway = InProcess()
    for _ in range(5):
        gateway.exchange("POST", CHAT, b"x" * 900_000)
    assert len(gateway.requests) == 2
    gateway.exchange("POST", CHAT, b"x" * 3_000_000)
    assert [len(record.body) for record in gateway.requests] == [3_000_000]
    gateway.clear()
    assert gateway.requests == ()


def test_answers_push_out_older_records_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kilo_gateway.sandbox.gateway.records.MOST_BYTES", 50_000)
    gateway = InProcess()
    for _ in range(4):  # an answer of one byte per write needs some 140 bytes for each
        gateway.exchange(
            "POST", CHAT, json.dumps({"model": "sandbox/tiny-chunks", "stream": True, "messages": []}).encode()
        )
    assert len(gateway.requests) == 1


def test_of_a_long_answer_the_beginning_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kilo_gateway.sandbox.gateway.records.MOST_ANSWER_BYTES", 2_000)
    gateway = InProcess()
    body = json.dumps({"model": "sandbox/echo", "stream": True, "messages": [{"role": "user", "content": "a " * 500}]})
    pieces = b"".join(gateway.exchange("POST", CHAT, body.encode()).pieces)
    record = gateway.last
    kept = b"".join(data for _, data in record.written)
    assert pieces.startswith(kept)
    assert 500 < len(kept) <= 2_000
    assert record.unkept_bytes == len(pieces) - len(kept)
    shown = json.loads(b"".join(gateway.exchange("GET", "/page/requests/1").pieces))
    assert (shown["unkept_bytes"], shown["row"]["error"]) == (record.unkept_bytes, None)
    assert gateway.exchange("GET", "/page/requests/1/cassette").status == 409


def test_records_cannot_be_changed_by_accident(kilo_sandbox: Sandbox) -> None:
    assert isinstance(kilo_sandbox.requests, tuple)


@pytest.mark.parametrize(
    "content",
    ["[" * 100_000, '{"a":' * 100_000, json.dumps("\ud800")[1:-1] + '"', "not JSON"],
    ids=["deep lists", "deep objects", "half a character", "not JSON"],
)
@pytest.mark.parametrize("path", [CHAT, "/api/gateway/embeddings", "/api/gateway/responses"])
def test_odd_json_is_refused_in_the_gateways_form(content: str, path: str) -> None:
    body = (
        content.encode()
        if content.startswith(("[", "{", "n"))
        else b'{"model":"m","messages":["' + content.encode() + b"]}"
    )
    answer = InProcess().exchange("POST", path, body)
    assert answer.status == 400
    assert json.loads(b"".join(answer.pieces))["error"]


@pytest.mark.parametrize("depth", [100, 400, 900, 2000, 20_000])
def test_a_deeply_nested_message_does_not_fail_the_sandbox(depth: int) -> None:
    content = '{"model":"kilo-auto/free","messages":[{"role":"user","content":' + "[" * depth + "]" * depth + "}]}"
    assert InProcess().exchange("POST", CHAT, content.encode()).status in (200, 400)


def test_the_model_reads_the_beginning_and_the_end_of_a_long_message() -> None:
    turn = conversation.read([{"role": "user", "content": "begin " + "x" * 60_000_000 + " end"}])
    assert len(turn.user) < conversation.MOST_READ + 10
    assert turn.user.startswith("begin ")
    assert turn.user.endswith(" end")
