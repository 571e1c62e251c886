"""Test the list of models: request it, store it, and read it offline."""

import json
import os
import socket
import time
from pathlib import Path
from typing import Any

import openai
import pytest

from kilo_gateway import (
    KiloConnectionError,
    KiloError,
    KiloRateLimitError,
    KiloResponseError,
    KiloServerError,
    KiloTimeoutError,
    alist_models,
    list_models,
)
from kilo_gateway.models.known import known
from kilo_gateway.sandbox import Sandbox

ODD: dict[str, Any] = {"default_headers": {"x-sandbox-models": "odd"}}


def stored_files() -> list[Path]:
    folder = Path(os.environ["KILO_CACHE_DIR"])
    return sorted(folder.iterdir()) if folder.exists() else []


# Requests


def test_the_list_needs_no_key_and_is_stored(kilo_sandbox: Sandbox) -> None:
    catalog = list_models(base_url=kilo_sandbox.base_url)
    assert "kilo-auto/free" in catalog
    assert (catalog.from_cache, catalog.skipped) == (False, 0)
    again = list_models(base_url=kilo_sandbox.base_url)
    assert (again.from_cache, again.ids, list(again)) == (True, catalog.ids, list(catalog))
    assert "authorization" not in kilo_sandbox.last.headers
    assert [request.path for request in kilo_sandbox.requests] == ["/api/gateway/models"]
    list_models(base_url=kilo_sandbox.base_url, refresh=True)
    assert len(kilo_sandbox.requests) == 2


async def test_async_and_sync_share_the_stored_list(kilo_sandbox: Sandbox) -> None:
    catalog = await alist_models(base_url=kilo_sandbox.base_url)
    assert catalog.get("kilo-auto/free").free is True
    assert (await alist_models(base_url=kilo_sandbox.base_url)).from_cache
    assert list_models(base_url=kilo_sandbox.base_url).ids == catalog.ids
    assert len(kilo_sandbox.requests) == 1


def test_settings_come_from_the_environment(kilo_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KILO_BASE_URL", kilo_sandbox.base_url)
    monkeypatch.setenv("KILO_API_KEY", kilo_sandbox.api_key)
    monkeypatch.setenv("KILO_ORG_ID", kilo_sandbox.organization_id)
    catalog = list_models()
    assert catalog[0].has_user_byok_available is False
    headers = kilo_sandbox.last.headers
    assert headers["authorization"] == f"Bearer {kilo_sandbox.api_key}"
    assert headers["x-kilocode-organizationid"] == kilo_sandbox.organization_id
    assert headers["user-agent"].startswith("kilo-gateway-python/")
    assert not [name for name in headers if name.startswith("x-stainless")]
    list_models(api_key="")
    assert "authorization" not in kilo_sandbox.last.headers


# Odd and failed answers


def test_only_unreadable_entries_are_left_out(kilo_sandbox: Sandbox) -> None:
    fine = list_models(base_url=kilo_sandbox.base_url)
    odd = list_models(base_url=kilo_sandbox.base_url, **ODD)
    assert set(fine.ids) < set(odd.ids)
    assert odd.skipped == 3
    assert odd.get("odd/wrong-types").context_length is odd.get("odd/wrong-types").prompt_price is None
    assert odd.get("odd/unknown-keys").model_extra == {"brandNew": {"a": [1]}}
    assert "3 unreadable left out" in str(odd)


@pytest.mark.parametrize(
    ("answer", "error", "text"),
    [
        ("failing", KiloServerError, "Failed to fetch models"),
        ("page", KiloResponseError, "not JSON"),
        ("no-list", KiloResponseError, "no list named 'data'"),
        ("unreadable-entries", KiloResponseError, "no entry"),
        ("error-200", KiloRateLimitError, "Rate limit exceeded"),
    ],
)
async def test_a_failure_is_a_kilo_error_and_nothing_is_stored(
    kilo_sandbox: Sandbox, answer: str, error: type[KiloError], text: str
) -> None:
    arguments: Any = {
        "base_url": kilo_sandbox.base_url,
        "max_retries": 0,
        "default_headers": {"x-sandbox-models": answer},
    }
    with pytest.raises(error, match=text):
        list_models(**arguments)
    with pytest.raises(error, match=text) as caught:
        await alist_models(**arguments)
    assert isinstance(caught.value, openai.APIError)
    assert stored_files() == []


def test_an_empty_list_is_returned_but_not_stored(kilo_sandbox: Sandbox) -> None:
    catalog = list_models(base_url=kilo_sandbox.base_url, default_headers={"x-sandbox-models": "empty"})
    assert (len(catalog), str(catalog).splitlines()[-1]) == (0, "0 models")
    assert stored_files() == []


def test_a_wrong_base_url_raises(kilo_sandbox: Sandbox) -> None:
    with pytest.raises(KiloError) as caught:
        list_models(base_url=kilo_sandbox.base_url + "/nowhere")
    assert caught.value.status_code == 405


def test_a_silent_gateway_is_a_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        started = time.monotonic()
        with pytest.raises(KiloTimeoutError, match=r"0\.2 seconds"):
            list_models(base_url=f"http://127.0.0.1:{silent.getsockname()[1]}/x", timeout=0.2, max_retries=0)
        assert time.monotonic() - started < 10


# Storage


def test_key_and_organisation_are_nowhere_on_disk(kilo_sandbox: Sandbox) -> None:
    organization = kilo_sandbox.organization_id
    list_models(
        base_url=kilo_sandbox.base_url,
        api_key=kilo_sandbox.api_key,
        organization_id=organization,
        default_headers={"x-private": "hidden-value"},
    )
    (file,) = stored_files()
    for secret in (kilo_sandbox.api_key, organization, "hidden-value"):
        assert secret not in file.name
        assert secret not in file.read_text()
    if os.name == "posix":
        assert file.stat().st_mode & 0o077 == 0


def test_each_account_has_its_own_list(kilo_sandbox: Sandbox) -> None:
    url = kilo_sandbox.base_url
    accounts: list[dict[str, Any]] = [
        {},
        {"api_key": kilo_sandbox.api_key},
        {"api_key": kilo_sandbox.api_key, "organization_id": kilo_sandbox.organization_id},
        {"default_headers": {"x-sandbox-models": "odd"}},
        {"default_query": {"a": "b"}},
    ]
    for account in accounts:
        assert not list_models(base_url=url, **account).from_cache
    for account in accounts:
        assert list_models(base_url=url, **account).from_cache
    assert not list_models(base_url=url + "/v1").from_cache
    assert len(stored_files()) == len(accounts) + 1


def aged(seconds: float) -> None:
    for file in stored_files():
        held = json.loads(file.read_text())
        held["fetched_at"] -= seconds
        file.write_text(json.dumps(held))


@pytest.mark.parametrize(
    ("age", "max_age", "asks"), [(3500, 3600, 1), (3700, 3600, 2), (3700, 4000, 1), (1, 0, 2), (-3600, 3600, 2)]
)
def test_a_list_is_fresh_for_max_age_seconds(kilo_sandbox: Sandbox, age: float, max_age: float, asks: int) -> None:
    list_models(base_url=kilo_sandbox.base_url)
    aged(age)  # a negative age: the clock was set back after the write
    list_models(base_url=kilo_sandbox.base_url, max_age=max_age)
    assert len(kilo_sandbox.requests) == asks


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]", b'{"format": 1, "entries": 7}', b"[" * 99_999])
def test_a_broken_file_is_ignored_and_replaced(kilo_sandbox: Sandbox, content: bytes) -> None:
    list_models(base_url=kilo_sandbox.base_url)
    (file,) = stored_files()
    file.write_bytes(content)
    assert not list_models(base_url=kilo_sandbox.base_url).from_cache
    assert list_models(base_url=kilo_sandbox.base_url).from_cache


def test_a_folder_that_cannot_be_written_is_one_warning(
    kilo_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("KILO_CACHE_DIR", str(tmp_path / "file" / "below"))
    with pytest.warns(UserWarning, match="KILO_CACHE_DIR") as warned:
        assert list_models(base_url=kilo_sandbox.base_url)
    assert [warning.filename for warning in warned] == [__file__]
    assert list_models(base_url=kilo_sandbox.base_url)  # a second warning would be an error
    assert len(kilo_sandbox.requests) == 2


def test_known_reads_the_stored_list(kilo_sandbox: Sandbox) -> None:
    url = kilo_sandbox.base_url
    before = known("x-ai/grok-4", base_url=url)
    assert before is not None
    assert before.context_length is None
    list_models(base_url=url)
    info = known("x-ai/grok-4", base_url=url)
    assert info is not None
    assert (info.context_length, info.prompt_price) == (256_000, 3)


# Offline


@pytest.fixture
def stopped_url() -> str:
    """Return the URL of a gateway that stopped after its list was fetched."""
    with Sandbox() as gateway:
        url = gateway.base_url
        list_models(base_url=url)
    return url


async def test_offline_the_old_list_is_returned_with_its_age(stopped_url: str) -> None:
    aged(3 * 3600 + 60)
    with pytest.warns(UserWarning, match=r"old \(3 h ago\).*connection") as warned:
        catalog = list_models(base_url=stopped_url, max_retries=0)
    assert warned[0].filename == __file__
    assert catalog.from_cache
    assert "kilo-auto/free" in catalog
    assert "fetched 3 h ago" in str(catalog)
    with pytest.warns(UserWarning, match="3 h ago"):
        assert (await alist_models(base_url=stopped_url, max_retries=0)).ids == catalog.ids


def test_offline_a_fresh_list_needs_no_warning(stopped_url: str) -> None:
    assert list_models(base_url=stopped_url).from_cache


def test_offline_without_a_list_of_this_account_it_is_an_error(stopped_url: str) -> None:
    with pytest.raises(KiloConnectionError, match="base_url"):
        list_models(base_url=stopped_url, api_key="another", max_retries=0)
    with pytest.raises(KiloConnectionError):
        list_models(base_url=stopped_url, refresh=True, max_retries=0)


def test_an_old_list_replaces_a_failed_answer(kilo_sandbox: Sandbox) -> None:
    catalog = list_models(base_url=kilo_sandbox.base_url)
    aged(7200)
    with openai.DefaultHttpxClient(headers={"x-sandbox-models": "failing"}) as own:
        with pytest.warns(UserWarning, match=r"2 h ago.*Failed to fetch models"):
            old = list_models(base_url=kilo_sandbox.base_url, http_client=own, max_retries=0)
        assert old.ids == catalog.ids
        with pytest.raises(KiloServerError):
            list_models(base_url=kilo_sandbox.base_url, http_client=own, max_retries=0, refresh=True)


def test_four_hundred_entries_are_read_and_found(kilo_sandbox: Sandbox) -> None:
    catalog = list_models(base_url=kilo_sandbox.base_url, default_headers={"x-sandbox-models": "large"})
    assert len(catalog) == 400
    assert len(list_models(base_url=kilo_sandbox.base_url, default_headers={"x-sandbox-models": "large"})) == 400
    assert catalog.get("large/model-200").id == "large/model-200"
    info = known("large/model-200", base_url=kilo_sandbox.base_url)
    assert info is not None
    assert info is known("large/model-200", base_url=kilo_sandbox.base_url)
