"""Test that the key, the organisation id and header values appear only on the wire and in a pickle."""

import asyncio
import contextlib
import io
import logging
import pickle
import traceback
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.load import dumps
from langchain_core.tracers.base import BaseTracer
from langchain_core.tracers.schemas import Run
from llama_index.core.callbacks import CallbackManager, LlamaDebugHandler
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.span_handlers import SimpleSpanHandler
from llama_index_instrumentation import get_dispatcher
from pydantic import PrivateAttr

from kilo_gateway import GatewaySettings, KiloError
from kilo_gateway.interfaces import INTERFACES
from kilo_gateway.sandbox import Sandbox
from kilo_gateway.transport import clients
from langchain_kilo import ChatKilo, KiloEmbeddings
from llama_index_kilo import KiloEmbedding, KiloLLM
from tests.support.frames import FRAMES
from tests.support.server import Say, server
from tests.support.ways import IN_THE_ANSWER, SHARED, WAYS, both

KEY, HEADER, CALL_HEADER = "s3cr3t-key", "s3cr3t-header", "s3cr3t-call-header"
ORGANIZATION = "0b7cc6f2-6d0b-4c3e-9a53-0d1de1d0a7b5"
SECRETS = (KEY, HEADER, ORGANIZATION)
REFUSED = ("error-401", "error-html-502")
BROKEN = ("drop-connection", "cut-stream", "bad-json-frame", "stream-error-first")
every_api = pytest.mark.parametrize("api", FRAMES)


def found_in(*texts: str) -> set[str]:
    return {secret for secret in (*SECRETS, CALL_HEADER) for text in texts if secret in text}


def model(cls: Any, gateway: Sandbox | None = None, **fields: Any) -> Any:
    if gateway:
        fields["base_url"] = gateway.base_url
    return cls(
        **{
            "model": "sandbox/echo",
            "api_key": KEY,
            "organization_id": ORGANIZATION,
            "default_headers": {"x-tenant": HEADER},
            "max_retries": 0,
            **fields,
        }
    )


@pytest.fixture
def everything_logged() -> Iterator[io.StringIO]:
    """Capture the log of the whole process at DEBUG, with all attributes of each record."""
    text = io.StringIO()

    class Everything(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            text.write(f"{record.getMessage()} {record.__dict__!r}\n")

    handler, root = Everything(), logging.getLogger()
    before = {name: logging.getLogger(name).level for name in [*root.manager.loggerDict, "root"]}
    for name in before:
        logging.getLogger(name).setLevel(logging.DEBUG)
    root.addHandler(handler)
    yield text
    root.removeHandler(handler)
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)


@every_api
@pytest.mark.parametrize("cls", [GatewaySettings, ChatKilo, KiloLLM])
def test_the_object_shows_no_secret(cls: Any, api: str) -> None:
    """langchain-openai 1.7.4 shows `default_headers` in repr and dumps; langchain-litellm 0.11.2 shows the key."""
    llm = model(cls, api=api)
    assert llm.bearer == KEY
    request = llm.prepare("hi", stream=True, keywords={"extra_headers": {"x": CALL_HEADER}})
    shown = [repr(llm), str(llm), f"{llm}", repr(dict(llm)), repr(llm.model_dump()), llm.model_dump_json()]
    shown += [repr(llm.model_copy()), repr(llm.with_mode("plan")), repr(vars(llm)), repr(llm.model_dump(mode="json"))]
    shown += [repr(clients.Account.of(llm)), repr(request), repr(INTERFACES[api].body(request))]
    if cls is ChatKilo:
        shown += [dumps(llm), dumps(llm, pretty=True), repr(llm.to_json()), repr(llm._identifying_params)]
        shown += [repr(llm.with_config(tags=["a"])), repr(llm._get_ls_params()), str(llm._get_llm_string())]
        shown += [repr(llm.bind(stop=["x"])), dumps(llm | (lambda x: x)), repr(llm.get_graph().to_json())]
    if cls is KiloLLM:
        shown += [repr(llm.to_dict()), llm.to_json(), repr(llm.to_payload()), repr(llm.metadata)]
    assert found_in(*shown) == set()


@both
def test_a_pickle_holds_them(cls: Any) -> None:
    """This is documented: a worker process needs the secrets for its calls."""
    data = pickle.dumps(model(cls))
    assert found_in(data.decode("latin-1")) == set(SECRETS)
    assert pickle.loads(data).bearer == KEY  # noqa: S301 -- this test made it


@both
def test_validation_errors_show_no_secret(cls: Any) -> None:
    for wrong in (
        {"temperature": 9},
        {"api_key": f"{KEY}\n"[:-1] + "\r\nx: y"},
        {"default_headers": {"x-tenant": f"{HEADER}\r\nx: y"}},
        {"default_headers": {"Authorization": f"Bearer {KEY}"}},
        {"organization_id": f"{ORGANIZATION}0"},
        {"base_url": f"https://user:{KEY}@gateway.example/api"},
        {"base_url": "http://gateway.example/api"},
        {"apikey": KEY},
    ):
        with pytest.raises(ValueError, match=r".") as caught:
            model(cls, **wrong)
        assert found_in(str(caught.value), repr(caught.value)) == set()
    llm = model(cls)
    for name, value in (
        ("api_key", f"{KEY}\n\n x"),
        ("default_headers", {"x": f"{HEADER}\r"}),
        ("organization_id", KEY),
    ):
        with pytest.raises(ValueError, match=name) as caught:
            setattr(llm, name, value)
        assert found_in(str(caught.value)) == set()


@both
@pytest.mark.parametrize("bad", ["a\rb", "a\nb", "a\r\nx-injected: 1", "a\x00b", "é", "a\u2028b", "a\ud800b"])
def test_invalid_headers_are_refused(kilo_sandbox: Sandbox, cls: Any, bad: str) -> None:
    for field in ("mode", "task_id", "project_id", "feature"):
        fields: dict[str, Any] = {field: bad}
        with pytest.raises(ValueError, match=f"(?s){field}.*HTTP header"):
            model(cls, **fields)
    for field in ("api_key", "default_headers"):
        fields = {field: bad if field == "api_key" else {"x-a": bad}}
        with pytest.raises(ValueError, match=f"(?s){field}.*HTTP header"):
            model(cls, **fields)
    with pytest.raises(ValueError, match="header name"):
        model(cls, default_headers={bad: "a"})
    llm = model(cls, kilo_sandbox)
    ask = llm.invoke if cls is ChatKilo else llm.complete
    for call in ({"mode": bad}, {"task_id": bad}, {"extra_headers": {"x-a": bad}}, {"extra_headers": {bad: "a"}}):
        with pytest.raises(ValueError, match="header"):
            ask("hi", **call)
    assert not kilo_sandbox.requests


@pytest.mark.parametrize(
    ("name", "api", "way"),
    [
        *((name, api, way) for name in ("echo", *BROKEN) for api, way in IN_THE_ANSWER),
        *((name, api, way) for name in REFUSED for api, way in SHARED),
    ],
)
def test_logs_warnings_errors_and_tracebacks_show_no_secret(
    kilo_sandbox: Sandbox, everything_logged: io.StringIO, name: str, api: str, way: str
) -> None:
    """An answer that breaks off is in the locals of its interface's code; a refusal never gets there."""
    cls, ask = WAYS[way]
    llm = model(cls, kilo_sandbox, model=f"sandbox/{name}", api=api)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        output = asyncio.run(_output(ask, llm))
    assert kilo_sandbox.last.headers["authorization"] == f"Bearer {KEY}"
    assert kilo_sandbox.last.headers["x-tenant"] == HEADER
    assert kilo_sandbox.last.headers["x-call"] == CALL_HEADER
    log = everything_logged.getvalue()
    assert FRAMES[api].path in log
    assert found_in(log, *(str(warning.message) for warning in warned)) == set()
    # The keywords of a call are locals of the caller's own frames; the model's fields are not in any frame.
    assert found_in(output) <= {CALL_HEADER}


async def _output(ask: Any, llm: Any) -> str:
    try:
        return str(await ask(llm, extra_headers={"x-call": CALL_HEADER}))
    except KiloError as error:
        shown = traceback.TracebackException.from_exception(error, capture_locals=True)
        return "".join(shown.format()) + repr(error) + repr(vars(error)) + pickle.dumps(error).decode("latin-1")


@pytest.mark.parametrize("cls", [KiloEmbeddings, KiloEmbedding])
@pytest.mark.parametrize("name", ["numbers", "no-vectors", "error-503"])
@pytest.mark.parametrize("key", [KEY, Sandbox.member_api_key])
def test_embeddings_show_no_secret(
    kilo_sandbox: Sandbox, everything_logged: io.StringIO, instruments: list[Any], cls: Any, name: str, key: str
) -> None:
    account = {"api_key": key, "organization_id": kilo_sandbox.organization_id}
    llm = model(cls, kilo_sandbox, model=f"sandbox/{name}", feature="library", **account)
    ask = llm.embed_query if cls is KiloEmbeddings else llm.get_query_embedding
    aask = llm.aembed_query if cls is KiloEmbeddings else llm.aget_query_embedding

    async def both_ways(**_: Any) -> str:
        with contextlib.suppress(KiloError):  # a failed call must not show a secret either
            await aask("hi")
        return repr(ask("hi"))

    shown = asyncio.run(_output(lambda llm, **call: both_ways(), llm))
    assert kilo_sandbox.last.headers["x-tenant"] == HEADER
    assert kilo_sandbox.last.headers["x-kilocode-feature"] == "library"
    shown += everything_logged.getvalue() + "".join(handler._texts[0] for handler in instruments if handler._texts)
    assert "embeddings" in shown
    assert found_in(shown, repr(llm), repr(llm.model_dump(exclude={"callback_manager"}))) == set()
    assert key not in shown
    assert kilo_sandbox.organization_id not in shown


@pytest.mark.parametrize(("api", "way"), SHARED)
def test_a_broken_connection_shows_no_secret(api: str, way: str) -> None:
    """The error arises deep in the HTTP library, whose frames contain the request."""
    cls, ask = WAYS[way]
    for said in (Say(end="reset"), Say(b"HTTP/1.1 200", "reset"), Say(end="reset", early=True)):
        with server(said) as (url, _):
            output = asyncio.run(_output(ask, model(cls, base_url=url, api=api)))
            assert "Traceback" in output
            assert found_in(output) <= {CALL_HEADER}


class Runs(BaseTracer):
    """Record the runs that a tracer such as LangSmith's receives."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""

    def _persist_run(self, run: Run) -> None:
        self.text += repr(vars(run)) + repr(run)


class Everything(BaseCallbackHandler):
    def __init__(self) -> None:
        self.text = ""

    def _record(self, *args: Any, **kwargs: Any) -> None:
        self.text += repr((args, kwargs))

    on_chat_model_start = on_llm_new_token = on_llm_end = on_llm_error = on_chain_start = on_chain_end = _record


TRACED = [(name, api) for name in ("echo", "cut-stream") for api in FRAMES] + [("error-401", "completions")]


@pytest.mark.parametrize("way", [way for way in WAYS if way.startswith("langchain")])
@pytest.mark.parametrize(("name", "api"), TRACED)
def test_callbacks_and_runs_show_no_secret(kilo_sandbox: Sandbox, way: str, name: str, api: str) -> None:
    llm = model(ChatKilo, kilo_sandbox, model=f"sandbox/{name}", api=api)
    handlers: list[Any] = [Runs(), Everything()]
    ask = WAYS[way][1]
    config = {"callbacks": handlers, "metadata": {"a": 1}}
    for asked in (llm, llm.with_config(tags=["x"]), llm.with_mode("plan")):
        asyncio.run(_traced(ask, asked, config))
    assert kilo_sandbox.last.headers["x-call"] == CALL_HEADER
    for handler in handlers:
        assert "sandbox" in handler.text
        assert found_in(handler.text) == set()


async def _traced(ask: Any, llm: Any, config: Any) -> None:
    with contextlib.suppress(KiloError):  # a failed call must not show a secret either
        await ask(llm, extra_headers={"x-call": CALL_HEADER}, config=config)


class Events(BaseEventHandler):
    _texts: list[str] = PrivateAttr(default_factory=list)

    @classmethod
    def class_name(cls) -> str:
        return "Events"

    def handle(self, event: Any, **kwargs: Any) -> None:
        self._texts.append(repr(event) + repr(event.model_dump()) + repr(kwargs))


class Spans(SimpleSpanHandler):
    _texts: list[str] = PrivateAttr(default_factory=list)

    def span_enter(self, id_: str, bound_args: Any, *args: Any, **kwargs: Any) -> None:
        self._texts.append(repr((id_, bound_args, args, kwargs)))
        super().span_enter(id_, bound_args, *args, **kwargs)


@pytest.fixture
def instruments() -> Iterator[list[Any]]:
    dispatcher = get_dispatcher()
    added: list[Any] = [Events(), Spans()]
    dispatcher.add_event_handler(added[0])
    dispatcher.add_span_handler(added[1])
    yield added
    dispatcher.event_handlers.remove(added[0])
    dispatcher.span_handlers.remove(added[1])


@pytest.mark.parametrize("way", [way for way in WAYS if way.startswith("llama_index")])
@pytest.mark.parametrize(("name", "api"), TRACED)
def test_instrumentation_shows_no_secret(
    kilo_sandbox: Sandbox, instruments: list[Any], way: str, name: str, api: str
) -> None:
    debug = LlamaDebugHandler(print_trace_on_end=False)
    llm = model(KiloLLM, kilo_sandbox, model=f"sandbox/{name}", api=api, callback_manager=CallbackManager([debug]))
    with contextlib.suppress(KiloError):  # a failed call must not show a secret either
        asyncio.run(_once(WAYS[way][1], llm))
    texts = ["".join(handler._texts) for handler in instruments]
    texts += [repr([event.payload for event in debug.get_events()]), repr(instruments[1].completed_spans)]
    assert all("hi" in text for text in texts[:3])
    assert found_in(*texts) == set()


async def _once(ask: Any, llm: Any) -> str:
    return str(await ask(llm))


@both
def test_error_bodies_are_shown_in_part_and_without_control_characters(cls: Any) -> None:
    body = b"\x1b[2J\x00\xe2\x80\xae" + b"x" * 100_000 + b"end"
    page = b"HTTP/1.1 500 Oops\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body)
    with server(page + body) as (url, _), pytest.raises(KiloError) as caught:
        model(cls, base_url=url).invoke("hi") if cls is ChatKilo else model(cls, base_url=url).complete("hi")
    assert len(str(caught.value)) < 2_300
    assert all(character.isprintable() for character in str(caught.value))
    assert "end" not in str(caught.value).split(" ... ")[0]
