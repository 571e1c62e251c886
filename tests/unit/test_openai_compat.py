"""The private parts of the official client that transport/openai_compat.py relies on: one test for each.

A test that fails here says which line of that module a new release of the openai package needs changed.
"""

from __future__ import annotations

import inspect
import threading
from typing import Any

import openai
import pytest

from kilo_gateway import GatewaySettings
from kilo_gateway.transport import openai_compat
from kilo_gateway.transport.clients import Account, sync_client
from kilo_gateway.transport.openai_compat import AsyncGatewayClient, GatewayClient

SETTINGS = GatewaySettings(base_url="http://127.0.0.1:9", api_key="k")


def test_the_http_library_is_the_one_of_the_official_client() -> None:
    assert issubclass(openai.DefaultHttpxClient, openai_compat.HTTP.Client)
    assert openai_compat.HTTP_RESPONSE is openai_compat.HTTP.Response


@pytest.mark.parametrize("cls", [openai.OpenAI, openai.AsyncOpenAI])
@pytest.mark.parametrize(
    ("method", "parameters"),
    [
        ("_should_retry", {"response"}),
        ("_calculate_retry_timeout", {"remaining_retries", "options", "response_headers"}),
        ("_make_status_error_from_response", {"response"}),
        ("_prepare_url", {"url"}),
        ("_prepare_options", {"options"}),
    ],
)
def test_the_methods_that_are_overridden_exist(cls: Any, method: str, parameters: set[str]) -> None:
    assert parameters <= inspect.signature(getattr(cls, method)).parameters.keys()


@pytest.mark.parametrize("cls", [openai.OpenAI, openai.AsyncOpenAI])
def test_a_client_sends_its_request_by_one_method(cls: Any) -> None:
    assert inspect.iscoroutinefunction(cls._send_request) == (cls is openai.AsyncOpenAI)


def test_a_copy_shares_the_connections_and_has_headers_of_its_own() -> None:
    client = sync_client(SETTINGS)
    limits: Any = object()
    copy = client.carrying({"x-a": "1"}, limits)
    assert copy._client is client._client
    assert copy.default_headers["x-a"] == "1"
    assert "x-a" not in client.default_headers


@pytest.mark.parametrize("cls", [GatewayClient, AsyncGatewayClient])
def test_no_client_asks_for_its_platform(cls: Any) -> None:
    http = (openai.DefaultHttpxClient if cls is GatewayClient else openai.DefaultAsyncHttpxClient)()
    client = Account.of(SETTINGS).build(cls, http)
    threads = threading.active_count()
    assert client._platform == "Unknown"
    assert threading.active_count() == threads


@pytest.mark.parametrize(("timeout", "read"), [(None, 2.0), (1, 1.0), (30.0, 2.0)])
def test_a_timeout_is_cut_in_each_part(timeout: Any, read: float) -> None:
    cut = openai_compat.at_most(timeout, 2.0).as_dict()
    assert cut["read"] == read
    assert all(part <= 2.0 for part in cut.values())


def test_the_limit_of_reads_is_part_of_the_request() -> None:
    request = openai_compat.HTTP.Request("GET", "http://x/", extensions={"timeout": {"read": 600.0}})
    response = openai_compat.HTTP.Response(200, request=request)
    openai_compat.limit_reads(response, 5.0)
    assert request.extensions["timeout"]["read"] == 5.0
    openai_compat.limit_reads(response, 9.0)
    assert request.extensions["timeout"]["read"] == 5.0
