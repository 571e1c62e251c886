"""Describe the faults: how a test causes each one, and which result the caller must get."""

import shutil
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from kilo_gateway import (
    KiloConnectionError,
    KiloError,
    KiloRateLimitError,
    KiloResponseError,
    KiloServerError,
    KiloStatusError,
    KiloStreamInterruptedError,
    KiloTimeoutError,
)
from kilo_gateway.sandbox import Sandbox
from tests.support.server import DONE, FINISH, GOOD, HEAD, TEXT, Say, chunked, listen, server

PATIENT = {"timeout": 20.0, "stream_idle_timeout": 20.0}
"""Limits for the call after a fault, which must not fail because the machine is busy."""


@dataclass(frozen=True)
class Stage:
    sandbox: Sandbox
    monkeypatch: pytest.MonkeyPatch
    folder: Path


@dataclass(frozen=True)
class Place:
    """The address of a fault. `fields` are set on the model; `heal` lets its next call succeed."""

    base_url: str
    fields: dict[str, Any] = field(default_factory=dict)
    heal: Callable[[Any], dict[str, Any]] = lambda llm: {}
    seen: Callable[[], bool] = lambda: True
    """Returns True if the other side has received the expected requests, and nothing else."""


@dataclass(frozen=True)
class Fault:
    """One fault. If `error` is None, the call succeeds; `whole` is the error of a call that is not streamed."""

    name: str
    play: Callable[[Stage], AbstractContextManager[Place]]
    error: type[KiloError] | None = None
    says: str = ""
    partial: str = ""
    whole: type[KiloError] | None = None
    text: str = ""
    """The beginning of a successful answer."""
    attributes: dict[str, Any] = field(default_factory=dict)

    def expected(self, *, streamed: bool) -> type[KiloError] | None:
        return self.error if streamed else self.whole or self.error


# A plain socket causes these faults.
def _socket(*answers: bytes | Say, **fields: Any) -> Callable[[Stage], AbstractContextManager[Place]]:
    @contextmanager
    def play(stage: Stage) -> Iterator[Place]:
        with server(*answers, GOOD) as (url, _):
            yield Place(url, fields, lambda llm: PATIENT)

    return play


@contextmanager
def _refused(stage: Stage) -> Iterator[Place]:
    def heal(llm: Any) -> dict[str, Any]:
        listen(url)
        return {}

    with server(GOOD, listening=False) as (url, _):
        yield Place(url, heal=heal)


@contextmanager
def _no_such_host(stage: Stage) -> Iterator[Place]:
    def heal(llm: Any) -> dict[str, Any]:
        llm.base_url = url
        return {}

    # A host name has at most 255 characters: the resolver rejects a longer one without a request to the network.
    with server(GOOD) as (url, _):
        yield Place(f"http://{'nowhere.' * 40}invalid/api/gateway", heal=heal)


@contextmanager
def _no_tls(stage: Stage) -> Iterator[Place]:
    def heal(llm: Any) -> dict[str, Any]:
        llm.base_url = url
        return {}

    with server(Say(b"HTTP/1.1 400 Bad Request\r\n\r\n", early=True), GOOD) as (url, _):
        yield Place(url.replace("http:", "https:"), heal=heal)


@contextmanager
def _untrusted(stage: Stage) -> Iterator[Place]:
    certificate, key = self_signed(stage.folder)

    def heal(llm: Any) -> dict[str, Any]:
        stage.monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        return {}

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with server(GOOD, tls=context) as (url, _):
        yield Place(url, heal=heal)


def self_signed(folder: Path) -> tuple[Path, Path]:
    if (openssl := shutil.which("openssl")) is None:
        pytest.skip("the openssl program, which makes the certificate, is not installed")  # pip cannot install it
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    if not certificate.exists():
        kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
        files = ["-out", str(certificate), "-keyout", str(key)]
        subprocess.run([openssl, "req", "-x509", *kind, *subject, *files], check=True, capture_output=True)
    return certificate, key


def _redirect(status: int) -> Callable[[Stage], AbstractContextManager[Place]]:
    @contextmanager
    def play(stage: Stage) -> Iterator[Place]:
        with server(GOOD) as (elsewhere, strangers):
            answer = (
                f"HTTP/1.1 {status} Moved\r\nlocation: {elsewhere}/x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            )
            with server(answer.encode(), GOOD) as (url, _):
                fields = {"api_key": "k", "default_headers": {"x-secret": "hush"}}
                yield Place(url, fields, seen=lambda: strangers == [])

    return play


def _proxy(*answers: bytes | Say, listening: bool = True) -> Callable[[Stage], AbstractContextManager[Place]]:
    @contextmanager
    def play(stage: Stage) -> Iterator[Place]:
        def heal(llm: Any) -> dict[str, Any]:
            if not listening:
                listen(url)
            return {}

        def seen() -> bool:
            return all(
                b"http://gateway.example/api/chat/completions" in r and b"proxy-auth" in r.lower() for r in asked
            )

        with server(*answers, GOOD, listening=listening) as (url, asked):
            stage.monkeypatch.setenv("HTTP_PROXY", url.replace("://", "://user:s3cr3t@"))
            yield Place("http://gateway.example/api", heal=heal, seen=seen)

    return play


@contextmanager
def _past_the_proxy(stage: Stage) -> Iterator[Place]:
    with server(GOOD) as (url, _), server(b"", listening=False) as (proxy, _):
        stage.monkeypatch.setenv("HTTP_PROXY", proxy)
        stage.monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield Place(url)


def _page(status: str, headers: str = "", body: bytes = b'{"error": {"message": "sorry"}}') -> bytes:
    head = f"HTTP/1.1 {status}\r\n{headers}content-length: {len(body)}\r\nconnection: close\r\n\r\n"
    return head.encode() + body


# The sandbox causes these faults.
def _sandbox(model: str, **fields: Any) -> Callable[[Stage], AbstractContextManager[Place]]:
    @contextmanager
    def play(stage: Stage) -> Iterator[Place]:
        stage.monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.001)
        heal = {"model": "sandbox/echo", **PATIENT}
        yield Place(stage.sandbox.base_url, {"model": f"sandbox/{model}", **fields}, lambda llm: heal)

    return play


_LOST = "connection to the gateway failed|connection broke"
_BROKE = "before the answer was complete|connection to the gateway failed"
_HASTY = {"timeout": 0.5, "stream_idle_timeout": 0.5}
_LATE = r"sent nothing within 0.5 seconds|sent no data for 0.5 seconds"
# If the server sends nothing at all, even a slow machine cannot miss a deadline, so this limit may be short.
_AT_ONCE = {"timeout": 0.1, "stream_idle_timeout": 0.1}
_NOTHING = r"sent nothing within 0.1 seconds|sent no data for 0.1 seconds"
_GZIP = HEAD.replace(b"transfer", b"content-encoding: gzip\r\ntransfer")

FAULTS = [
    Fault("refused connection", _refused, KiloConnectionError, "Check base_url, the network and the proxy"),
    Fault("unknown host", _no_such_host, KiloConnectionError, r"gaierror|Name or service|nodename|failed"),
    Fault("TLS with a plain server", _no_tls, KiloConnectionError, "(?i)ssl|tls"),
    Fault("untrusted certificate", _untrusted, KiloConnectionError, "(?i)certificate"),
    Fault("closed before the headers", _socket(b""), KiloConnectionError, _LOST),
    Fault("reset before the headers", _socket(Say(end="reset")), KiloConnectionError, _LOST),
    Fault("reset after the headers", _socket(Say(HEAD, "reset")), KiloConnectionError, _LOST),
    Fault("reset after text", _socket(Say(HEAD + chunked(TEXT), "reset")), KiloConnectionError, _LOST, "(whole)?"),
    Fault(
        "closed after the finish reason",
        _socket(HEAD + chunked(TEXT, FINISH)),
        KiloStreamInterruptedError,
        _BROKE,
        "whole",
        KiloConnectionError,
    ),
    Fault(
        "cut within a frame",
        _socket(HEAD + chunked(TEXT, FINISH[:-20]) + b"0\r\n\r\n"),
        KiloStreamInterruptedError,
        "last frame is cut off",
        "whole",
    ),
    Fault(
        "cut within a character",
        _socket(HEAD + chunked(TEXT, TEXT.replace(b"whole", "é".encode())[: TEXT.index(b"whole") + 1]) + b"0\r\n\r\n"),
        KiloStreamInterruptedError,
        "last frame is cut off",
        "whole",
    ),
    Fault(
        "a frame that is too short for its length",
        _socket(HEAD + chunked(TEXT) + b"ff\r\ndata: {"),
        KiloStreamInterruptedError,
        _BROKE,
        "whole",
        KiloConnectionError,
    ),
    Fault("not HTTP", _socket(b"SSH-2.0-OpenSSH_9.6\r\n"), KiloConnectionError, _LOST),
    Fault(
        "spoiled gzip",
        _socket(_GZIP + chunked(b"not gzip") + b"0\r\n\r\n"),
        KiloConnectionError,
        "connection broke|failed",
    ),
    Fault("silence before the headers", _socket(Say(end="hold"), **_AT_ONCE), KiloTimeoutError, _NOTHING),
    Fault("silence after the headers", _socket(Say(HEAD, "hold"), **_AT_ONCE), KiloTimeoutError, _NOTHING),
    Fault("a complete answer without usage", _socket(HEAD + chunked(TEXT, FINISH, DONE) + b"0\r\n\r\n"), text="whole"),
    *(
        Fault(f"redirect {status}", _redirect(status), KiloStatusError, "moved to http.*: set base_url")
        for status in (302, 307)
    ),
    Fault("proxy of the environment", _proxy(), text="whole"),
    Fault("past the proxy", _past_the_proxy, text="whole"),
    Fault("proxy that is down", _proxy(listening=False), KiloConnectionError, "proxy settings"),
    Fault("proxy that refuses", _proxy(_page("407 Denied", body=b"denied")), KiloStatusError, "denied"),
    Fault(
        "429 with Retry-After",
        _socket(_page("429 Slow", "retry-after: 7\r\n")),
        KiloRateLimitError,
        "Try again in 7 seconds",
        attributes={"retry_after": 7.0, "retryable": True},
    ),
    Fault(
        "429 without Retry-After",
        _socket(_page("429 Slow")),
        KiloRateLimitError,
        "Wait a little",
        attributes={"retry_after": None, "retryable": True},
    ),
    Fault("429, then success", _socket(_page("429 Slow", "retry-after-ms: 1\r\n"), max_retries=1), text="whole"),
    Fault("503, then success", _sandbox("flaky-503", max_retries=1), text="sandbox/flaky-503"),
    Fault("HTML 502", _sandbox("error-html-502"), KiloServerError, "502 Bad Gateway"),
    Fault("gzip", _sandbox("gzip"), text="sandbox/gzip"),
    Fault("labelled text/html", _sandbox("content-type-html"), text="sandbox/content-type-html"),
    Fault("labelled application/json", _sandbox("content-type-json"), text="sandbox/content-type-json"),
    Fault("10 MB in one frame", _sandbox("huge-frame"), text="sandbox/huge-frame"),
    Fault("5 000 tiny frames", _sandbox("many-frames", max_tokens=5_000), text="sandbox/many-frames"),
    Fault(
        "slow drip, faster than the idle limit",
        _sandbox("slow-drip", stream_idle_timeout=15.0),
        text="sandbox/slow-drip",
    ),
    Fault("stall", _sandbox("stall", **_HASTY), KiloTimeoutError, _LATE, "sandbox/stall.*"),
    Fault("stall with keep-alives", _sandbox("stall-keepalive", **_HASTY), KiloTimeoutError, _LATE, "sandbox/stall.*"),
    Fault(
        "dropped within a frame",
        _sandbox("drop-connection"),
        KiloStreamInterruptedError,
        _BROKE,
        "sandbox/drop.*",
        KiloConnectionError,
    ),
    Fault("a frame that is not JSON", _sandbox("bad-json-frame"), KiloResponseError, "cannot be used", "sandbox/bad.*"),
]
