"""Test the server's part of the page: its files, its data, the events, and who may read them."""

import http.client
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import kilo_gateway.sandbox.page as page_package
from kilo_gateway.sandbox import Sandbox
from tests.support.in_process import InProcess
from tests.support.plain_client import CHAT, chat, post, request

Json = dict[str, Any]
FILES = ("/", "/page/style.css", "/page/page.js")


class Reader:
    """A reader of the event stream, as the browser's EventSource is one."""

    def __init__(self, gateway: Sandbox, last_id: str = "") -> None:
        self.last_id = last_id
        self._connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=10)
        self._connection.request("GET", "/page/events", headers={"Last-Event-ID": last_id} if last_id else {})
        self.answer = self._connection.getresponse()

    def next(self) -> tuple[str, Json]:
        fields: dict[str, str] = {}
        while (line := self.answer.readline().decode().rstrip("\n")) or "data" not in fields:  # a comment has no data
            name, _, value = line.partition(": ")
            fields[name] = value
        self.last_id = fields["id"]
        return fields["event"], json.loads(fields["data"])

    def rows_until(self, number: int, state: str = "ok") -> dict[int, Json]:
        """Return the rows of all events up to the one in which the request `number` has the state `state`."""
        rows: dict[int, Json] = {}
        while rows.get(number, {}).get("state") != state:
            kind, data = self.next()
            assert kind == "rows"
            rows |= {row["number"]: row for row in data["rows"]}
        return rows

    def close(self) -> None:
        self.answer.close()
        self._connection.close()


@contextmanager
def reading(gateway: Sandbox, last_id: str = "") -> Iterator[Reader]:
    reader = Reader(gateway, last_id)
    try:
        yield reader
    finally:
        reader.close()


@pytest.fixture
def gw() -> Iterator[Sandbox]:
    with Sandbox() as gateway:
        yield gateway


def test_the_page_is_small_and_names_no_other_host() -> None:
    folder = Path(page_package.__file__).parent
    texts = [(folder / name).read_text(encoding="utf-8") for name in ("index.html", "style.css", "page.js")]
    lines = [line for text in texts for line in text.splitlines()]
    assert len(lines) < 600
    assert max(map(len, lines)) <= 120
    assert not [line for line in lines if "://" in line or "innerHTML" in line]


@pytest.mark.parametrize("path", FILES)
def test_files_come_with_a_strict_policy_and_no_cors(path: str) -> None:
    gateway = InProcess()
    answer = request(gateway, "GET", path, headers={"host": "127.0.0.1:8787"})
    assert answer.status == 200
    policy = answer.headers["content-security-policy"]
    assert policy.startswith(
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:"
    )
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert not [name for name in answer.headers if name.startswith("access-control-")]
    assert gateway.requests == ()  # a request to the page is not one to the gateway


def test_the_address_of_the_page(gw: Sandbox) -> None:
    assert gw.page_url == f"http://127.0.0.1:{gw.port}/"


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({"host": "127.0.0.1:80"}, True),
        ({"host": "127.0.0.1:80", "origin": "http://127.0.0.1:80", "sec-fetch-site": "same-origin"}, True),
        ({"host": "evil.example"}, False),
        ({"host": "127.0.0.1:80", "origin": "https://evil.example"}, False),
        ({"host": "127.0.0.1:80", "origin": "http://127.0.0.1:3000"}, False),
        ({"host": "127.0.0.1:80", "sec-fetch-site": "cross-site"}, False),
        ({"host": "127.0.0.1:80", "sec-fetch-site": "same-site"}, False),
    ],
)
def test_only_the_page_reads_its_data(headers: dict[str, str], allowed: bool) -> None:
    gateway = InProcess()
    chat(gateway, "sandbox/echo", "a private question")
    for method, path in (("GET", "/page/requests/1"), ("GET", "/page/search?text=question"), ("POST", "/page/clear")):
        answer = request(gateway, method, path, headers=headers)
        assert (answer.status == 200) is allowed
        assert answer.status in (200, 403)
        assert allowed or b"question" not in answer.data
    assert len(gateway.requests) == (0 if allowed else 1)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/page/requests/2", 404),
        ("GET", "/page/requests/-1", 404),
        ("GET", "/page/requests/one", 404),
        ("GET", f"/page/requests/{'9' * 5000}", 404),
        ("GET", "/page/requests/1/nothing", 404),
        ("GET", "/page/requests/1/compare?with=2", 404),
        ("GET", "/page/other", 404),
        ("GET", "/page/../app.py", 404),
        ("GET", "/favicon.ico", 404),
        ("POST", "/", 405),
        ("DELETE", "/page/requests/1", 405),
    ],
)
def test_other_paths_are_refused(method: str, path: str, status: int) -> None:
    gateway = InProcess()
    chat(gateway, "sandbox/echo")
    assert request(gateway, method, path).status == status


def test_events_bring_each_request_and_its_end(gw: Sandbox) -> None:
    with reading(gw) as reader:
        assert reader.answer.headers["content-type"] == "text/event-stream"
        assert reader.next() == ("reset", {"source": "Answers of the sandbox"})
        chat(gw, "kilo-auto/frontier", headers={"x-kilocode-mode": "plan"}, stream=True)
        row = reader.rows_until(1)[1]
    assert (row["requested"], row["tier"], row["mode"]) == ("kilo-auto/frontier", "frontier", "plan")
    assert row["cost"] > 0


def test_a_stream_under_way_is_reported_before_its_end(gw: Sandbox) -> None:
    with reading(gw) as reader:
        reader.next()
        connection = http.client.HTTPConnection("127.0.0.1", gw.port, timeout=10)
        connection.request("POST", CHAT, json.dumps({"model": "sandbox/stall", "stream": True, "messages": []}))
        stream = connection.getresponse()
        assert stream.readline()
        row = reader.rows_until(1, "running")[1]
        while row["writes"] < 3:
            row = reader.rows_until(1, "running")[1]
        connection.close()
        stream.close()
        assert reader.rows_until(1, "left")[1]["label"]["status"] == "Client left"


def test_a_reader_that_returns_gets_what_it_has_missed_and_nothing_else(gw: Sandbox) -> None:
    with reading(gw) as reader:
        reader.next()
        chat(gw, "sandbox/echo", "one")
        reader.rows_until(1)
    chat(gw, "sandbox/echo", "two")
    chat(gw, "sandbox/echo", "three")
    with reading(gw, reader.last_id) as again:
        assert list(again.rows_until(3)) == [2, 3]
    with reading(gw) as reloaded:
        assert reloaded.next()[0] == "reset"
        assert list(reloaded.rows_until(3)) == [1, 2, 3]


@pytest.mark.parametrize("last_id", ["", "another-sandbox.7", "nonsense", ".", f"a.{'9' * 5000}"])
def test_a_reader_of_another_log_starts_again(gw: Sandbox, last_id: str) -> None:
    chat(gw, "sandbox/echo")
    with reading(gw, last_id) as reader:
        assert reader.next()[0] == "reset"
        assert reader.rows_until(1)[1]["requested"] == "sandbox/echo"


def test_clear_is_reported_to_every_reader(gw: Sandbox) -> None:
    chat(gw, "sandbox/echo")
    with reading(gw) as one, reading(gw) as other:
        for reader in (one, other):
            reader.next()
            reader.rows_until(1)
        assert request(gw, "POST", "/page/clear").status == 200
        assert [reader.next()[0] for reader in (one, other)] == ["reset", "reset"]
        assert gw.requests == ()
        chat(gw, "sandbox/echo")
        assert list(other.rows_until(2)) == [2]


def test_many_requests_arrive_in_batches(gw: Sandbox) -> None:
    threads = [threading.Thread(target=lambda: [chat(gw, "sandbox/echo") for _ in range(60)]) for _ in range(5)]
    with reading(gw) as reader:
        reader.next()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        rows: dict[int, Json] = {}
        while len(rows) < 300 or any(row["state"] == "running" for row in rows.values()):
            data = reader.next()[1]
            assert len(data["rows"]) <= 200
            rows |= {row["number"]: row for row in data["rows"]}
    assert sorted(rows) == list(range(1, 301))


def test_requests_that_are_no_longer_kept_leave_the_page() -> None:
    with Sandbox(keep=2) as gateway, reading(gateway) as reader:
        reader.next()
        for _ in range(4):
            chat(gateway, "sandbox/echo")
        data: Json = {}
        while data.get("first") != 3 or data["rows"][-1]["number"] != 4:
            data = reader.next()[1]
        assert request(gateway, "GET", "/page/requests/2").status == 404


def test_a_sandbox_with_readers_stops_at_once() -> None:
    gateway = Sandbox().start()
    with reading(gateway) as reader:
        reader.next()
        begun = time.monotonic()
        gateway.stop()
        assert time.monotonic() - begun < 4  # stop() waits five seconds for a server that does not end
        assert reader.answer.read() == b""


def test_no_secret_reaches_the_page(gw: Sandbox) -> None:
    secrets = {
        "x-api-key": "api-key-of-the-caller",
        "cookie": "session=cookie-of-the-caller",
        "x-kilocode-organizationid": gw.organization_id,
        "x-team-secret": "header-of-the-team",
    }
    said = f"My keys are {gw.api_key} and {', '.join(secrets.values())}, at ?api_key=key-of-the-query"
    with reading(gw) as reader:
        reader.next()
        path = f"{CHAT}?api_key=key-of-the-query"
        for stream in (False, True):
            messages = [{"role": "user", "content": said}]
            body = {"model": "sandbox/echo", "stream": stream, "messages": messages, "user": gw.api_key}
            post(gw, path, body, gw.api_key, secrets)
        rows = reader.rows_until(2)
    forms = [
        request(gw, "GET", f"/page/requests/2{form}").data.decode() for form in ("", "/curl", "/langchain", "/cassette")
    ]
    forms += [request(gw, "GET", "/page/requests/1/compare?with=2").data.decode(), json.dumps(list(rows.values()))]
    assert "My keys are [hidden] and" in forms[0]
    for secret in (gw.api_key, *secrets.values(), "cookie-of-the-caller", "key-of-the-query"):
        assert not [form for form in forms if secret in form], secret
        assert request(gw, "GET", f"/page/search?text={secret}").json == []
    assert request(gw, "GET", "/page/search?text=my+keys").json == [1, 2]


def test_a_failure_of_the_sandbox_leaves_the_log_empty(gw: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    for path in (*FILES, "/page/requests/1", "/page/search?text="):
        request(gw, "GET", path)
    reader = Reader(gw)
    reader.next()
    reader.close()
    chat(gw, "sandbox/echo")
    assert caplog.records == []
