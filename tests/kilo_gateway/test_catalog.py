"""The list of models: asking for it, keeping it, reading it offline, and the collection it becomes."""

import json
import os
import socket
import subprocess
import sys
import time
import timeit
import warnings
from collections.abc import Callable
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

import openai
import pandas as pd
import pytest
from rich.console import Console

from kilo_gateway import (
    KiloConnectionError,
    KiloError,
    KiloRateLimitError,
    KiloResponseError,
    KiloServerError,
    KiloTimeoutError,
    ModelCatalog,
    ModelInfo,
    UnknownModelError,
    alist_models,
    list_models,
    model_cache,
)
from kilo_gateway.known_models import known
from kilo_gateway.sandbox import Sandbox

ODD = {"default_headers": {"x-sandbox-models": "odd"}}


def model(model_id: str, prompt: str | None = None, **entry: Any) -> dict[str, Any]:
    return {"id": model_id, "pricing": None if prompt is None else {"prompt": prompt}, **entry}


CATALOG = ModelCatalog.read(
    [
        model("kilo-auto/balanced", "-1", context_length=1_000_000),
        model("a/large", "0.00001", context_length=400_000, isFree=False, supported_parameters=["tools"]),
        model("b/small", "0.0000003", context_length=100_000, isFree=False, supported_parameters=["seed"]),
        model("b/free:free", "0", context_length=100_000, isFree=True, mayTrainOnYourPrompts=True),
        model("c/untold"),
    ]
)


def kept_files() -> list[Path]:
    folder = Path(os.environ["KILO_CACHE_DIR"])
    return sorted(folder.iterdir()) if folder.exists() else []


# Asking


def test_the_list_needs_no_key_and_is_kept(kilo_sandbox: Sandbox) -> None:
    catalog = list_models(base_url=kilo_sandbox.base_url)
    assert "kilo-auto/free" in catalog
    assert (catalog.from_cache, catalog.skipped) == (False, 0)
    again = list_models(base_url=kilo_sandbox.base_url)
    assert (again.from_cache, again.ids, list(again)) == (True, catalog.ids, list(catalog))
    assert "authorization" not in kilo_sandbox.last.headers
    assert [request.path for request in kilo_sandbox.requests] == ["/api/gateway/models"]
    list_models(base_url=kilo_sandbox.base_url, refresh=True)
    assert len(kilo_sandbox.requests) == 2


async def test_async_asks_the_same_and_shares_what_is_kept(kilo_sandbox: Sandbox) -> None:
    catalog = await alist_models(base_url=kilo_sandbox.base_url)
    assert catalog.get("kilo-auto/free").free is True
    assert (await alist_models(base_url=kilo_sandbox.base_url)).from_cache
    assert list_models(base_url=kilo_sandbox.base_url).ids == catalog.ids
    assert len(kilo_sandbox.requests) == 1


def test_settings_come_from_the_environment_as_for_the_chat(
    kilo_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
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


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"max_age": -1}, "max_age=-1"),
        ({"max_age": float("nan")}, "max_age=nan"),
        ({"timeout": 0}, "timeout"),
        ({"organization_id": "mine"}, "UUID"),
        ({"base_url": "http://gateway.example/api/gateway", "api_key": "secret"}, "plain http"),
        ({"api_keys": "secret"}, "did you mean 'api_key'"),
        ({"model": "a/b"}, "filter"),
    ],
)
def test_wrong_arguments_are_named_without_secrets(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text) as caught:
        list_models(**arguments)
    assert "secret" not in str(caught.value)


# Odd and failing answers


def test_odd_entries_cost_only_themselves(kilo_sandbox: Sandbox) -> None:
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
async def test_a_failure_is_a_kilo_error_and_nothing_is_kept(
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
    assert kept_files() == []


def test_an_empty_list_is_an_answer_but_is_not_kept(kilo_sandbox: Sandbox) -> None:
    catalog = list_models(base_url=kilo_sandbox.base_url, default_headers={"x-sandbox-models": "empty"})
    assert (len(catalog), str(catalog).splitlines()[-1]) == (0, "0 models")
    assert kept_files() == []


def test_a_wrong_base_url_is_told(kilo_sandbox: Sandbox) -> None:
    with pytest.raises(KiloError) as caught:
        list_models(base_url=kilo_sandbox.base_url + "/nowhere")
    assert caught.value.status_code == 405


def test_a_gateway_that_stays_silent_costs_the_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        started = time.monotonic()
        with pytest.raises(KiloTimeoutError, match=r"0\.2 seconds"):
            list_models(base_url=f"http://127.0.0.1:{silent.getsockname()[1]}/x", timeout=0.2, max_retries=0)
        assert time.monotonic() - started < 10


# Keeping


def test_key_and_organisation_are_nowhere_on_disk(kilo_sandbox: Sandbox) -> None:
    organization = kilo_sandbox.organization_id
    list_models(
        base_url=kilo_sandbox.base_url,
        api_key=kilo_sandbox.api_key,
        organization_id=organization,
        default_headers={"x-private": "hidden-value"},
    )
    (file,) = kept_files()
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
    assert len(kept_files()) == len(accounts) + 1


def aged(seconds: float) -> None:
    for file in kept_files():
        held = json.loads(file.read_text())
        held["fetched_at"] -= seconds
        file.write_text(json.dumps(held))


@pytest.mark.parametrize(
    ("age", "max_age", "asks"), [(3500, 3600, 1), (3700, 3600, 2), (3700, 4000, 1), (1, 0, 2), (-3600, 3600, 2)]
)
def test_a_list_is_fresh_for_max_age_seconds(kilo_sandbox: Sandbox, age: float, max_age: float, asks: int) -> None:
    list_models(base_url=kilo_sandbox.base_url)
    aged(age)  # a negative age: the clock was set back since
    list_models(base_url=kilo_sandbox.base_url, max_age=max_age)
    assert len(kilo_sandbox.requests) == asks


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]", b'{"format": 1, "entries": 7}', b"[" * 99_999])
def test_a_broken_file_is_ignored_and_written_anew(kilo_sandbox: Sandbox, content: bytes) -> None:
    list_models(base_url=kilo_sandbox.base_url)
    (file,) = kept_files()
    file.write_bytes(content)
    assert not list_models(base_url=kilo_sandbox.base_url).from_cache
    assert list_models(base_url=kilo_sandbox.base_url).from_cache


def test_a_folder_that_cannot_be_written_costs_one_warning(
    kilo_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("KILO_CACHE_DIR", str(tmp_path / "file" / "below"))
    with pytest.warns(UserWarning, match="KILO_CACHE_DIR") as told:
        assert list_models(base_url=kilo_sandbox.base_url)
    assert [warning.filename for warning in told] == [__file__]
    assert list_models(base_url=kilo_sandbox.base_url)  # a second warning would be an error
    assert len(kilo_sandbox.requests) == 2


def test_the_platforms_folder_is_the_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("KILO_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert "kilo-gateway" in model_cache.folder().parts
    if sys.platform == "linux":
        assert model_cache.folder() == tmp_path / "kilo-gateway"


def test_what_is_kept_is_known(kilo_sandbox: Sandbox) -> None:
    url = kilo_sandbox.base_url
    before = known("x-ai/grok-4", base_url=url)
    assert before is not None
    assert before.context_length is None
    list_models(base_url=url)
    info = known("x-ai/grok-4", base_url=url)
    assert info is not None
    assert (info.context_length, info.prompt_price) == (256_000, 3)


WORKER = """
import random, sys, time
from kilo_gateway.model_cache import ListFile, Stored
me, file = int(sys.argv[1]), ListFile.of("http://gateway", "account")
while file.read() is None:
    file.write(Stored(time.time(), [{"id": "start"}] * 400))
for turn in range(40):
    if random.random() < 0.5:
        file.write(Stored(time.time(), [{"id": f"{me}/{turn}"}] * random.randint(1, 400)))
    found = file.read()
    assert found is not None and found.entries, "a reader saw half a file"
    assert len({entry["id"] for entry in found.entries}) == 1, "a reader saw two writers"
"""


def test_ten_processes_write_and_read_at_once() -> None:
    workers = [
        subprocess.Popen([sys.executable, "-c", WORKER, str(n)], stderr=subprocess.PIPE, text=True) for n in range(10)
    ]
    outcomes = [worker.communicate()[1] for worker in workers]
    assert [worker.returncode for worker in workers] == [0] * 10, outcomes
    assert len(kept_files()) == 1  # no temporary file is left behind


# Offline


@pytest.fixture
def gone() -> str:
    """The URL of a gateway whose list was fetched and that is no longer there."""
    with Sandbox() as gateway:
        url = gateway.base_url
        list_models(base_url=url)
    return url


async def test_offline_the_old_list_is_returned_with_its_age(gone: str) -> None:
    aged(3 * 3600 + 60)
    with pytest.warns(UserWarning, match=r"old \(3 h ago\).*connection") as told:
        catalog = list_models(base_url=gone, max_retries=0)
    assert told[0].filename == __file__
    assert catalog.from_cache
    assert "kilo-auto/free" in catalog
    assert "fetched 3 h ago" in str(catalog)
    with pytest.warns(UserWarning, match="3 h ago"):
        assert (await alist_models(base_url=gone, max_retries=0)).ids == catalog.ids


def test_offline_a_fresh_list_needs_no_warning(gone: str) -> None:
    assert list_models(base_url=gone).from_cache


def test_offline_without_a_list_of_this_account_it_is_an_error(gone: str) -> None:
    with pytest.raises(KiloConnectionError, match="base_url"):
        list_models(base_url=gone, api_key="another", max_retries=0)
    with pytest.raises(KiloConnectionError):
        list_models(base_url=gone, refresh=True, max_retries=0)


def test_an_old_list_also_stands_in_for_a_failing_gateway(kilo_sandbox: Sandbox) -> None:
    catalog = list_models(base_url=kilo_sandbox.base_url)
    aged(7200)
    with openai.DefaultHttpxClient(headers={"x-sandbox-models": "failing"}) as own:
        with pytest.warns(UserWarning, match=r"2 h ago.*Failed to fetch models"):
            old = list_models(base_url=kilo_sandbox.base_url, http_client=own, max_retries=0)
        assert old.ids == catalog.ids
        with pytest.raises(KiloServerError):
            list_models(base_url=kilo_sandbox.base_url, http_client=own, max_retries=0, refresh=True)


# The collection


def test_a_catalogue_is_a_sequence() -> None:
    assert len(CATALOG) == 5
    assert CATALOG[0].id == CATALOG.ids[0] == "kilo-auto/balanced"
    assert CATALOG[1:3].ids == ["a/large", "b/small"]
    assert "a/large" in CATALOG
    assert CATALOG[1] in CATALOG
    assert "a/none" not in CATALOG
    assert next(reversed(CATALOG)).id == "c/untold"
    assert not ModelCatalog()
    assert CATALOG.age is None


@pytest.mark.parametrize(
    ("conditions", "ids"),
    [
        ({}, CATALOG.ids),
        ({"free": True}, ["b/free:free"]),
        ({"free": False}, ["a/large", "b/small"]),
        ({"tools": True}, ["a/large"]),
        ({"tools": False}, ["b/small"]),
        ({"reasoning": True}, []),
        ({"vision": True}, []),
        ({"structured_outputs": False}, ["a/large", "b/small"]),
        ({"may_train_on_prompts": True}, ["b/free:free"]),
        ({"min_context": 400_000}, ["kilo-auto/balanced", "a/large"]),
        ({"min_output": 1}, []),
        ({"vendor": "b"}, ["b/small", "b/free:free"]),
        ({"vendor": ["a", "c"]}, ["a/large", "c/untold"]),
        ({"max_prompt_price": 0.3}, ["b/small", "b/free:free"]),
        ({"max_prompt_price": Decimal("0.29")}, ["b/free:free"]),
        ({"max_prompt_price": 1e9}, ["a/large", "b/small", "b/free:free"]),
        ({"max_completion_price": 1e9}, []),
        ({"vendor": "b", "free": False}, ["b/small"]),
    ],
)
def test_a_filter_keeps_what_is_known_to_fit(conditions: dict[str, Any], ids: list[str]) -> None:
    assert CATALOG.filter(**conditions).ids == ids


def test_unknown_prices_are_last_and_never_cheapest() -> None:
    assert CATALOG.sort().ids == ["b/free:free", "b/small", "a/large", "kilo-auto/balanced", "c/untold"]
    assert CATALOG.sort(reverse=True).ids == ["a/large", "b/small", "b/free:free", "kilo-auto/balanced", "c/untold"]
    assert CATALOG.sort("context_length").ids[-1] == "c/untold"
    assert CATALOG.sort("id").ids[0] == "a/large"


def test_what_cannot_be_sorted_by_is_named() -> None:
    with pytest.raises(ValueError, match="did you mean 'prompt_price'"):
        CATALOG.sort("promt_price")
    with pytest.raises(ValueError, match=r"names: .*context_length"):
        CATALOG.sort("???")
    with pytest.raises(ValueError, match="no order"):
        CATALOG.sort("pricing")


def test_an_unknown_id_names_the_nearest() -> None:
    assert CATALOG.get("a/large") is CATALOG[1]
    assert CATALOG.get(" A/Large ") is CATALOG[1]
    for wrong in ("a/lagre", "large", "z/large"):
        with pytest.raises(UnknownModelError, match="did you mean 'a/large'") as caught:
            CATALOG.get(wrong)
        assert isinstance(caught.value, LookupError)
        assert isinstance(caught.value, ValueError)
    with pytest.raises(UnknownModelError, match=r"none of the 5 models; see \.ids"):
        CATALOG.get("?")


def test_filter_and_sort_keep_where_the_list_comes_from() -> None:
    old = ModelCatalog.read([model("a/b")], fetched_at=time.time() - 7260, from_cache=True)
    for catalog in (old, old.filter(vendor="a"), old.sort(), old[:]):
        assert repr(catalog).startswith("ModelCatalog(1 model, fetched 2 h ago")
        assert catalog.age == pytest.approx(7260, abs=60)


# Showing


def test_the_plain_table_shows_prices_and_what_is_not_known() -> None:
    lines = str(CATALOG).splitlines()
    assert lines[0].split() == ["Model", "Context", "Max", "output", "USD/M", "in", "USD/M", "out", "Can", "Note"]
    assert lines[1].split() == ["kilo-auto/balanced", "1,000,000", "?", "?", "?"]
    assert lines[2].split() == ["a/large", "400,000", "?", "10", "?", "tools"]
    assert lines[4].split() == ["b/free:free", "100,000", "?", "0", "?", "free,", "may", "train", "on", "prompts"]
    assert lines[-1] == "5 models"


def test_rich_draws_a_table() -> None:
    output = StringIO()
    Console(file=output, width=120, force_terminal=True).print(CATALOG)
    assert "┃" in output.getvalue()
    assert "b/free:free" in output.getvalue()


HOSTILE = "<script>alert(1)</script>[bold]\x1b[2J\u202e\ud83d"


@pytest.mark.parametrize(
    "show",
    [str, ModelCatalog._repr_html_, lambda c: (Console(file=(o := StringIO()), width=200).print(c), o)[1].getvalue()],
)
def test_texts_of_the_gateway_are_shown_safely(show: Callable[[ModelCatalog], str]) -> None:
    # A lone surrogate makes an id unreadable, so the hostile id is without one.
    shown = show(ModelCatalog.read([model(HOSTILE[:-1]), model("a/b", name=HOSTILE)]))
    assert "\x1b[2J" not in shown
    assert "\u202e" not in shown
    assert "[bold]" in shown  # no markup to rich
    shown.encode()
    if show is ModelCatalog._repr_html_:
        assert "<script>" not in shown
        assert "&lt;script&gt;" in shown


def test_a_frame_has_numbers_and_gaps() -> None:
    frame = CATALOG.to_frame()
    assert isinstance(frame, pd.DataFrame)
    assert frame["id"].tolist() == CATALOG.ids
    row = frame.set_index("id").loc["a/large"]
    assert (row["prompt_price"], row["context_length"], row["supports_tools"], row["vendor"]) == (
        10,
        400_000,
        True,
        "a",
    )
    assert frame["prompt_price"].isna().tolist() == [True, False, False, False, True]
    assert frame["prompt_price"].dtype == float
    assert list(ModelCatalog().to_frame().columns) == list(frame.columns)


def test_a_frame_without_pandas_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="pip install pandas"):
        CATALOG.to_frame()


def test_four_hundred_entries_are_read_at_once(kilo_sandbox: Sandbox) -> None:
    catalog = list_models(base_url=kilo_sandbox.base_url, default_headers={"x-sandbox-models": "large"})
    assert len(catalog) == 400
    (file,) = kept_files()
    entries = json.loads(file.read_text())["entries"]
    seconds = min(timeit.repeat(lambda: ModelCatalog.read(entries), number=1, repeat=5))
    assert seconds < 0.5  # it takes about 5 ms


def test_nothing_of_it_is_imported_with_the_adapters() -> None:
    code = (
        "import sys, langchain_kilo, llama_index_kilo\n"
        "heavy = {'kilo_gateway.catalog', 'kilo_gateway.listing', 'kilo_gateway.model_info', 'pandas'}\n"
        "assert heavy.isdisjoint(sys.modules), heavy & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_an_info_of_ones_own_is_welcome() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert ModelCatalog([ModelInfo(id="a/b", context_length=5)]).get("a/b").context_length == 5
