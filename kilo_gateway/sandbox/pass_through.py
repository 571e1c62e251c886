"""Pass requests on to another gateway, the live one included, with the caller's own key, and its answers back.

The sandbox's credentials, tiers, models and scenarios do not apply. The key is in memory while its request is under
way, and in no record.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable
from typing import Any, Final

import openai
from starlette.datastructures import Headers
from starlette.types import Receive, Scope

from kilo_gateway.sandbox.gateway.delivery import Answer, json_answer, wait_for_disconnect
from kilo_gateway.sandbox.gateway.error_bodies import Refusal
from kilo_gateway.sandbox.gateway.parts import DROP, Part
from kilo_gateway.sandbox.gateway.records import Record

logger = logging.getLogger("kilo_gateway.sandbox")

# Headers of one connection (RFC 9110, 7.6.1), and those that belong to this computer or to the sandbox's own site.
_NOT_SENT: Final = frozenset(
    {"accept-encoding", "connection", "content-length", "cookie", "host", "keep-alive", "origin", "proxy-authorization"}
    | {"proxy-connection", "referer", "te", "trailer", "transfer-encoding", "upgrade", "x-forwarded-for"}
)
_NOT_RETURNED: Final = frozenset(
    {"connection", "content-encoding", "content-length", "date", "keep-alive", "set-cookie", "trailer"}
    | {"transfer-encoding"}
)

_SECONDS: Final = 900.0
"""The gateway ends a request after 800 seconds."""


class PassThrough:
    """A connection to the gateway at a base URL, such as https://api.kilo.ai/api/gateway."""

    def __init__(self, base_url: str) -> None:
        self._url = base_url.rstrip("/").removesuffix("/v1")

    async def answer(self, record: Record, path: str | None, scope: Scope, body: bytes, receive: Receive) -> Answer:
        """Send a request on; `scope` and `body` have the secrets of the caller, which the record does not have."""
        if path is None:
            raise Refusal("invalid-path")
        asked = _parsed(record.body)
        record.update(json=asked, requested_model=asked.get("model") if isinstance(asked, dict) else None)
        record.update(mode=record.headers.get("x-kilocode-mode"))
        # A redirect could send the prompt and the key to another host (docs/gateway.md, "Endpoints").
        client = openai.DefaultAsyncHttpxClient(follow_redirects=False, timeout=_SECONDS)
        client.headers.clear()
        sent = [(name, value) for name, value in Headers(scope=scope).items() if name not in _NOT_SENT]
        query = scope.get("query_string", b"").decode("latin-1")
        address = f"{self._url}{path}{f'?{query}' if query else ''}"
        try:
            # Without compression, each write can be shown as it arrives.
            request = client.build_request(
                record.method, address, headers=[*sent, ("accept-encoding", "identity")], content=body
            )
            response = await _unless_left(client.send(request, stream=True), receive)
        except Exception as error:  # of httpx or httpx2, the one that openai uses
            await client.aclose()
            message = f"{self._url}: {type(error).__name__}: {error}"
            return json_answer({"error": {"message": message, "code": 502}}, 502)
        if response is None:
            await client.aclose()
            record.update(disconnected=True)
            return Answer(499)  # the gateway's own status for a caller who hung up
        received = {name.lower(): value for name, value in response.headers.items()}
        kept = {name: value for name, value in received.items() if name not in _NOT_RETURNED}
        return Answer(response.status_code, _stream(client, response), kept, streaming=True)


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


async def _unless_left(sending: Awaitable[Any], receive: Receive) -> Any:
    """Return the other gateway's answer; if the caller leaves before it, end the request there and return None."""
    answer = asyncio.ensure_future(sending)
    left = asyncio.ensure_future(wait_for_disconnect(receive))
    try:
        await asyncio.wait({answer, left}, return_when=asyncio.FIRST_COMPLETED)
        return await answer if answer.done() else None
    finally:
        for task in (answer, left):
            task.cancel()
        await asyncio.gather(answer, left, return_exceptions=True)


async def _stream(client: Any, response: Any) -> AsyncIterator[Part]:
    try:
        async for data in response.aiter_bytes():
            yield data
    except Exception as error:  # the caller's connection breaks as the gateway's did, so that its client raises
        logger.info("the gateway broke off: %s: %s", type(error).__name__, error)
        yield DROP
    finally:
        await response.aclose()
        await client.aclose()
