"""Test the commands of `kilo-gateway` with the sandbox: their output, requests and exit status."""

import io
import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from kilo_gateway import __version__, list_models
from kilo_gateway.cli import shell
from kilo_gateway.cli.app import cli
from kilo_gateway.cli.verify import show
from kilo_gateway.models import store
from kilo_gateway.sandbox import Sandbox
from kilo_gateway.sandbox.scenarios import SCENARIOS
from kilo_gateway.verify import verify

ORGANIZATION = "0b7cc6f2-6d0b-4c3e-9a53-0d1de1d0a7b5"


@pytest.fixture(autouse=True)
def _address(kilo_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KILO_BASE_URL", kilo_sandbox.base_url)


def run(*arguments: str, key: str | None = None, **options: Any) -> Result:
    environment = {"KILO_API_KEY": key, **options.pop("env", {})}
    return CliRunner().invoke(cli, arguments, env=environment, **options)


def test_models_that_match(kilo_sandbox: Sandbox) -> None:
    result = run("models", "--free", "--tools")
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    catalog = list_models(base_url=kilo_sandbox.base_url).filter(free=True, tools=True)
    assert [line.split()[0] for line in lines[1:-1]] == catalog.ids
    assert "kilo-auto/free" in catalog.ids
    assert lines[-1].startswith(f"{len(catalog)} models")
    assert len(kilo_sandbox.requests) == 1  # the second list comes from the disk
    run("models", "--refresh")
    assert len(kilo_sandbox.requests) == 2


def test_models_as_json() -> None:
    arguments = ["--paid", "--vision", "--structured-outputs", "--reasoning", "--no-training", "--sort", "prompt_price"]
    limits = ["--vendor", "anthropic", "--vendor", "openai", "--min-context", "300000", "--max-price", "4"]
    models = json.loads(run("models", "--json", *arguments, *limits).stdout)
    assert {model["vendor"] for model in models} == {"anthropic", "openai"}
    prices = [model["prompt_price"] for model in models]
    assert prices == sorted(prices)
    assert max(prices) <= 4
    assert all(model["context_length"] >= 300_000 and not model["free"] for model in models)
    [sonnet] = json.loads(run("models", "SONNET", "--json").stdout)
    assert (sonnet["id"], sonnet["completion_price"]) == ("anthropic/claude-sonnet-4.6", 15.0)
    assert run("models", "no-such", "--json").stdout.strip() == "[]"


def test_no_id_is_cut_in_a_narrow_terminal(kilo_sandbox: Sandbox) -> None:
    output = io.StringIO()
    Console(width=80, height=1000, file=output).print(list_models(base_url=kilo_sandbox.base_url))
    drawn = output.getvalue()
    assert "\u2026" not in drawn
    assert "1,000,000" in drawn
    assert all(word in drawn.split() for word in ("train", "prompts", "reasoning"))


def test_tiers() -> None:
    result = run("tiers")
    rows = [line.split("\t") for line in result.stdout.splitlines()]
    assert ["free", "any", "any", "a free model, chosen for each conversation", "nothing"] in rows
    assert ["frontier", "build, explore, code", "any", "anthropic/claude-sonnet-4.6", "account and credits"] in rows
    assert {row[2]: row[3] for row in rows if row[0] == "balanced"} == {
        "completions": "qwen/qwen3.6-plus",
        "responses": "openai/gpt-5.5",
        "messages": "anthropic/claude-sonnet-4.6",
    }
    assert "mid-2026" in result.stderr
    live = run("tiers", "--live")
    live_rows = {line.split("\t")[0]: line.split("\t")[1:] for line in live.stdout.splitlines()}
    assert live_rows["frontier"] == [
        "1000000",
        "by the model that serves",
        "anthropic/claude-opus-4.7, anthropic/claude-sonnet-4.6",
    ]
    assert live_rows["free"][1] == "free"
    assert "not in the gateway's list" in live_rows["org"][2]


def test_chat(kilo_sandbox: Sandbox) -> None:
    key = kilo_sandbox.api_key
    result = run("chat", "Plan a garden", "--tier", "frontier", "--mode", "plan", "--system", "Be short.", key=key)
    assert result.exit_code == 0
    assert "Draw the garden to scale" in result.stdout
    assert re.fullmatch(r"anthropic/claude-opus-4\.7, \d+ \+ \d+ tokens, 0\.\d{6} USD\n", result.stderr)
    sent = kilo_sandbox.last
    assert (sent.json["model"], sent.json["stream"], sent.headers["x-kilocode-mode"]) == (
        "kilo-auto/frontier",
        True,
        "plan",
    )
    assert [message["role"] for message in sent.json["messages"]] == ["system", "user"]
    whole = run("chat", "-", "--no-stream", "--max-tokens", "5", "--model", "openai/gpt-5.4", key=key, input="Hi there")
    assert whole.exit_code == 0
    sent = kilo_sandbox.last
    assert (sent.json["stream"], sent.json["max_tokens"]) == (False, 5)
    assert sent.json["messages"] == [{"role": "user", "content": "Hi there"}]
    assert whole.stderr.endswith(", ended by length\n")


@pytest.mark.parametrize(
    ("arguments", "piped", "asked"),
    [
        ((), "What is this?\n", "What is this?"),
        (("Summarise this",), "A long report.\n", "Summarise this\n\nA long report."),
        (("Hi",), "", "Hi"),
    ],
)
def test_a_pipe_is_read(kilo_sandbox: Sandbox, arguments: tuple[str, ...], piped: str, asked: str) -> None:
    assert run("chat", *arguments, input=piped).exit_code == 0
    assert kilo_sandbox.last.json["messages"] == [{"role": "user", "content": asked}]


def test_a_conversation_goes_on(kilo_sandbox: Sandbox) -> None:
    key = kilo_sandbox.api_key
    assert "ask a first question without --continue" in run("chat", "And?", "--continue").stderr
    arguments = ["--model", "openai/gpt-5.4", "--temperature", "0.5", "--system", "Be short."]
    answer = run("chat", "Name a river.", *arguments, key=key).stdout.strip()
    before = kilo_sandbox.last.json
    assert before["temperature"] == 0.5
    again = run("chat", "And a lake?", "--continue", key=key)
    assert again.exit_code == 0
    sent = kilo_sandbox.last.json
    assert sent["model"] == "openai/gpt-5.4"
    added = [{"role": "assistant", "content": answer}, {"role": "user", "content": "And a lake?"}]
    assert sent["messages"] == [*before["messages"], *added]
    run("chat", "And a sea?", "--continue", "--tier", "frontier", key=key)
    assert (kilo_sandbox.last.json["model"], len(kilo_sandbox.last.json["messages"])) == ("kilo-auto/frontier", 6)
    assert "--system belongs to the first question" in run("chat", "Hi", "--continue", "--system", "x").stderr
    kept = store.folder() / "conversation.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert key not in kept.read_text(encoding="utf-8")


def test_an_answer_that_breaks_off_is_not_kept(kilo_sandbox: Sandbox) -> None:
    run("chat", "Name a river.")
    broken = run("chat", "And a lake?", "--continue", "--model", "sandbox/drop-connection")
    assert broken.exit_code == 1
    assert broken.stdout.endswith("\n")
    assert broken.stderr.startswith("Error: The stream ended before the answer was complete")
    run("chat", "And a sea?", "--continue")
    asked = [message["content"] for message in kilo_sandbox.last.json["messages"] if message["role"] == "user"]
    assert asked == ["Name a river.", "And a sea?"]


def test_a_conversation_that_cannot_be_kept(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = run("chat", "Hi", env={"KILO_CACHE_DIR": str(tmp_path / "file")})
    assert result.exit_code == 0
    assert "Hello!" in result.stdout
    assert "Note: --continue will not find this conversation" in result.stderr


def test_a_warning_names_options() -> None:
    shown = shell.in_shell("mode='plan' is ignored by kilo-auto/free; only tier='frontier' chooses the model by it")
    assert shown == "--mode plan is ignored by kilo-auto/free; only --tier frontier chooses the model by it"


def test_in_a_terminal_errors_fit_its_width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "40")
    text = "Set KILO_API_KEY (sign in at https://app.kilo.ai), or use --tier free, which needs no key."
    lines = shell.wrapped(text).splitlines()
    assert " ".join(lines) == text
    assert all(len(line) <= 40 - len("Error: ") for line in lines)


@pytest.mark.parametrize(("width", "as_table"), [(40, False), (100, True)])
def test_rows_break_no_word_in_a_terminal(
    width: int, as_table: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", str(width))
    rows = [("", "frontier", "anthropic/claude-opus-4.7", ""), ("note", "small", "google/gemma-4-26b-a4b-it:free", "x")]
    shell.show_rows(("", "Tier", "Model", "Mark"), rows)
    lines = click.unstyle(capsys.readouterr().out).splitlines()
    assert all(len(line) <= width for line in lines)
    assert {word for row in rows for word in row if word} <= set(" ".join(lines).split())
    assert ("Model: anthropic/claude-opus-4.7" not in " ".join(lines)) is as_table


def test_models_in_a_narrow_terminal(kilo_sandbox: Sandbox) -> None:
    output = io.StringIO()
    Console(width=40, height=1000, file=output).print(list_models(base_url=kilo_sandbox.base_url))
    lines = output.getvalue().splitlines()
    place = lines.index("anthropic/claude-sonnet-4.6")
    assert lines[place + 1 : place + 3] == ["  1,000,000 context, 64,000 output", "  3 in, 15 out, USD/M"]
    assert all(len(line) <= 40 for line in lines)


def test_control_characters_are_escaped(kilo_sandbox: Sandbox) -> None:
    result = run("chat", "repeat \x1b[2J please")
    assert "\x1b" in json.dumps(kilo_sandbox.last.json, ensure_ascii=False).replace("\\u001b", "\x1b")
    assert "\x1b" not in result.output


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["chat", "Hi", "--tier", "frontier"], 1, "Set KILO_API_KEY (sign in at"),
        (["chat", "Hi", "--tier", "frontier"], 1, ", or use --tier free, which needs no key."),
        (["chat", "Hi", "--model", "sandbox/error-404"], 1, "sandbox/error-404"),
        (["chat", "Hi", "--tier", "frontir"], 2, "--tier: unknown tier 'frontir'"),
        (["chat", "Hi", "--tier", "frontir"], 2, "did you mean 'frontier'"),
        (["chat", "Hi", "--model", "a/b", "--tier", "free"], 2, "exclude each other"),
        (["chat", "Hi", "--deny-data-collection"], 1, "or drop --deny-data-collection"),
        (["models", "no-such-model"], 1, "none of the 25 models fits"),
        (["models", "--max-price", "cheap"], 2, "'cheap' is not a number of USD"),
        (["models", "--sort", "prize"], 2, "'prize' is not a field of a model"),
        (["chat"], 2, "Missing argument 'TEXT'"),
        (["modles"], 2, "No such command 'modles'"),
    ],
)
def test_errors_are_one_sentence(arguments: list[str], status: int, message: str) -> None:
    result = run(*arguments)
    assert result.exit_code == status
    assert message in result.stderr
    assert "Traceback" not in result.output
    assert result.stdout == ""


def test_denied_data_collection_is_sent(kilo_sandbox: Sandbox) -> None:
    run("chat", "Hi", "--deny-data-collection")
    assert kilo_sandbox.last.json["provider"] == {"data_collection": "deny"}


def rows_of(result: Result) -> dict[str, tuple[str, str]]:
    rows = (line.split("\t") for line in result.stdout.splitlines())
    return {subject: (mark, details) for mark, subject, details in rows}


@pytest.mark.parametrize(
    ("key", "environment", "status", "details"),
    [
        (None, {}, 0, "none: tier free"),
        ("public", {}, 0, "none: tier free"),
        (Sandbox.api_key, {}, 0, "the key is accepted; its keys, credits and usage: https://app.kilo.ai/profile"),
        (Sandbox.poor_api_key, {}, 0, "accepted, without a balance: add credits at https://"),
        ("s3cr3t-key", {}, 1, "make a new key"),
        (Sandbox.api_key, {"KILO_ORG_ID": ORGANIZATION}, 1, "took the call as anonymous"),
        (Sandbox.member_api_key, {"KILO_ORG_ID": Sandbox.organization_id}, 0, "the key is accepted"),
    ],
)
def test_doctor(kilo_sandbox: Sandbox, key: str | None, environment: dict[str, str], status: int, details: str) -> None:
    result = run("doctor", key=key, env=environment)
    rows = rows_of(result)
    assert result.exit_code == status
    assert details in rows["account"][1]
    assert rows["account"][0] == ("FAIL" if status else "note" if key == Sandbox.poor_api_key else "ok")
    assert f"kilo-gateway {__version__}" in rows["versions"][1]
    assert rows["base URL"] == ("ok", f"{kilo_sandbox.base_url} (KILO_BASE_URL)")
    assert "answers, with 25 models" in rows["gateway"][1]
    secrets = [secret for secret in (key, *environment.values()) if secret not in (None, "public")]
    assert not any(secret in result.output for secret in secrets)
    # No request reaches a model, so nothing is spent.
    assert all(record.status != 200 for record in kilo_sandbox.requests if record.method == "POST")


def test_doctor_in_a_bad_environment(tmp_path: Path) -> None:
    away = run("doctor", key="key", env={"KILO_BASE_URL": "http://127.0.0.1:9/api/gateway"})
    assert away.exit_code == 1
    assert rows_of(away)["gateway"][0] == "FAIL"
    assert "account" not in rows_of(away)
    bad = run("doctor", env={"KILO_ORG_ID": "s3cr3t"})
    assert bad.exit_code == 1
    assert "is not a UUID" in rows_of(bad)["organization_id"][1]
    assert "s3cr3t" not in bad.output
    odd = run("doctor", env={"KILO_BASE_URL": "http://127.0.0.1:9/v1", "HTTPS_PROXY": "http://user:s3cr3t@127.0.0.1:9"})
    assert "note\tbase URL\tit does not end in /api/gateway" in odd.output
    assert "set in HTTPS_PROXY" in odd.output
    assert "s3cr3t" not in odd.output


def test_the_sandbox() -> None:
    listed = run("sandbox", "--list")
    assert listed.exit_code == 0
    assert len(listed.stdout.splitlines()) == len(SCENARIOS)
    assert "--era" in run("sandbox", "--help").stdout
    assert run("sandbox", "--era", "E9").exit_code == 2


def test_help_names_the_commands() -> None:
    text = run("--help").stdout
    for name in ("models", "tiers", "chat", "sandbox", "doctor", "KILO_API_KEY", "Exit status", "--free --tools"):
        assert name in text
    assert run("models", "-h").exit_code == 0
    assert __version__ in run("--version").stdout


def test_the_version_needs_no_client() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "kilo_gateway", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"kilo-gateway, version {__version__}\n"
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "click" in imported
    assert not imported & {"openai", "httpx", "httpx2"}


def test_as_a_process(kilo_sandbox: Sandbox) -> None:
    environment = {**os.environ, "KILO_API_KEY": ""}
    command = [sys.executable, "-m", "kilo_gateway", "chat", "Hi"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, input="")
    assert (done.returncode, "Hello!" in done.stdout) == (0, True)
    notice, cost = done.stderr.splitlines()
    assert notice.startswith("Note: kilo-auto/free picks a free model")
    assert cost.endswith("tokens, cost not reported")
    quiet = [*command, "--acknowledge-data-policy"]
    done = subprocess.run(quiet, env=environment, capture_output=True, text=True, check=False, input="")
    assert len(done.stderr.splitlines()) == 1


def test_verify(kilo_sandbox: Sandbox, tmp_path: Path) -> None:
    key, organization = kilo_sandbox.api_key, kilo_sandbox.organization_id
    report = tmp_path / "report.md"
    result = run("verify", "--report", str(report), key=key, env={"KILO_ORG_ID": organization})
    assert (result.exit_code, result.stderr) == (0, "")
    *rows, summary, behaviour = result.stdout.splitlines()
    assert summary.startswith(f"{len(rows)} checks: {len(rows)} held, 0 differs, 0 undecided. Spent: 0.00")
    assert behaviour.startswith("The server behaves like E3: ")
    assert "held\tauto.retired\tE3\t404 model_not_found" in result.stdout
    assert report.read_text(encoding="utf-8").startswith(f"# The gateway at {kilo_sandbox.base_url}\n")
    assert not any(secret in result.output + report.read_text() for secret in (key, organization))


def test_verify_chooses_checks_and_limits(kilo_sandbox: Sandbox) -> None:
    chosen = run("verify", "--only", "streams", "--only", "auto.free", "--json", "--free", key=kilo_sandbox.api_key)
    names = [row["check"] for row in json.loads(chosen.stdout)["results"]]
    assert {name.partition(".")[0] for name in names} == {"streams", "auto"}
    assert "auto.free" in names
    assert {record.account for record in kilo_sandbox.requests} == {"anonymous"}
    dear = run("verify", "--only", "auto.modes", "--limit-usd", "0.0001", key=kilo_sandbox.api_key)
    assert dear.exit_code == 0
    assert "undecided\tauto.modes\t\t0.0001 of 0.0001 USD are left" in dear.stdout
    kilo_sandbox.clear()
    listed = run("verify", "--list", "--only", "errors")
    assert "errors.model-not-found\tkey\t0\tThe error of an unknown id names the id." in listed.stdout
    assert kilo_sandbox.requests == ()


def test_verify_fails_if_something_differs() -> None:
    with Sandbox(keepalive="WAIT") as other:
        result = run("verify", "--only", "streams.keep-alive", env={"KILO_BASE_URL": other.base_url})
    assert result.exit_code == 1
    assert result.stdout.startswith("differs\tstreams.keep-alive\t\tComments keep a stream alive")
    assert "Found: WAIT; other comments\n" in result.stdout
    gone = run("verify", "--free", env={"KILO_BASE_URL": other.base_url})
    assert (gone.exit_code, gone.stdout) == (1, "")
    assert gone.stderr.startswith("Error: ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "stream"], "did you mean 'streams'"),
        (["--limit-usd", "0"], "0.0 is not in the range x>0"),
        (["--report", "/no/such/folder/report.md"], "No such file or directory"),
    ],
)
def test_wrong_usage_of_verify(arguments: list[str], message: str) -> None:
    result = run("verify", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr


@pytest.mark.parametrize("width", [40, 100])
def test_verify_in_a_terminal(kilo_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    report = verify(base_url=kilo_sandbox.base_url, free=True)
    output = io.StringIO()
    monkeypatch.setattr("kilo_gateway.cli.verify.console", lambda: Console(width=width, file=output))
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    show(report)
    lines = output.getvalue().splitlines()
    assert all(len(line) <= width for line in lines)
    assert all(any(result.check.id in line for line in lines) for result in report.results)
    assert next(line for line in lines if "streams.done" in line).split()[0] == "held"
