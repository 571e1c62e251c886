"""Start and stop the sandbox: uvicorn in a thread of its own, on a port of its own."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

try:
    import uvicorn

    from kilo_gateway.sandbox.app import Gateway
except ImportError as error:
    raise ImportError('the sandbox needs its extra: pip install "kilo-gateway[sandbox]"') from error

from kilo_gateway.sandbox.gateway.credentials import MEMBER, ORGANIZATION_ID, POOR, RICH
from kilo_gateway.sandbox.gateway.options import CatalogIds, Era, Options, Upstream
from kilo_gateway.sandbox.gateway.rate_limits import RateLimits
from kilo_gateway.sandbox.gateway.records import KEPT, Record

_START_SECONDS = 10.0
_STOP_SECONDS = 5.0


class Sandbox:
    """A local gateway on 127.0.0.1; use it with `with`, `async with`, or `start` and `stop`.

    `port` 0 selects a free port. `era` selects a server generation and sets its policies; the other arguments
    override single policies. `latency` is the number of seconds before an answer begins, `delay` between the
    chunks of a stream. `rate_limits` makes the sandbox count and refuse requests as the gateway does. `upstream` is the
    shape of the answers, or the base URL of a server with OpenAI's Chat Completions interface, which then answers
    instead of the canned model; `upstream_model` is a model of that server, by default the first one that it lists.
    If the base URL is that of a gateway (it ends in /api/gateway) and `upstream_model` is None, requests go there with
    the caller's own key. The sandbox keeps the last `keep` requests, and at most 100 MB of bodies and answers. See
    docs/gateway.md, "Eras".
    """

    api_key = RICH.token
    poor_api_key = POOR.token
    member_api_key = MEMBER.token
    organization_id = ORGANIZATION_ID

    def __init__(
        self,
        *,
        port: int = 0,
        era: Era = "E3",
        lenient_tokens: bool | None = None,
        keepalive: str | None = None,
        done: bool = True,
        error_type: bool | None = None,
        credits_status: int = 402,
        catalog_ids: CatalogIds = "mid-2026",
        upstream: Upstream | str = "openrouter",
        upstream_model: str | None = None,
        delay: float = 0.0,
        latency: float = 0.0,
        rate_limits: RateLimits | None = None,
        keep: int = KEPT,
    ) -> None:
        if keep < 1:
            raise ValueError(f"keep={keep!r} must be at least 1: the last request is always kept")
        self.options = Options.for_era(
            era,
            lenient_tokens=lenient_tokens,
            keepalive=keepalive,
            done=done,
            error_type=error_type,
            credits_status=credits_status,
            catalog_ids=catalog_ids,
            upstream=upstream,
            upstream_model=upstream_model,
            delay=delay,
            latency=latency,
            rate_limits=rate_limits,
        )
        self._gateway = Gateway(self.options, keep=keep)
        self._wanted_port = port
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None
        self.port = port

    @property
    def base_url(self) -> str:
        """The base URL for clients, without a trailing slash."""
        return f"http://127.0.0.1:{self.port}/api/gateway"

    @property
    def page_url(self) -> str:
        """The address of the page that shows the requests as they happen."""
        return f"http://127.0.0.1:{self.port}/"

    @property
    def requests(self) -> tuple[Record, ...]:
        """The requests that the sandbox keeps, in order of arrival; `clear` deletes them."""
        return self._gateway.log.snapshot()

    @property
    def last(self) -> Record:
        """The last request; LookupError is raised if no request has arrived."""
        if not (records := self.requests):
            raise LookupError("the sandbox has received no request; send one first")
        return records[-1]

    @property
    def billed_usd(self) -> float:
        """The sum in USD of the prices of all answers since `clear`, also of those whose client left early."""
        return float(self._gateway.billed)

    def clear(self) -> None:
        """Delete the requests, and reset the bill, the rate limits and the scenarios that count calls."""
        self._gateway.reset()

    def wait_for(self, predicate: Callable[[Record], bool], timeout: float = 5.0) -> Record:
        """Wait until a request satisfies `predicate`, and return it; raise TimeoutError after `timeout` seconds."""
        return self._gateway.log.wait_for(predicate, timeout)

    def start(self) -> Self:
        """Start the server and return when its port accepts connections; raise OSError if the port is in use."""
        if self._thread is not None:
            raise RuntimeError("the sandbox is already running; stop it first, or create another one")
        # asyncio turns Nagle's algorithm off only if the socket names its protocol (asyncio.base_events._set_nodelay).
        # Otherwise the second write of an answer waits 40 ms for the client's delayed acknowledgement.
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", self._wanted_port))
        except OSError:
            listener.close()
            raise
        self.port = listener.getsockname()[1]
        self._gateway.stopping = asyncio.Event()
        self._server = _Server(self._gateway, listener)
        self._thread = threading.Thread(target=self._server.main, name="kilo-sandbox", daemon=True)
        self._thread.start()
        if not self._server.ready.wait(_START_SECONDS) or self._server.failure:
            failure = self._server.failure
            self.stop()
            raise RuntimeError("the sandbox did not start") from failure
        return self

    def stop(self) -> None:
        """Stop the server and cut off answers under way; do nothing if the server is not running."""
        server, thread, self._server, self._thread = self._server, self._thread, None, None
        if server is not None and thread is not None:
            server.ask_to_stop()
            thread.join(_STOP_SECONDS)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        return await asyncio.to_thread(self.start)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.stop)


class _Server(uvicorn.Server):
    """A uvicorn server that stops at once; uvicorn checks only every 0.1 s whether it should stop."""

    def __init__(self, gateway: Gateway, listener: socket.socket) -> None:
        super().__init__(
            uvicorn.Config(
                gateway.app,
                loop="asyncio",
                http="h11",
                ws="none",
                lifespan="off",
                log_config=None,
                # Some scenarios drop the connection on purpose, which uvicorn would log as an error.
                log_level="critical",
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=1,
            )
        )
        self.gateway = gateway
        self.listener = listener
        self.ready = threading.Event()
        self.failure: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()

    def main(self) -> None:
        """Serve until `ask_to_stop` is called; the server's thread runs this method."""
        try:
            asyncio.run(self.serve(sockets=[self.listener]))
        except BaseException as error:  # `Sandbox.start` raises it in the caller's thread
            self.failure = error
        finally:
            self.listener.close()
            self.ready.set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        self.ready.set()

    async def main_loop(self) -> None:
        counter = 0
        while not self._stop.is_set() and not await self.on_tick(counter):
            counter = (counter + 1) % 864_000
            try:
                await asyncio.wait_for(self._stop.wait(), 0.1)
            except TimeoutError:
                continue
        self.gateway.stopping.set()

    def ask_to_stop(self) -> None:
        """Make the server stop; call this from another thread."""
        loop = self._loop
        if loop is not None and not loop.is_closed():
            try:
                loop.call_soon_threadsafe(self._stop.set)
            except RuntimeError:  # the loop was closed between the check and the call
                return
