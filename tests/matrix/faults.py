"""Describe the faults: how a test causes each one, and which result the caller must get."""

import shutil
import ssl
import subprocess
from collections.abc import Callable, Iterator, Sequence
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
from tests.support.frames import FRAMES, Frames, whole
from tests.support.server import HEAD, Say, chunked, listen, server
from tests.support.ways import IN_A_STREAM, IN_THE_ANSWER, SHARED, SHARED_STREAMS, STREAMED

PATIENT = {"timeout": 20.0, "stream_idle_timeout": 20.0}
"""Limits for the call after a fault, which must not fail because the machine is busy."""


@dataclass(frozen=True)
class Stage:
    sandbox: Sandbox
    monkeypatch: pytest.MonkeyPatch
    folder: Path
    api: str
    way: str

    @property
    def frames(self) -> Frames:
        return FRAMES[self.api]

    @property
    def streamed(self) -> bool:
        return self.way in STREAMED


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
    played: Sequence[tuple[str, str]] = tuple(SHARED)
    """Interfaces and ways. A fault before the answer, where all share one code, and a slow one need fewer."""

    def expected(self, *, streamed: bool) -> type[KiloError] | None:
        return self.error if streamed else self.whole or self.error


# A plain socket causes these faults.
def _socket(
    answer: bytes | Say | Callable[[Frames], bytes | Say], **fields: Any
) -> Callable[[Stage], AbstractContextManager[Place]]:
    @contextmanager
    def play(stage: Stage) -> Iterator[Place]:
        said = answer(stage.frames) if callable(answer) else answer
        with server(said, stage.frames.good) as (url, _):
            yield Place(url, fields, lambda llm: PATIENT)

    return play


def _silence_after_text(*, keep_alive: bool = False) -> Callable[[Stage], AbstractContextManager[Place]]:
    """Send headers and text at once: however slow the machine is, the client has both when the silence begins."""

    @contextmanager
    def play(stage: Stage) -> Iterator[Place]:
        said = Say(HEAD + chunked(stage.frames.text), "hold", drip=chunked(stage.frames.keep_alive) * keep_alive)
        # A call that is not streamed has no limit but `timeout`; a stream's first byte may be late.
        fields = {**_AT_ONCE, "timeout": PATIENT["timeout"]} if stage.streamed else _AT_ONCE
        with server(said, stage.frames.good) as (url, _):
            yield Place(url, fields, lambda llm: PATIENT)

    return play


@contextmanager
def _refused(stage: Stage) -> Iterator[Place]:
    def heal(llm: Any) -> dict[str, Any]:
        listen(url)
        return {}

    with server(stage.frames.good, listening=False) as (url, _):
        yield Place(url, heal=heal)


@contextmanager
def _no_such_host(stage: Stage) -> Iterator[Place]:
    def heal(llm: Any) -> dict[str, Any]:
        llm.base_url = url
        return {}

    # A host name has at most 255 characters: the resolver rejects a longer one without a request to the network.
    with server(stage.frames.good) as (url, _):
        yield Place(f"http://{'nowhere.' * 40}invalid/api/gateway", heal=heal)


@contextmanager
def _no_tls(stage: Stage) -> Iterator[Place]:
    def heal(llm: Any) -> dict[str, Any]:
        llm.base_url = url
        return {}

    with server(Say(b"HTTP/1.1 400 Bad Request\r\n\r\n", early=True), stage.frames.good) as (url, _):
        yield Place(url.replace("http:", "https:"), heal=heal)


@contextmanager
def _untrusted(stage: Stage) -> Iterator[Place]:
    certificate, key = self_signed(stage.folder)

    def heal(llm: Any) -> dict[str, Any]:
        stage.monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        return {}

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with server(stage.frames.good, tls=context) as (url, _):
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
        with server(stage.frames.good) as (elsewhere, strangers):
            answer = (
                f"HTTP/1.1 {status} Moved\r\nlocation: {elsewhere}/x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            )
            with server(answer.encode(), stage.frames.good) as (url, _):
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

        address = f"http://gateway.example/api{stage.frames.path} ".encode()

        def seen() -> bool:
            return all(address in r and b"proxy-auth" in r.lower() for r in asked)

        with server(*answers, stage.frames.good, listening=listening) as (url, asked):
            stage.monkeypatch.setenv("HTTP_PROXY", url.replace("://", "://user:s3cr3t@"))
            yield Place("http://gateway.example/api", heal=heal, seen=seen)

    return play


@contextmanager
def _past_the_proxy(stage: Stage) -> Iterator[Place]:
    with server(stage.frames.good) as (url, _), server(b"", listening=False) as (proxy, _):
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


_HELLO = "Hello! How can I help you?"  # the answer to the prompt of all ways
_LOST = "connection to the gateway failed|connection broke"
_BROKE = "before the answer was complete|connection to the gateway failed"
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
    Fault(
        "reset after text",
        _socket(lambda frames: Say(HEAD + chunked(frames.text), "reset")),
        KiloConnectionError,
        _LOST,
        "(whole)?",
        played=IN_THE_ANSWER,
    ),
    Fault(
        "ended after text",
        _socket(lambda frames: whole(frames.text)),
        KiloStreamInterruptedError,
        "before the answer was complete: it has no",
        "whole",
        played=IN_THE_ANSWER,
    ),
    Fault(
        "closed after the text is complete",
        _socket(lambda frames: HEAD + chunked(frames.text, frames.finish)),
        KiloStreamInterruptedError,
        _BROKE,
        "whole",
        KiloConnectionError,
        played=IN_THE_ANSWER,
    ),
    Fault(
        "cut within a frame",
        _socket(lambda frames: whole(frames.text, frames.finish[:-20])),
        KiloStreamInterruptedError,
        "last frame is cut off",
        "whole",
        played=IN_THE_ANSWER,
    ),
    Fault(
        "cut within a character",
        _socket(lambda frames: whole(frames.text, frames.delta.partition(b"whole")[0] + "é".encode()[:1])),
        KiloStreamInterruptedError,
        "last frame is cut off",
        "whole",
        played=IN_THE_ANSWER,
    ),
    Fault(
        "a frame that is too short for its length",
        _socket(lambda frames: HEAD + chunked(frames.text) + b"ff\r\ndata: {"),
        KiloStreamInterruptedError,
        _BROKE,
        "whole",
        KiloConnectionError,
        played=IN_THE_ANSWER,
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
    Fault("silence after text", _silence_after_text(), KiloTimeoutError, _NOTHING, "whole", played=IN_THE_ANSWER),
    Fault(
        "keep-alives after text",
        _silence_after_text(keep_alive=True),
        KiloTimeoutError,
        _NOTHING,
        "whole",
        played=IN_A_STREAM,
    ),
    Fault(
        "a complete answer without usage",
        _socket(lambda frames: whole(frames.text, frames.finish, frames.end)),
        text="whole",
        played=IN_THE_ANSWER,
    ),
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
    Fault("503, then success", _sandbox("flaky-503", max_retries=1), text=_HELLO),
    Fault("HTML 502", _sandbox("error-html-502"), KiloServerError, "502 Bad Gateway"),
    Fault("gzip", _sandbox("gzip"), text=_HELLO, played=IN_THE_ANSWER),
    Fault("labelled text/html", _sandbox("content-type-html"), text=_HELLO, played=IN_THE_ANSWER),
    Fault(
        "labelled application/json",
        _sandbox("content-type-json"),
        text=_HELLO,
        played=IN_THE_ANSWER,
    ),
    Fault("10 MB in one frame", _sandbox("huge-frame"), text=_HELLO),
    Fault(
        "5 000 tiny frames",
        _sandbox("many-frames", max_tokens=5_000),
        text=_HELLO,
        played=SHARED_STREAMS,
    ),
    Fault(
        "slow drip, faster than the idle limit",
        _sandbox("slow-drip", stream_idle_timeout=15.0),
        text=_HELLO,
        played=SHARED_STREAMS,
    ),
    Fault(
        "dropped within a frame",
        _sandbox("drop-connection"),
        KiloStreamInterruptedError,
        _BROKE,
        "Hello! How can",
        KiloConnectionError,
        played=IN_THE_ANSWER,
    ),
    Fault(
        "a frame that is not JSON",
        _sandbox("bad-json-frame"),
        KiloResponseError,
        "cannot be used",
        "Hello! How can",
        played=IN_THE_ANSWER,
    ),
]
