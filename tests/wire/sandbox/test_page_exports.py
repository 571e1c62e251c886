"""Test what the page copies and saves: the command and the programs run, and the cassette replays."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import vcr
import yaml

from kilo_gateway import KiloRateLimitError
from kilo_gateway.sandbox import Sandbox
from langchain_kilo import ChatKilo
from llama_index_kilo import KiloLLM
from tests.support.plain_client import CHAT, PATHS, chat, post, request

Json = dict[str, Any]
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
ODD = "It's \"$HOME\" `id` \\ {call}\n'''; éß 😀"
CHAT_TOOL = {"type": "function", "function": {"name": "add", "description": "Add.", "parameters": SCHEMA}}

BODIES: dict[str, Json] = {
    "completions": {
        "model": "kilo-auto/frontier",
        "messages": [
            {"role": "system", "content": "Be short."},
            {"role": "user", "content": ODD},
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 2}'}}],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "5"},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Look"},
                    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
                ],
            },
        ],
        "tools": [CHAT_TOOL],
        "tool_choice": "auto",
        "temperature": 0.5,
        "stop": ["END"],
        "top_k": 3,
    },
    "responses": {
        "model": "openai/gpt-5.4",
        "input": [
            {"type": "message", "role": "system", "content": "Be short."},
            {"type": "message", "role": "user", "content": ODD},
            {"type": "function_call", "call_id": "c1", "name": "add", "arguments": '{"a": 2}'},
            {"type": "function_call_output", "call_id": "c1", "output": "5"},
            {"type": "message", "role": "user", "content": "And?"},
        ],
        "tools": [{"type": "function", "name": "add", "description": "Add.", "parameters": SCHEMA}],
        "max_output_tokens": 900,
        "text": {"verbosity": "low"},
    },
    "messages": {
        "model": "anthropic/claude-sonnet-4.6",
        "max_tokens": 900,
        "system": [{"type": "text", "text": "Be short."}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": ODD}]},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": "add", "input": {"a": 2}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "5"}]},
        ],
        "tools": [{"name": "add", "description": "Add.", "input_schema": SCHEMA}],
        "tool_choice": {"type": "auto"},
        "stop_sequences": ["END"],
    },
}


def export(gateway: Sandbox, form: str, number: int | None = None) -> str:
    answer = request(gateway, "GET", f"/page/requests/{number or gateway.last.number}/{form}")
    assert answer.status == 200, answer.data
    return answer.data.decode()


def plain(value: Any) -> Any:
    """Return a body without what one client writes and another leaves out."""
    if isinstance(value, dict):
        left = {
            k: plain(v) for k, v in value.items() if k not in ("stream", "stream_options", "store", "include", "strict")
        }
        if set(left) == {"type", "text"} and left["type"] == "text":
            return left["text"]
        return {name: inner for name, inner in left.items() if inner not in (None, "", [])}
    if isinstance(value, list):
        items = [plain(item) for item in value]
        return items[0] if len(items) == 1 and isinstance(items[0], str) else items
    return value.replace(": ", ":") if isinstance(value, str) and value.startswith("{") else value


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("form", ["langchain", "llama_index"])
@pytest.mark.parametrize("api", BODIES)
def test_the_program_sends_the_same_request(
    gw: Sandbox, api: str, form: str, stream: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    headers = {
        "x-kilocode-mode": "plan",
        "x-kilocode-taskid": "trip",
        "x-kilocode-projectid": "p",
        "x-kilocode-feature": "f",
    }
    post(gw, PATHS[api], {**BODIES[api], "stream": stream}, gw.api_key, headers)
    code = export(gw, form)
    assert gw.api_key not in code
    assert "Left out" not in code
    first = gw.last
    monkeypatch.setenv("KILO_API_KEY", gw.api_key)
    exec(compile(code, form, "exec"), {"__name__": "__main__"})  # noqa: S102 -- the program of the page
    second = gw.last
    assert second is not first
    assert second.status == 200
    assert plain(second.json) == plain(first.json)
    assert second.json.get("stream", False) is stream
    sent = ("authorization", *headers)
    assert [second.headers[name] for name in sent] == [first.headers[name] for name in sent]
    assert capsys.readouterr().out.strip()


@pytest.mark.parametrize("form", ["langchain", "llama_index"])
def test_a_program_without_a_key_stays_without_one(gw: Sandbox, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    chat(gw, "kilo-auto/free", "Hi", key=None)
    monkeypatch.setenv("KILO_API_KEY", gw.api_key)
    exec(compile(export(gw, form), form, "exec"), {"__name__": "__main__"})  # noqa: S102 -- the program of the page
    assert len(gw.requests) == 2
    assert "authorization" not in gw.last.headers


def test_a_program_names_what_it_leaves_out(gw: Sandbox) -> None:
    thought = {"role": "assistant", "content": "5", "reasoning": "I add."}
    sound = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
    named = {
        "role": "user",
        "name": "Ann",
        "content": [{"type": "text", "text": "2+3", "cache_control": {"type": "a"}}],
    }
    messages = [named, thought, {"role": "user", "content": [sound]}]
    post(gw, CHAT, {"model": "sandbox/echo", "messages": messages}, gw.api_key)
    assert export(gw, "langchain").splitlines()[0] == (
        "# Left out: cache marks, names of messages, reasoning, input_audio."
    )


@pytest.mark.parametrize(("method", "path"), [("GET", "/api/gateway/models"), ("POST", "/api/gateway/embeddings")])
def test_other_requests_are_no_programs(gw: Sandbox, method: str, path: str) -> None:
    request(gw, method, path, b'{"model":"mistral-embed-2312","input":"a"}' if method == "POST" else None)
    answer = request(gw, "GET", f"/page/requests/{gw.last.number}/langchain")
    assert answer.status == 409
    assert b"Only a chat request" in answer.data


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("api", BODIES)
def test_the_command_sends_the_same_request(gw: Sandbox, api: str) -> None:
    headers = {"x-kilocode-mode": "pl'an", "x-kilocode-organizationid": gw.organization_id}
    post(gw, PATHS[api], BODIES[api], gw.api_key, headers)
    command, first = export(gw, "curl"), gw.last
    assert gw.api_key not in command
    assert gw.organization_id not in command
    environment = {**os.environ, "KILO_API_KEY": gw.api_key, "KILO_ORG_ID": gw.organization_id, "no_proxy": "*"}
    done = subprocess.run(["/bin/sh", "-c", command], env=environment, capture_output=True, check=True)
    second = gw.last
    assert second is not first
    assert (second.body, second.path, second.account) == (first.body, first.path, "rich")
    assert second.headers["x-kilocode-mode"] == "pl'an"
    assert second.organization_id == gw.organization_id
    assert done.stdout


def test_a_body_that_no_command_can_contain_is_refused(gw: Sandbox) -> None:
    for body in (b"\xff\xfe", b"a\0b"):
        request(gw, "POST", CHAT, body)
        assert request(gw, "GET", f"/page/requests/{gw.last.number}/curl").status == 409


def replayed(path: Path) -> Any:
    return vcr.use_cassette(str(path), record_mode="none", match_on=["method", "uri", "body"])


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("api", PATHS)
def test_a_cassette_replays_in_both_frameworks(gw: Sandbox, tmp_path: Path, api: Any, stream: bool) -> None:
    question = "Say 'žába 😀'\u2028and nothing else."
    llm = ChatKilo(tier="frontier", mode="plan", api=api, base_url=gw.base_url, api_key=gw.api_key)
    said = "".join(chunk.text for chunk in llm.stream(question)) if stream else llm.invoke(question).text
    (tmp_path / "saved.yaml").write_text(export(gw, "cassette"), encoding="utf-8")
    gw.clear()
    with replayed(tmp_path / "saved.yaml") as cassette:
        llm = ChatKilo(tier="frontier", mode="plan", api=api, api_key="another-key")
        again = "".join(chunk.text for chunk in llm.stream(question)) if stream else llm.invoke(question).text
        assert cassette.play_count == 1
    assert again == said
    if api == "completions":  # LlamaIndex sends the same body here
        with replayed(tmp_path / "saved.yaml"):
            answer = KiloLLM(tier="frontier", mode="plan").stream_complete(question) if stream else None
            text = list(answer)[-1].text if answer else KiloLLM(tier="frontier", mode="plan").complete(question).text
        assert text == said
    assert gw.requests == ()


def test_a_cassette_says_where_it_is_from_and_has_no_secret(gw: Sandbox) -> None:
    chat(
        gw,
        "sandbox/echo",
        f"My key is {gw.api_key}",
        headers={"cookie": "a=cookie-of-the-caller", "x-other": "other-value"},
    )
    text = export(gw, "cassette")
    (exchange,) = yaml.safe_load(text)["interactions"]
    assert exchange["response"]["headers"]["Recorded-From"] == ["kilo-gateway sandbox"]
    assert exchange["request"]["uri"] == "https://api.kilo.ai/api/gateway/chat/completions"
    assert set(exchange["request"]["headers"]) <= {"content-type", "accept"}
    assert not [secret for secret in (gw.api_key, "cookie-of-the-caller", "other-value") if secret in text]


def test_errors_replay_as_errors(gw: Sandbox, tmp_path: Path) -> None:
    with pytest.raises(KiloRateLimitError):
        ChatKilo(model="sandbox/error-429", base_url=gw.base_url, max_retries=0).invoke("Hi")
    (tmp_path / "saved.yaml").write_text(export(gw, "cassette"), encoding="utf-8")
    with replayed(tmp_path / "saved.yaml"), pytest.raises(KiloRateLimitError):
        ChatKilo(model="sandbox/error-429", max_retries=0).invoke("Hi")


@pytest.mark.parametrize(
    "body", [b"\xff\x00binary", "tab\t nul\0 quote\" ' \x85 \ufeff \u2029 😀".encode(), b"- a: *b"]
)
def test_any_bytes_survive_in_a_cassette(gw: Sandbox, body: bytes) -> None:
    request(gw, "POST", CHAT, body)
    sent = yaml.safe_load(export(gw, "cassette"))["interactions"][0]["request"]["body"]
    assert (sent if isinstance(sent, bytes) else sent.encode()) == body


def test_half_an_answer_is_no_cassette(gw: Sandbox) -> None:
    chat(gw, "sandbox/drop-connection", stream=True)
    answer = request(gw, "GET", f"/page/requests/{gw.last.number}/cassette")
    assert answer.status == 409
    assert b"not complete" in answer.data
