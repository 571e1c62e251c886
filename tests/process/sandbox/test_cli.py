"""Test the command line of the sandbox and its pytest plugin."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kilo_gateway.sandbox import SCENARIOS, Sandbox
from kilo_gateway.sandbox.__main__ import main
from tests.support.plain_client import request

MODULE = [sys.executable, "-m", "kilo_gateway.sandbox"]


def test_list_prints_every_scenario_on_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(SCENARIOS)
    assert all(scenario.description in line for line, scenario in zip(lines, SCENARIOS.values(), strict=True))


def test_a_taken_port_is_explained(gw: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--port", str(gw.port)]) == 1
    assert "--port" in capsys.readouterr().err


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("background", [False, True])
def test_it_serves_until_a_signal(ending: signal.Signals, background: bool, gw: Sandbox) -> None:
    # A shell starts a background job with SIGINT ignored, and the program inherits this.
    begin = "trap '' INT; exec" if background else "exec"
    started = ["sh", "-c", f'{begin} "$@"', "sh", *MODULE, "--port", "0"]
    process = subprocess.Popen(started, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        printed = ""
        while "--list" not in printed:
            printed += process.stdout.readline()
        url = printed.split()[3]
        gateway = Sandbox()
        gateway.port = int(url.split(":")[2].split("/")[0])
        assert url == gateway.base_url
        assert request(gateway, "GET", "/api/gateway/models").status == 200
        process.send_signal(ending)
        _, complaints = process.communicate(timeout=10)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 0
    assert complaints == ""
    for needed in (Sandbox.api_key, Sandbox.poor_api_key, Sandbox.organization_id, "--list", "KILO_BASE_URL"):
        assert needed in printed
    command = next(line for line in printed.splitlines() if "kilo_gateway chat" in line)
    environment = {**os.environ, "KILO_BASE_URL": gw.base_url, "KILO_API_KEY": gw.api_key}
    answer = subprocess.run(
        [sys.executable, *shlex.split(command)[1:]], env=environment, capture_output=True, text=True, check=True
    )
    assert "schema" in answer.stdout


def test_it_says_where_requests_go_and_shows_no_key_of_its_own(gw: Sandbox) -> None:
    command = [*MODULE, "--port", "0", "--upstream", gw.base_url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        printed = ""
        while "KILO_BASE_URL" not in printed:
            printed += process.stdout.readline()
        process.terminate()
    page = printed.splitlines()[1].rpartition(" ")[2]
    assert page == printed.split()[3].removesuffix("api/gateway")
    assert f"Requests go on to {gw.base_url}" in printed
    assert gw.api_key not in printed


PLUGIN_TEST = """
def test_first(kilo_sandbox):
    import http.client
    connection = http.client.HTTPConnection("127.0.0.1", kilo_sandbox.port)
    connection.request("GET", "/api/gateway/models")
    assert connection.getresponse().status == 200
    connection.close()
    assert len(kilo_sandbox.requests) == 1

def test_second(kilo_sandbox):
    assert not kilo_sandbox.requests
"""


def test_the_fixture_gives_each_test_an_empty_record(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(PLUGIN_TEST)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "kilo_gateway.sandbox.pytest_plugin",
        str(tmp_path),
    ]
    # The plugins of the environment are off, because this plugin may be among them.
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert "2 passed" in done.stdout, done.stdout + done.stderr


def test_a_run_that_does_not_use_the_plugin_imports_nothing_for_it(tmp_path: Path) -> None:
    (tmp_path / "test_other.py").write_text("def test_other(): pass")
    code = "import sys, pytest; pytest.main(['--co', '-q', *sys.argv[1:]]); print(*sys.modules)"

    def modules(*options: str) -> set[str]:
        done = subprocess.run(
            [sys.executable, "-c", code, *options],
            cwd=tmp_path,
            env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
            capture_output=True,
            text=True,
            check=True,
        )
        assert "test_other.py::test_other" in done.stdout
        return set(done.stdout.splitlines()[-1].split())

    plugin = "kilo_gateway.sandbox.pytest_plugin"
    assert modules("-p", plugin) - modules() == {"kilo_gateway", "kilo_gateway.sandbox", plugin}


def test_the_sandbox_imports_no_client() -> None:
    code = (
        "import sys, kilo_gateway.sandbox as s; s.Sandbox, s.SCENARIOS;"
        "print(sorted(m for m in sys.modules if m in ('openai', 'httpx', 'langchain_core', 'llama_index')"
        " or m.startswith('kilo_gateway.') and not m.startswith('kilo_gateway.sandbox')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_a_missing_extra_names_the_pip_line() -> None:
    code = "import sys; sys.modules['uvicorn'] = None; import kilo_gateway.sandbox as s; s.SCENARIOS; s.Sandbox"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert 'ImportError: the sandbox needs its extra: pip install "kilo-gateway[sandbox]"' in done.stderr
