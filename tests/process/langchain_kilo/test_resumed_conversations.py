"""Test that another process resumes a conversation that LangGraph keeps in SQLite."""

import asyncio
import json
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from kilo_gateway.sandbox import Sandbox
from kilo_gateway.sandbox.gateway.records import Record
from tests.process.langchain_kilo import travel_agent
from tests.support.bodies import sent_back

ROOT = Path(__file__).resolve().parents[3]
THREAD = "customer-4711-zoe@example.com"
SEARCH = "Zoë asks: find_trains to the city 'Malmö', and tell_time please."
BOOK = "Call book_room in the city 'Malmö' for 3 nights."
AGAIN = "Now find_trains to the city 'Tromsø'."


def answer_to(record: Record, base_url: str) -> dict[str, Any]:
    """Return the sandbox's answer to a recorded request; the sandbox always gives the same answer."""
    body = json.dumps({**record.json, "stream": False}).encode()
    url = f"{base_url}/chat/completions"
    request = urllib.request.Request(url, body, {"content-type": "application/json"})  # noqa: S310 -- the sandbox
    with urllib.request.urlopen(request) as answer:  # noqa: S310 -- the sandbox
        message: dict[str, Any] = json.load(answer)["choices"][0]["message"]
    return message


def resumed(way: str, *arguments: str) -> list[str]:
    command = [sys.executable, "-W", "error", "-m", "tests.process.langchain_kilo.travel_agent", way, *arguments]
    result = subprocess.run(command, capture_output=True, check=False, cwd=ROOT, encoding="utf-8")
    assert result.returncode == 0, result.stderr
    pieces: list[str] = json.loads(result.stdout)
    return pieces


@pytest.mark.parametrize("way", ["sync", "async"])
def test_another_process_resumes_a_conversation(kilo_sandbox: Sandbox, tmp_path: Path, way: str) -> None:
    here = (kilo_sandbox.base_url, str(tmp_path / "memory.sqlite"), THREAD)
    if way == "sync":
        travel_agent.answer(*here, SEARCH)
        travel_agent.stream(*here, BOOK)
    else:
        asyncio.run(travel_agent.aanswer(*here, SEARCH))
        asyncio.run(travel_agent.astream(*here, BOOK))
    before = kilo_sandbox.requests
    pieces = resumed(way, *here, AGAIN)
    requests = kilo_sandbox.requests
    assert [len(before), len(requests)] == [4, 6]
    assert [record.json["stream"] for record in requests] == [False, False, True, True, True, True]
    assert "find_trains returned: Trains to Tromsø: 08:15, 12:40" in "".join(pieces)

    sent = requests[-1].json["messages"]
    roles = "user assistant tool tool assistant user assistant tool assistant user assistant tool"
    assert [message["role"] for message in sent] == roles.split()
    # The history stays the same from request to request, for both processes.
    for record in requests:
        assert sent[: len(record.json["messages"])] == record.json["messages"]
    said = [message for message in sent if message["role"] == "assistant"]
    for message, record in zip(said, requests, strict=False):
        expected = answer_to(record, kilo_sandbox.base_url)
        details = message["reasoning_details"]
        assert [detail["type"].partition(".")[2] for detail in details] == ["text", "encrypted", "summary"]
        streamed = record.json["stream"]  # in a stream, the order of an object's members may differ
        # The id of an item that is not stored stays here (docs/gateway.md, "Responses").
        answered = json.dumps(sent_back(expected["reasoning_details"]), sort_keys=streamed)
        assert json.dumps(details, sort_keys=streamed) == answered
        assert (message["content"] or "") == (expected["content"] or "")
    calls = [call["id"] for message in said for call in message.get("tool_calls", ())]
    assert calls == [message["tool_call_id"] for message in sent if message["role"] == "tool"]
    assert len(set(calls)) == 4

    tasks = {record.headers["x-kilocode-taskid"] for record in requests}
    assert len(tasks) == 1
    for record in requests:
        request = f"{record.path} {record.query} {dict(record.headers)} {record.body.decode()}"
        assert "customer" not in request
        assert "zoe@" not in request
