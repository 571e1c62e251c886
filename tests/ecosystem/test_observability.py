"""Run the recipes of docs/observability.md that need packages of others, and read the traces that they make.

Each recipe runs as a reader runs it, in a process of its own. It asks the sandbox and sends its traces to a collector;
both are on loopback, and the process can reach nothing else. After it, the process streams an answer and makes a call
that fails, both with secret headers.
"""

import gzip
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple

import pytest

from kilo_gateway.sandbox import Sandbox
from tests.support.pages import ROOT, Block, blocks

# Type checkers run where it is not installed.
TRACES: Any = importlib.import_module("opentelemetry.proto.collector.trace.v1.trace_service_pb2")

RECIPES = [block for block in blocks(ROOT / "docs/observability.md") if block.packages]
REQUESTED, SERVED = "kilo-auto/frontier", "anthropic/claude-opus-4.7"
PROMPT, COMPLETION, COST = 11, 109, 0.00278
HEADER, CALL_HEADER = "s3cr3t-header", "s3cr3t-header-of-a-call"
FAILED = 2
"""The status code of OpenTelemetry."""

BEFORE = """
import pytest_socket
pytest_socket.socket_allow_hosts(["127.0.0.1", "::1"], allow_unix_socket=True)
"""
AFTER = f"""
from kilo_gateway import KiloError
fields = {{"default_headers": {{"x-tenant": {HEADER!r}}}, "max_retries": 0}}
asked = type(llm)(tier="frontier", mode="plan", **fields)
broken = type(llm)(model="sandbox/error-401", **fields)
try:
    if hasattr(llm, "invoke"):
        call = {{"config": globals().get("config"), "extra_headers": {{"x-call": {CALL_HEADER!r}}}}}
        list(asked.stream("Plan a garden", **call))
        broken.invoke("Fail.", **call)
    else:
        list(asked.stream_complete("Plan a garden"))
        broken.complete("Fail.")
except KiloError:
    pass
"""
SHOW_MLFLOW = """
import json
mlflow.flush_trace_async_logging()
for trace in reversed(mlflow.search_traces(return_type="list")):
    for span in trace.data.spans:
        facts = {**span.attributes, "cost of the trace": trace.info.cost, "outputs": span.outputs}
        print("SPAN", json.dumps([span.name, trace.info.trace_id, facts, span.status.status_code == "ERROR"]))
"""


class Span(NamedTuple):
    name: str
    trace: Any
    attributes: dict[str, Any]
    failed: bool


class Trial(NamedTuple):
    """What is left of a process that has run a recipe."""

    text: str
    """Everything that it sent, wrote and printed."""
    spans: list[Span]

    def calls(self) -> list[Span]:
        """Return the spans of the model: of the recipe, of a stream, and of a failed call."""
        return [span for span in self.spans if span.name.startswith(("ChatKilo", "KiloLLM"))]

    def surrounding(self) -> Span:
        """Return the span that the recipe puts around its call."""
        [span] = [span for span in self.spans if span.name == "garden"]
        assert span.trace == self.calls()[0].trace
        return span


@contextmanager
def collector() -> Iterator[tuple[str, list[bytes]]]:
    """Start a server that takes traces, and yield its address and the bodies of its requests."""
    bodies: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            bodies.append(gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", bodies
        finally:
            server.shutdown()
            thread.join()


def spans_sent(bodies: list[bytes]) -> list[Span]:
    """Return the spans in requests of OTLP, in the order of their beginnings."""
    sent = [TRACES.ExportTraceServiceRequest.FromString(body) for body in bodies]
    scopes = [scope for message in sent for resource in message.resource_spans for scope in resource.scope_spans]
    return [
        Span(
            span.name,
            span.trace_id,
            {attribute.key: plain(attribute.value) for attribute in span.attributes},
            span.status.code == FAILED,
        )
        for span in sorted((span for scope in scopes for span in scope.spans), key=lambda s: s.start_time_unix_nano)
    ]


def plain(value: Any) -> Any:
    kind = value.WhichOneof("value")
    return [plain(item) for item in value.array_value.values] if kind == "array_value" else getattr(value, kind)


def tried(block: Block, folder: Path) -> Trial:
    of_mlflow = "mlflow" in block.packages
    with Sandbox() as gateway, collector() as (address, bodies):
        environment = {
            **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
            "PYTHONPATH": str(ROOT),
            "KILO_BASE_URL": gateway.base_url,
            "KILO_API_KEY": gateway.member_api_key,
            "KILO_ORG_ID": gateway.organization_id,
            "LANGFUSE_PUBLIC_KEY": "pk-lf-test",
            "LANGFUSE_SECRET_KEY": "sk-lf-test",
            "LANGFUSE_BASE_URL": address,
            "MLFLOW_DISABLE_TELEMETRY": "true",
            # MLflow would send its traces there, too.
            **({} if of_mlflow else {"OTEL_EXPORTER_OTLP_ENDPOINT": address}),
        }
        done = subprocess.run(
            [sys.executable, "-c", BEFORE + block.code + AFTER + (SHOW_MLFLOW if of_mlflow else "")],
            capture_output=True,
            text=True,
            check=False,
            cwd=folder,
            env=environment,
        )
        secrets = [gateway.member_api_key, gateway.organization_id, HEADER, CALL_HEADER]
        headers = [record.headers for record in gateway.requests]
    assert done.returncode == 0, done.stderr
    assert "Watch the place for a day" in done.stdout
    assert [sent.get("x-tenant") for sent in headers] == [None, HEADER, HEADER]
    assert [sent.get("x-call") for sent in headers[1:]] == [CALL_HEADER if "ChatKilo" in block.code else None] * 2
    files = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    text = done.stdout + done.stderr + b"".join(bodies + files).decode(errors="replace")
    assert {secret for secret in secrets if secret in text} == set()
    printed = [line.removeprefix("SPAN ") for line in done.stdout.splitlines() if line.startswith("SPAN ")]
    return Trial(text, [Span(*json.loads(line)) for line in printed] if of_mlflow else spans_sent(bodies))


Try = Callable[[str, str], Trial]


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Try:
    """Return a function that runs the recipe for a class with a package, once."""

    @cache
    def run(package: str, cls: str) -> Trial:
        [block] = [block for block in RECIPES if block.packages[0] == package and f"{cls}(" in block.code]
        return tried(block, tmp_path_factory.mktemp("recipe"))

    return run


def test_each_recipe_is_tried_here() -> None:
    assert sorted(block.packages[0] for block in RECIPES) == sorted(
        ["langfuse"] * 2
        + ["openinference-instrumentation-langchain", "openinference-instrumentation-llama-index"]
        + ["opentelemetry-instrumentation-langchain"]
        + ["mlflow"] * 2
    )


@pytest.mark.parametrize("block", RECIPES, ids=lambda block: block.place)
def test_a_trace_has_calls_and_failures_and_no_secret(trial: Try, block: Block) -> None:
    """`tried` looks for the secrets."""
    cls = "ChatKilo" if "ChatKilo(" in block.code else "KiloLLM"
    calls = trial(block.packages[0], cls).calls()
    assert [span.failed for span in calls] == [False, False, True]
    assert "unauthorized, says the sandbox provider" in trial(block.packages[0], cls).text


def test_langfuse_with_langchain(trial: Try) -> None:
    prefix = "langfuse.observation."
    traced = trial("langfuse", "ChatKilo")
    call, stream, _ = traced.calls()
    assert (call.attributes[f"{prefix}model.name"], stream.attributes[f"{prefix}model.name"]) == (SERVED, REQUESTED)
    for span in (call, stream):
        assert span.attributes[f"{prefix}metadata.ls_model_name"] == json.dumps(REQUESTED)
        assert span.attributes[f"{prefix}metadata.kilo_mode"] == '"plan"'
        usage = json.loads(span.attributes[f"{prefix}usage_details"])
        assert (usage["input"], usage["output"] + usage["output_reasoning"]) == (PROMPT, COMPLETION)
        assert f"{prefix}cost_details" not in span.attributes
    assert json.loads(traced.surrounding().attributes[f"{prefix}cost_details"]) == {"total": COST}


def test_langfuse_with_llama_index(trial: Try) -> None:
    prefix = "langfuse.observation."
    traced = trial("langfuse", "KiloLLM")
    for span in traced.calls()[:2]:
        looks_as_with_openinference(span)
    surrounding = traced.surrounding().attributes
    assert json.loads(surrounding[f"{prefix}cost_details"]) == {"total": COST}
    assert surrounding[f"{prefix}metadata.mode"] == '"plan"'
    assert json.loads(surrounding[f"{prefix}metadata.models"]) == [SERVED]


def looks_as_with_openinference(span: Span) -> None:
    tokens = [span.attributes[f"llm.token_count.{name}"] for name in ("prompt", "completion", "total")]
    assert tokens == [PROMPT, COMPLETION, PROMPT + COMPLETION]
    if span.name.startswith("KiloLLM"):
        assert span.attributes["llm.model_name"] == REQUESTED
        assert SERVED not in str({**span.attributes, "output.value": None, "llm.output_messages": None})


def test_openinference_with_langchain(trial: Try) -> None:
    traced = trial("openinference-instrumentation-langchain", "ChatKilo")
    call, stream, _ = traced.calls()
    assert (call.attributes["llm.model_name"], stream.attributes["llm.model_name"]) == (SERVED, REQUESTED)
    for span in (call, stream):
        looks_as_with_openinference(span)
        metadata = json.loads(span.attributes["metadata"])
        assert (metadata["ls_model_name"], metadata["kilo_mode"]) == (REQUESTED, "plan")
        message = json.loads(span.attributes["output.value"])["generations"][0][0]["message"]
        answered = message["kwargs"]["response_metadata"]
        assert (answered["model_name"], answered["cost"], answered["mode"]) == (SERVED, COST, "plan")
    assert traced.surrounding().attributes == {"llm.cost.total": COST}


def test_openinference_with_llama_index(trial: Try) -> None:
    traced = trial("openinference-instrumentation-llama-index", "KiloLLM")
    for span in traced.calls()[:2]:
        looks_as_with_openinference(span)
    assert json.loads(traced.calls()[0].attributes["metadata"]) == {"mode": "plan"}
    assert traced.surrounding().attributes == {"llm.cost.total": COST, "models": [SERVED]}


def test_opentelemetry_with_langchain(trial: Try) -> None:
    traced = trial("opentelemetry-instrumentation-langchain", "ChatKilo")
    call, stream, failed = traced.calls()
    assert (call.attributes["gen_ai.response.model"], stream.attributes["gen_ai.response.model"]) == (SERVED, "unknown")
    for span in (call, stream):
        given = "traceloop.association.properties."
        assert span.attributes[f"{given}ls_model_name"] == REQUESTED
        assert span.attributes["gen_ai.request.model"] == "unknown"
        assert span.attributes[f"{given}kilo_mode"] == "plan"
        tokens = [span.attributes[f"gen_ai.usage.{name}_tokens"] for name in ("input", "output", "total")]
        assert tokens == [PROMPT, COMPLETION, PROMPT + COMPLETION]
    assert failed.attributes["gen_ai.request.model"] == "sandbox/error-401"
    assert traced.surrounding().attributes == {"llm.cost.total": COST}


@pytest.mark.parametrize("cls", ["ChatKilo", "KiloLLM"])
def test_mlflow(trial: Try, cls: str) -> None:
    traced = trial("mlflow", cls)
    for span in traced.calls()[:2]:
        assert span.attributes["mlflow.llm.model"] == REQUESTED
        usage = span.attributes["mlflow.chat.tokenUsage"]
        tokens = [usage[f"{name}_tokens"] for name in ("input", "output", "total")]
        assert tokens == [PROMPT, COMPLETION, PROMPT + COMPLETION]
        if cls == "ChatKilo":
            assert span.attributes["metadata"]["kilo_mode"] == "plan"
        else:
            answered = span.attributes["outputs"]["additional_kwargs"]
            assert (answered["model"], answered["cost"], answered["mode"]) == (SERVED, COST, "plan")
    surrounding = traced.surrounding().attributes
    assert surrounding["cost of the trace"]["total_cost"] == COST
    assert surrounding.get("models") == ([SERVED] if cls == "ChatKilo" else None)
