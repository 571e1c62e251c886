"""Run a local gateway until Ctrl-C: `python -m kilo_gateway.sandbox`."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING

from kilo_gateway.sandbox.gateway.options import APIS
from kilo_gateway.sandbox.gateway.rate_limits import LIMIT_NAMES, Limit, RateLimits
from kilo_gateway.sandbox.scenarios import SCENARIOS

if TYPE_CHECKING:
    from kilo_gateway.sandbox.server import Sandbox

_EXAMPLE = """\
  export KILO_BASE_URL={base_url}
  export KILO_API_KEY={api_key}

  python -m kilo_gateway chat "Help me design a database schema" --tier frontier --mode plan --stream
"""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    options = _parser().parse_args(arguments)
    if options.list:
        width = max(map(len, SCENARIOS))
        apis = {s.id: "all" if s.apis == APIS else ", ".join(s.apis) for s in SCENARIOS.values()}
        most = max(map(len, apis.values()))
        _say(*(f"{s.id:<{width}}  {s.kind:<7}  {apis[s.id]:<{most}}  {s.description}" for s in SCENARIOS.values()))
        return 0
    # The server is imported only here, because the list does not need it.
    with ExitStack() as stack:
        upstream = options.upstream
        if upstream == "local":
            from kilo_gateway.sandbox.model.local_model import LocalModel

            upstream = f"{stack.enter_context(LocalModel()).url}/v1"
        return _serve(options, upstream)


def _serve(options: argparse.Namespace, upstream: str) -> int:
    from kilo_gateway.sandbox.server import Sandbox

    try:
        gateway = Sandbox(
            port=options.port,
            era=options.era,
            catalog_ids=options.ids,
            upstream=upstream,
            upstream_model=options.model,
            delay=options.delay,
            latency=options.latency,
            rate_limits=None if options.rate_limits is None else RateLimits(**dict(options.rate_limits)),
            done=not options.no_done,
            credits_status=options.credits_status,
        )
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    try:
        gateway.start()
    except OSError as error:
        sys.stderr.write(f"cannot use port {options.port} ({error.strerror}); choose another one with --port\n")
        return 1
    stop = threading.Event()
    # A shell without job control starts a background job with SIGINT ignored (POSIX shell, 2.11); Python keeps that.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        _greet(gateway)
        stop.wait()
    finally:
        gateway.stop()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m kilo_gateway.sandbox",
        description="Run a local stand-in for the Kilo AI Gateway. It needs no key, network or money.",
    )
    parser.add_argument(
        "--port", type=int, default=8787, help="port on 127.0.0.1; 0 selects a free one (default: 8787)"
    )
    parser.add_argument("--era", choices=("E1", "E2", "E3"), default="E3", help="server generation (default: E3)")
    parser.add_argument(
        "--ids",
        choices=("mid-2026", "E3"),
        default="mid-2026",
        help="model versions of the auto tiers (default: mid-2026)",
    )
    parser.add_argument(
        "--upstream",
        default="openrouter",
        metavar="URL",
        help="base URL of an OpenAI-compatible server (llama.cpp, Ollama, vLLM) whose model answers; local: a small "
        "model that the extra [local] installs; a base URL that ends in /api/gateway: another Kilo gateway, to which "
        "requests go with the caller's own key; openrouter, vercel: canned answers in the shape of that upstream "
        "(default: openrouter)",
    )
    parser.add_argument(
        "--model", help="model of the server at --upstream (default: the first one that the server lists)"
    )
    parser.add_argument(
        "--delay", type=float, default=0.01, help="seconds between the chunks of a stream (default: 0.01)"
    )
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before an answer begins (default: 0)")
    names = ", ".join(LIMIT_NAMES)
    parser.add_argument(
        "--rate-limits",
        nargs="*",
        type=_rate_limit,
        metavar="NAME=N/SECONDS",
        help=f"count requests and refuse them as the gateway does; NAME is one of {names}",
    )
    parser.add_argument("--no-done", action="store_true", help="end streams without [DONE]")
    parser.add_argument(
        "--credits-status",
        type=int,
        choices=(402, 200),
        default=402,
        help="status of the error for missing credit (default: 402)",
    )
    parser.add_argument("--list", action="store_true", help="list the scenario models and their interfaces, and exit")
    return parser


def _rate_limit(text: str) -> tuple[str, Limit]:
    name, _, value = text.partition("=")
    number, _, seconds = value.partition("/")
    if name not in LIMIT_NAMES or not number.isdecimal() or not seconds.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a limit such as account=60/10 (60 requests in 10 seconds)")
    return name, (int(number), int(seconds))


def _greet(gateway: Sandbox) -> None:
    _say(
        f"Kilo sandbox on {gateway.base_url} (press Ctrl-C to stop)",
        f"See the requests on {gateway.page_url}",
        "",
    )
    if gateway.options.passes_through:
        _say(
            f"Requests go on to {gateway.options.upstream_url} with the caller's own key, and are paid there.",
            "The page does not show the key, and no record has it. In another terminal:",
            "",
            f"  export KILO_BASE_URL={gateway.base_url}",
        )
        return
    _say(
        f"  key with balance     {gateway.api_key}",
        f"  key without balance  {gateway.poor_api_key}",
        f"  key of a member      {gateway.member_api_key}",
        f"  organisation id      {gateway.organization_id}",
        "",
        "In another terminal:",
        "",
        _EXAMPLE.format(base_url=gateway.base_url, api_key=gateway.api_key),
        f"{len(SCENARIOS)} model ids select odd answers and errors, such as sandbox/reasoning and sandbox/cut-stream:",
        "python -m kilo_gateway.sandbox --list lists them all.",
    )


def _say(*lines: str) -> None:
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
