"""Serve the page at `/` and its data below `/page`. It loads nothing from another host; no other site can read it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from kilo_gateway.sandbox.gateway.delivery import wait_for_disconnect
from kilo_gateway.sandbox.gateway.options import Options
from kilo_gateway.sandbox.gateway.records import Log, Record
from kilo_gateway.sandbox.page import python_code
from kilo_gateway.sandbox.page.changes import Changes
from kilo_gateway.sandbox.page.exports import NotPossible, cassette, curl
from kilo_gateway.sandbox.page.values import whole
from kilo_gateway.sandbox.page.views import Views

_ROOT: Final = "/page/"
_FILES: Final = {
    "/": ("index.html", "text/html"),
    "/page/style.css": ("style.css", "text/css"),
    "/page/page.js": ("page.js", "text/javascript"),
}
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
_HEADERS: Final = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}
_PAUSE: Final = 0.1
"""Seconds between two looks at the records: faster changes of a stream are shown together."""
_KEEPALIVE_LOOKS: Final = 150


class Page:
    """The page of one sandbox; `clear` deletes its records."""

    def __init__(self, log: Log, options: Options, clear: Callable[[], None]) -> None:
        self._log = log
        self._options = options
        self._clear = clear
        self._views = Views()

    @staticmethod
    def serves(path: str) -> bool:
        """Return True if a path belongs to the page; such a request is not recorded."""
        return path in ("/", "/favicon.ico") or path.startswith(_ROOT)

    async def __call__(self, scope: Scope, receive: Receive, send: Send, stopping: asyncio.Event) -> None:
        """Answer one request."""
        headers, path = Headers(scope=scope), scope["path"]
        if path != "/" and _is_of_another_site(headers):
            response = _text("The page's data is for the page only; open it in a tab of its own.", 403)
        elif scope["method"] == "GET" and path == "/page/events":
            changes = Changes(self._log, self._views, self._source(), headers.get("last-event-id", ""))
            await self._stream(changes, receive, send, stopping)
            return
        elif scope["method"] == "POST" and path == "/page/clear":
            self._clear()
            response = _json({})
        elif scope["method"] != "GET":
            response = _text("Use GET.", 405)
        else:
            response = await self._get(path, parse_qs(scope["query_string"].decode("latin-1")), headers)
        response.headers.update(_HEADERS)
        await response(scope, receive, send)

    async def _get(self, path: str, query: dict[str, list[str]], headers: Headers) -> Response:
        if path in _FILES:
            name, kind = _FILES[path]
            return Response((Path(__file__).parent / name).read_bytes(), media_type=kind)
        if path == "/page/search":
            return _json(await self._search(query.get("text", [""])[0].lower()))
        steps = path.removeprefix(_ROOT).split("/")
        record = self._record(steps[1]) if steps[0] == "requests" and len(steps) in (2, 3) else None
        if record is None:
            return _text("There is no such request, or it is no longer kept.", 404)
        if len(steps) == 2:
            return _json(self._views.details(record, whole(query.get("from", [""])[0]) or 0))
        if steps[2] == "compare":
            other = self._record(query.get("with", [""])[0])
            return _json(self._views.compared(record, other)) if other else _text("Name two requests.", 404)
        return self._export(record, steps[2], headers.get("host", "127.0.0.1"))

    def _record(self, number: str) -> Record | None:
        return self._log.get(whole(number) or 0)

    def _export(self, record: Record, form: str, host: str) -> Response:
        root = f"http://{host}"
        address = f"{root}{record.path}{f'?{record.query}' if record.query else ''}"
        passes = self._options.passes_through
        forms: dict[str, Callable[[], str]] = {
            "curl": lambda: curl(record, address),
            "langchain": lambda: python_code.langchain(record, f"{root}/api/gateway"),
            "llama_index": lambda: python_code.llama_index(record, f"{root}/api/gateway"),
            "cassette": lambda: cassette(record, self._options.upstream_url if passes else None),
        }
        if form not in forms:
            return _text(f"The form {form!r} is unknown; use one of {', '.join(forms)}.", 404)
        try:
            text = forms[form]()
        except NotPossible as reason:
            return _text(str(reason), 409)
        response = _text(text, 200)
        if form == "cassette":
            name = f"request-{record.number}.yaml"
            response.headers["content-disposition"] = f'attachment; filename="{name}"'
        return response

    def _source(self) -> str:
        """Return who answers."""
        url = self._options.upstream_url
        if url is None:
            return "Answers of the sandbox"
        return f"Passed on to {url}" if self._options.passes_through else f"Answers of the server at {url}"

    async def _search(self, text: str) -> list[int]:
        found = []
        for count, record in enumerate(self._log.snapshot()):
            if text in self._views.text(record):
                found.append(record.number)
            if count % 20 == 0:
                await asyncio.sleep(0)  # streams go on while thousands of requests are searched
        return found

    async def _stream(self, changes: Changes, receive: Receive, send: Send, stopping: asyncio.Event) -> None:
        """Send changes until the reader leaves or the sandbox stops."""
        headers = {**_HEADERS, "content-type": "text/event-stream"}
        sent = [(name.encode(), value.encode()) for name, value in headers.items()]
        ends = [asyncio.ensure_future(wait_for_disconnect(receive)), asyncio.ensure_future(stopping.wait())]
        looks = 0
        try:
            await send({"type": "http.response.start", "status": 200, "headers": sent})
            while not any(end.done() for end in ends):
                looks += 1
                data = changes.next() or (b": \n\n" if looks % _KEEPALIVE_LOOKS == 0 else b"")
                if data:
                    await send({"type": "http.response.body", "body": data, "more_body": True})
                pause = 0 if changes.behind else _PAUSE
                await asyncio.wait(ends, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in ends:
                end.cancel()
            await asyncio.gather(*ends, return_exceptions=True)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _is_of_another_site(headers: Headers) -> bool:
    """Return True if another page asks, also one of another program on this computer."""
    origin, site = headers.get("origin"), headers.get("sec-fetch-site", "none")
    return site not in ("none", "same-origin") or bool(origin and origin != f"http://{headers.get('host')}")


def _json(value: Any) -> Response:
    return Response(json.dumps(value, ensure_ascii=True, separators=(",", ":")), media_type="application/json")


def _text(text: str, status: int) -> Response:
    return Response(text, HTTPStatus(status), media_type="text/plain")
