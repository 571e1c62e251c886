"""Serve the paths of the gateway over HTTP. See docs/gateway.md, "Endpoints"."""

from __future__ import annotations

import asyncio
import logging
import re
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from kilo_gateway.sandbox.admission import admit, admit_account, parse
from kilo_gateway.sandbox.gateway import model_list, odd_model_lists
from kilo_gateway.sandbox.gateway.auto_models import is_free
from kilo_gateway.sandbox.gateway.call import Call
from kilo_gateway.sandbox.gateway.credentials import Identity, identify
from kilo_gateway.sandbox.gateway.delivery import Answer, deliver, json_answer
from kilo_gateway.sandbox.gateway.error_bodies import Refusal, render, upstream_body
from kilo_gateway.sandbox.gateway.options import Api, Options
from kilo_gateway.sandbox.gateway.provider_checks import UpstreamRefusal
from kilo_gateway.sandbox.gateway.rate_limits import RateCounts
from kilo_gateway.sandbox.gateway.records import KEPT, Log, Record
from kilo_gateway.sandbox.model import canned, odd_vectors, vectors
from kilo_gateway.sandbox.model.turn import Reply
from kilo_gateway.sandbox.page.routes import Page as RequestsPage
from kilo_gateway.sandbox.scenarios import SCENARIOS
from kilo_gateway.sandbox.scenarios.base import Page, Scenario
from kilo_gateway.sandbox.wire import chat_completions
from kilo_gateway.sandbox.wire import framing as sse
from kilo_gateway.sandbox.wire.interfaces import wire_of

if TYPE_CHECKING:
    from kilo_gateway.sandbox.pass_through import PassThrough
    from kilo_gateway.sandbox.relay import Relay

logger = logging.getLogger("kilo_gateway.sandbox")

_ROOTS = ("/api/gateway", "/api/openrouter")
_LOOPBACK = r"(127(\.\d{1,3}){3}|\[::1\]|([a-z0-9-]+\.)*localhost)(:\d+)?"
_LOCAL_HOST = re.compile(_LOOPBACK, re.IGNORECASE)
_LOCAL_ORIGIN = re.compile(rf"[a-z][a-z0-9+.-]*://{_LOOPBACK}", re.IGNORECASE)
_FOREIGN = (
    b'{"error":{"message":"The sandbox accepts only requests from its own computer; check Host and Origin","code":403}}'
)
_KINDS: dict[str, Api] = {"/chat/completions": "chat_completions", "/responses": "responses", "/messages": "messages"}


class Gateway:
    """The sandbox's state and its ASGI application; the event `stopping` ends the answers that still wait."""

    def __init__(self, options: Options, *, keep: int = KEPT) -> None:
        self.options = options
        self.log = Log(keep)
        self.counts = RateCounts(options.rate_limits)
        self.billed = Decimal(0)
        self.page = RequestsPage(self.log, options, self.reset)
        self._relay: Relay | None = None
        self._pass_through: PassThrough | None = None
        if options.upstream_url is not None and options.passes_through:
            from kilo_gateway.sandbox.pass_through import PassThrough

            self._pass_through = PassThrough(options.upstream_url)
        elif options.upstream_url is not None:
            from kilo_gateway.sandbox.relay import Relay  # imports the openai package, which only a relay needs

            self._relay = Relay(options.upstream_url, options.upstream_model)
        self.stopping = asyncio.Event()
        self._lock = threading.Lock()
        self._repetitions: Counter[str] = Counter()
        # Starlette would wrap a function and limit it to GET. It mounts an instance unchanged, for all methods.
        self.app = Starlette(routes=[Route("/{path:path}", self)])

    def reset(self) -> None:
        """Delete the records, and reset the calls of each scenario, the counts of the rate limits and the bill."""
        self.log.clear()
        self.counts.clear()
        with self._lock:
            self._repetitions.clear()
            self.billed = Decimal(0)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = Headers(scope=scope)
        if not _is_local(headers):
            json_type = [(b"content-type", b"application/json")]
            await send({"type": "http.response.start", "status": 403, "headers": json_type})
            await send({"type": "http.response.body", "body": _FOREIGN, "more_body": False})
            return
        if self.page.serves(scope["path"]):
            await self.page(scope, receive, send, self.stopping)
            return
        record = self.log.open(
            method=scope["method"],
            path=scope["path"],
            headers=headers,
            body=bytes(body),
            query=scope.get("query_string", b"").decode("latin-1"),
            private=self._pass_through is not None,
        )
        peer = (scope.get("client") or ("127.0.0.1", 0))[0]
        forwarded = headers.get("x-forwarded-for", peer).split(",")[0].strip()
        try:
            if self._pass_through:
                answer = await self._pass_through.answer(record, _relative(record.path), scope, bytes(body), receive)
            else:
                answer = await self._answer(record, record.number, forwarded)
        except Refusal as refusal:
            status, content, extra = render(refusal.name, self.options, **refusal.places)
            answer = json_answer(content, status, extra)
        except RecursionError:
            status, content, extra = render("malformed-json", self.options, detail="it is nested too deeply")
            answer = json_answer(content, status, extra)
        except Exception:
            logger.exception("the sandbox failed to answer %s %s", record.method, record.path)
            answer = json_answer({"error": {"message": "The sandbox failed; see its log.", "code": 500}}, 500)
        if record.method == "POST" and not self._pass_through:
            answer.headers = {**answer.headers, "request-id": f"req_sandbox_{record.number}"}
            answer.latency = self.options.latency if answer.status == 200 else 0.0
        record.answered(answer.status, answer.headers)
        try:
            await deliver(answer, receive, send, record, self.stopping)
        finally:
            self.log.close(record)

    async def _answer(self, record: Record, number: int, ip: str) -> Answer:
        path = _relative(record.path)
        identity = identify(record.headers, lenient=self.options.lenient_tokens)
        record.update(account=identity.account.name, organization_id=identity.organization_id)
        if record.method == "GET":
            return self._get(path or "", record.headers, signed_in=not identity.anonymous)
        if record.method != "POST":
            return Answer(405, (b"",))
        if path is None:
            raise Refusal("invalid-path")
        bare = path.removeprefix("/v1")
        embedding = path == "/embeddings"
        # The oldest servers have one path only.
        if not (path == "/chat/completions" if self.options.era == "E1" else embedding or bare in _KINDS):
            raise Refusal("invalid-path")
        admit_account(self.counts, record.headers, ip)
        if embedding:
            return self._embed(record, identity, number)
        call = Call(record.headers, self.options, record.body, ip or None, number, api=_KINDS[bare], counts=self.counts)
        return await self._chat(record, call)

    def _embed(self, record: Record, identity: Identity, number: int) -> Answer:
        body = parse(record.body)
        if not isinstance(body, dict):
            raise Refusal("invalid-request")
        record.update(json=body, requested_model=body.get("model"))
        try:
            payload = vectors.embed(body, identity, number)
        except vectors.BadDimensions as error:
            return json_answer(error.body, 400)
        record.update(served_model=payload["model"])
        self._bill(payload["usage"]["cost"])
        odd = odd_vectors.ANSWERS.get(str(body["model"]).strip().removeprefix(odd_vectors.PREFIX))
        return odd(payload) if odd else json_answer(payload)

    def _get(self, path: str, headers: Mapping[str, str], *, signed_in: bool) -> Answer:
        bare = path.removeprefix("/v1")
        if self.options.era == "E1" and path not in ("/models", "/providers"):
            return Answer(405, (b"",))
        if bare == "/models" and (odd := odd_model_lists.LISTS.get(headers.get(odd_model_lists.HEADER, ""))):
            return odd(model_list.models(self.options, signed_in=signed_in))
        pages: dict[str, Callable[[], object]] = {
            "/models": lambda: model_list.models(self.options, signed_in=signed_in),
            "/providers": model_list.providers,
            "/embedding-models": vectors.catalog,
        }
        if path in pages or bare == "/models":
            return json_answer(pages[path if path in pages else bare]())
        steps = bare.split("/")
        if len(steps) == 5 and steps[1] == "models" and steps[4] == "endpoints":
            offers = model_list.endpoints(f"{steps[2]}/{steps[3]}")
            if offers is None:
                return json_answer({"error": {"message": "Not Found", "code": 404}}, 404)
            return json_answer(offers, headers={"cache-control": "s-maxage=60"})
        return Answer(405, (b"",))

    async def _chat(self, record: Record, call: Call) -> Answer:
        try:
            admit(call)
        except UpstreamRefusal as refusal:
            return json_answer(upstream_body(400, refusal.raw, call.api), 400)
        finally:
            served = call.served if call.served != call.requested or call.effective else None
            record.update(
                json=call.received or None,
                requested_model=call.requested or None,
                served_model=served or None,
                mode=call.mode,
                effective=call.effective,
            )
        scenario = _scenario(call)
        if scenario:
            if call.api not in scenario.apis:
                raise Refusal("api-kind-not-supported", kind=call.api, kinds=", ".join(scenario.apis))
            with self._lock:
                self._repetitions[call.served] += 1
                call.repetition = self._repetitions[call.served]
            if scenario.refuse and (page := scenario.refuse(call)):
                return _page_answer(page)
        elif self._relay:
            return await self._relay.answer(call)
        replies = canned.answer(call)
        if not is_free(call.served):
            self._bill(chat_completions.cost(call, replies))
        return self._streamed(call, replies) if call.streaming else _whole(call, replies)

    def _bill(self, usd: str | float) -> None:
        """Add the price of an answer to the bill when the answer begins, because its client may leave or be killed."""
        with self._lock:
            self.billed += Decimal(str(usd))

    def _streamed(self, call: Call, replies: list[Reply]) -> Answer:
        scenario, wire = _scenario(call), wire_of(call)
        frames = wire.frames(call, _with_scenario(call, replies))
        items = scenario.frames(call, frames) if scenario and scenario.frames else frames
        framing = scenario.framing if scenario else sse.PLAIN
        done = self.options.done and wire.DONE
        parts = sse.body(wire.sent(items), framing, keepalive=self.options.keepalive, done=done)
        delay = 0.0 if framing.group == "byte" else self.options.delay
        return Answer(200, parts, framing.headers, streaming=True, delay=delay)


def _scenario(call: Call) -> Scenario | None:
    return SCENARIOS[call.scenario] if call.scenario else None


def _whole(call: Call, replies: list[Reply]) -> Answer:
    payload = wire_of(call).body(call, _with_scenario(call, replies))
    scenario = _scenario(call)
    changed = scenario.body(call, payload) if scenario and scenario.body else payload
    if isinstance(changed, Page):
        return _page_answer(changed)
    return json_answer(changed, headers={"content-encoding": "identity"})


def _with_scenario(call: Call, replies: list[Reply]) -> list[Reply]:
    scenario = _scenario(call)
    if scenario and scenario.reply:
        for reply in replies:
            scenario.reply(call, reply)
    return replies


def _page_answer(page: Page) -> Answer:
    return Answer(page.status, page.parts, dict(page.headers))


def _is_local(headers: Headers) -> bool:
    """Return True if a program on this computer sent the request, not a page of another site in the user's browser.

    A host name that resolves to 127.0.0.1 (DNS rebinding) appears in Host; another site appears in Origin.
    """
    host, origin = headers.get("host"), headers.get("origin")
    local_host = host is None or _LOCAL_HOST.fullmatch(host)
    return bool(local_host and (origin is None or _LOCAL_ORIGIN.fullmatch(origin)))


def _relative(path: str) -> str | None:
    for root in _ROOTS:
        if path.startswith(f"{root}/"):
            return path.removeprefix(root)
    return None
