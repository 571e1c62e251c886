"""Serve a gateway that bills each request, even if the answer is lost; it shares no code with the client.

The body's `plan` sets the result of each attempt (`steps`; the last one applies to all further attempts) and the
content of the answer. Its tokenizer is the worst possible one: each byte of a text is a token.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections import Counter, defaultdict
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

Json = dict[str, Any]

KEY = "billing-key"
PAID, DEAR, CHEAP, EMBEDDING = "tests/paid", "tests/dear", "tests/cheap", "tests/embedding"
UNLISTED = "tests/unlisted"
TIER = "kilo-auto/frontier"
OUTPUT_LIMIT = 400
"""Tokens that a model generates if the request sets no limit."""
PATIENCE = 20.0
"""Seconds after which an answer with the step `hold` ends if its client does not leave."""

PRICES: dict[str, dict[str, str]] = {
    PAID: {"prompt": "0.000003", "completion": "0.000015", "input_cache_write": "0.00000375", "request": "0.0001"},
    DEAR: {"prompt": "0.000015", "completion": "0.000075"},
    CHEAP: {"prompt": "0.0000001", "completion": "0.0000004"},
    EMBEDDING: {"prompt": "0.00000002", "completion": "0"},
    UNLISTED: {"prompt": "0.00001", "completion": "0.00005"},
}
ERROR = {"error": {"message": "it went wrong", "code": 502, "type": "upstream_error"}}
UNBILLED = ("error-503", "error-400", "error-first")


def listed() -> list[Json]:
    """Return the entries of GET /models."""
    entries: list[Json] = [
        {
            "id": model,
            "pricing": prices,
            "context_length": 9000,
            "top_provider": {"max_completion_tokens": OUTPUT_LIMIT},
        }
        for model, prices in PRICES.items()
        if model != UNLISTED
    ]
    tier = {"id": TIER, "pricing": {"prompt": "-1", "completion": "-1"}, "autoRouting": {"models": [CHEAP, DEAR]}}
    return [*entries, tier, {**tier, "id": "kilo-auto/balanced", "autoRouting": {"models": [CHEAP, UNLISTED]}}]


def size(value: Any) -> int:
    return len((value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)).encode())


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing, because clients leave on purpose."""


class BillingGateway:
    """The server, as a context manager; `billed` returns the charge for a plan."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bills: defaultdict[str, Decimal] = defaultdict(Decimal)
        self._attempts: Counter[str] = Counter()
        self._gates: defaultdict[str, threading.Event] = defaultdict(threading.Event)
        self._changed = threading.Condition(self._lock)
        self._server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"gateway": self}))
        self.base_url = f"http://127.0.0.1:{self._server.server_address[1]}/api/gateway"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True, name="billing").start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def begin(self, plan: str) -> int:
        """Return how many attempts of a plan came before this one."""
        with self._changed:
            self._attempts[plan] += 1
            self._changed.notify_all()
            return self._attempts[plan] - 1

    def gate(self, name: str) -> threading.Event:
        """Return the event that requests with `gate` in their plan wait for."""
        with self._lock:
            return self._gates[name]

    def bill(self, plan: str, usd: Decimal) -> None:
        with self._changed:
            self._bills[plan] += usd
            self._changed.notify_all()

    def billed(self, *plans: str) -> Decimal:
        with self._lock:
            return sum((self._bills[plan] for plan in plans), Decimal(0))

    def attempts(self, plan: str) -> int:
        with self._lock:
            return self._attempts[plan]

    def wait_for(self, plan: str, attempts: int = 1) -> None:
        """Wait until this number of attempts of a plan has arrived."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._attempts[plan] >= attempts, PATIENCE), plan


class Plans:
    """Calls of one test, each with its own plan."""

    def __init__(self, gateway: BillingGateway, name: str) -> None:
        self.gateway = gateway
        self.names: list[str] = []
        self._name = name

    def __call__(self, *steps: str, **plan: Any) -> dict[str, Any]:
        self.names.append(f"{self._name}-{len(self.names)}")
        return {"plan": {"id": self.names[-1], "steps": steps, **plan}}

    @property
    def billed(self) -> float:
        return float(self.gateway.billed(*self.names))


class _Handler(BaseHTTPRequestHandler):
    gateway: BillingGateway
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._json({"data": listed()})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        plan = body.get("plan", {})
        name = str(plan.get("id"))
        steps = plan.get("steps") or ["ok"]
        step = steps[min(self.gateway.begin(name), len(steps) - 1)]
        if gate := plan.get("gate"):
            self.gateway.gate(gate).wait(PATIENCE)
        if step.startswith("error-") and step != "error-first":
            self._json(ERROR, int(step[-3:]))
            return
        call = _Call(body, plan)
        try:
            if step == "error-first":
                self._whole_or_stream(call, [b"data: " + json.dumps(ERROR).encode()], ERROR)
            elif body.get("stream") and step not in ("drop", "stall"):
                self._stream(name, call, step)
            else:
                self.gateway.bill(name, call.cost(call.pieces()))
                self._whole(call, step)
        except OSError:
            self.close_connection = True

    def _whole_or_stream(self, call: _Call, frames: list[bytes], body: Json) -> None:
        if call.streaming:
            self._open()
            self._frames(frames)
            self._chunk(b"")
        else:
            self._json(body)

    def _whole(self, call: _Call, step: str) -> None:
        if step == "drop":
            self._hang_up()
            return
        if step in ("stall", "hold"):
            self._await_leaving()
            return
        body = call.body(step)
        if step == "cut":
            data = json.dumps(body).encode()
            self._headers(200, len(data))
            self.wfile.write(data[: len(data) * 9 // 10])
            self.wfile.flush()
            self._hang_up()
            return
        self._json(body)

    def _stream(self, name: str, call: _Call, step: str) -> None:
        pieces = call.pieces()
        if step in ("cut", "hold"):
            pieces = pieces[: max(1, call.plan.get("sent", len(pieces) // 2))]
        self.gateway.bill(name, call.cost(pieces))
        self._open()
        frames = [call.frame(piece) for piece in pieces]
        if step in ("cut", "hold"):
            self._frames(frames)
            if step == "hold":
                self._await_leaving()
            else:
                self._hang_up()
            return
        if step == "usage-error":
            frames += [call.usage_frame(pieces, step), json.dumps(ERROR).encode()]
        elif step == "unusable":
            frames += [call.usage_frame(pieces, step), b"{not json"]
        else:
            frames += [call.finish_frame(index) for index in range(call.n)]
            frames += [call.usage_frame(pieces, step), b"[DONE]"]
        self._frames([b"data: " + frame if not frame.startswith(b"data: ") else frame for frame in frames])
        self._chunk(b"")

    def _open(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()

    def _frames(self, frames: list[bytes]) -> None:
        # All in one write: when the first billed frame has arrived, the others have arrived too.
        data = b"".join((frame if frame.startswith(b"data: ") else b"data: " + frame) + b"\n\n" for frame in frames)
        self._chunk(data)

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def _json(self, body: Json, status: int = 200) -> None:
        data = json.dumps(body).encode()
        self._headers(status, len(data))
        self.wfile.write(data)

    def _headers(self, status: int, length: int) -> None:
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(length))
        self.end_headers()

    def _await_leaving(self) -> None:
        self.connection.settimeout(0.05)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                self.connection.recv(1)
                break
            except TimeoutError:
                continue
        self._hang_up()

    def _hang_up(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)


class _Call:
    """One request: its answer and its cost."""

    def __init__(self, body: Json, plan: Json) -> None:
        self.request = body
        self.plan = plan
        self.streaming = bool(body.get("stream"))
        self.n = int(body.get("n") or 1)
        self.served = plan.get("served") or body["model"]
        self.prices = {name: Decimal(price) for name, price in PRICES[self.served].items()}

    @property
    def prompt_tokens(self) -> int:
        if "input" in self.request:
            return sum(size(text) + 2 for text in self.request["input"])
        messages = sum(size(message.get("content") or "") + 5 for message in self.request["messages"])
        tools = self.request.get("tools")
        return 12 + messages + (400 + size(tools) if tools else 0)

    def pieces(self) -> list[tuple[int, str, str]]:
        """Return (choice, kind, text) of everything that is generated, within the limit of each choice."""
        if "input" in self.request:
            return []
        limit = int(self.request.get("max_tokens") or OUTPUT_LIMIT)
        generated = []
        for choice in range(self.n):
            room = limit
            for kind, whole in self.plan.get("answer") or [("content", "four")] * 8:
                if text := whole.encode()[:room].decode(errors="ignore"):
                    room -= size(text)
                    generated.append((choice, kind, text))
        return generated

    def cost(self, pieces: list[tuple[int, str, str]]) -> Decimal:
        per_prompt = self.prices.get(
            "input_cache_write" if self.plan.get("written") else "prompt", self.prices["prompt"]
        )
        generated = sum(size(text) for _, _, text in pieces)
        each = self.prices.get("request", Decimal(0))
        return self.prompt_tokens * per_prompt + generated * self.prices["completion"] + each

    def usage(self, pieces: list[tuple[int, str, str]], step: str) -> Json:
        generated = sum(size(text) for _, _, text in pieces)
        counts: Json = {"prompt_tokens": self.prompt_tokens, "completion_tokens": generated}
        if self.plan.get("written"):
            counts["prompt_tokens_details"] = {"cache_write_tokens": self.prompt_tokens}
        if step == "no-cost":
            return counts
        if step == "odd-usage":
            return {"prompt_tokens": -1, "completion_tokens": "NaN", "total_tokens": -7, "cost": -5}
        return {**counts, "cost": float(self.cost(pieces))}

    def body(self, step: str) -> Json:
        pieces = self.pieces()
        body: Json = {"id": "gen-1", "model": self.served}
        if step != "no-usage":
            body["usage"] = self.usage(pieces, step)
        if step == "usage-error":
            return {**body, **ERROR}
        if step == "unusable":
            return {**body, "choices": []}
        if "input" in self.request:
            vectors = [{"index": index, "embedding": [0.5, 0.25]} for index in range(len(self.request["input"]))]
            return {**body, "data": vectors}
        body["choices"] = [self._choice(choice, pieces) for choice in range(self.n)]
        return body

    def _choice(self, choice: int, pieces: list[tuple[int, str, str]]) -> Json:
        texts: defaultdict[str, str] = defaultdict(str)
        for index, kind, text in pieces:
            if index == choice:
                texts[kind] += text
        message: Json = {"role": "assistant", "content": texts["content"]}
        message |= {kind: texts[kind] for kind in ("reasoning", "refusal") if texts[kind]}
        if texts["arguments"]:
            function = {"name": "f", "arguments": texts["arguments"]}
            message["tool_calls"] = [{"id": "call_1", "type": "function", "function": function}]
        return {"index": choice, "message": message, "finish_reason": "stop"}

    def frame(self, piece: tuple[int, str, str]) -> bytes:
        choice, kind, text = piece
        delta: Json = {kind: text}
        if kind == "arguments":
            function = {"name": "f", "arguments": text}
            delta = {"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": function}]}
        return self._frame([{"index": choice, "delta": delta, "finish_reason": None}])

    def finish_frame(self, choice: int) -> bytes:
        return self._frame([{"index": choice, "delta": {}, "finish_reason": "stop"}])

    def usage_frame(self, pieces: list[tuple[int, str, str]], step: str) -> bytes:
        return self._frame([], **({} if step == "no-usage" else {"usage": self.usage(pieces, step)}))

    def _frame(self, choices: list[Json], **more: Any) -> bytes:
        return json.dumps({"id": "gen-1", "model": self.served, "choices": choices, **more}).encode()
