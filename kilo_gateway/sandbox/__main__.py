"""`python -m kilo_gateway.sandbox`: a local gateway until Ctrl-C."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING

from kilo_gateway.sandbox.scenarios import SCENARIOS

if TYPE_CHECKING:
    from kilo_gateway.sandbox.server import Sandbox

_EXAMPLE = """\
  export KILO_BASE_URL={base_url}
  export KILO_API_KEY={api_key}

  python -m kilo_gateway chat "Help me design a database schema" --tier frontier --mode plan --stream
"""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    options = _parser().parse_args(arguments)
    if options.list:
        width = max(map(len, SCENARIOS))
        _say(*(f"{s.id:<{width}}  {s.kind:<7}  {s.description}" for s in SCENARIOS.values()))
        return 0
    # The rest is imported no earlier: the list needs no server.
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
            done=not options.no_done,
            credits_status=options.credits_status,
        )
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    try:
        gateway.start()
    except OSError as error:
        sys.stderr.write(f"port {options.port} is not free ({error.strerror}); choose another with --port\n")
        return 1
    stop = threading.Event()
    # Both are set, because a shell starts a background job with SIGINT ignored.
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
        description="A local stand-in of the Kilo AI Gateway: no key, no network, no bill.",
    )
    parser.add_argument("--port", type=int, default=8787, help="port on 127.0.0.1, 0 for a free one (8787)")
    parser.add_argument("--era", choices=("E1", "E2", "E3"), default="E3", help="server generation (E3)")
    parser.add_argument(
        "--ids", choices=("mid-2026", "E3"), default="mid-2026", help="model versions of the auto tiers"
    )
    parser.add_argument(
        "--upstream",
        default="openrouter",
        metavar="URL",
        help="base URL of an OpenAI-compatible server (llama.cpp, Ollama, vLLM) whose model answers; local: a small "
        "model of its own, with the extra [local]; openrouter, vercel: the shape of the canned answers (openrouter)",
    )
    parser.add_argument("--model", help="the model of --upstream URL (the first one that server lists)")
    parser.add_argument("--delay", type=float, default=0.01, help="seconds between stream frames (0.01)")
    parser.add_argument("--no-done", action="store_true", help="end streams without [DONE]")
    parser.add_argument("--credits-status", type=int, choices=(402, 200), default=402)
    parser.add_argument("--list", action="store_true", help="list the scenario models and exit")
    return parser


def _greet(gateway: Sandbox) -> None:
    _say(
        f"Kilo sandbox on {gateway.base_url} (Ctrl-C ends it)",
        "",
        f"  key with balance     {gateway.api_key}",
        f"  key without balance  {gateway.poor_api_key}",
        f"  key of a member      {gateway.member_api_key}",
        f"  organisation id      {gateway.organization_id}",
        "",
        "In another terminal:",
        "",
        _EXAMPLE.format(base_url=gateway.base_url, api_key=gateway.api_key),
        f"{len(SCENARIOS)} models play oddities and faults, such as sandbox/reasoning or sandbox/cut-stream;",
        "python -m kilo_gateway.sandbox --list shows them all.",
    )


def _say(*lines: str) -> None:
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
