"""A header that has an argument of its own is given by that argument only, so that wire and metadata agree."""

from __future__ import annotations

from typing import Any

import pytest

from kilo_gateway import list_models
from kilo_gateway.settings.chat import GatewaySettings
from langchain_kilo import ChatKilo, KiloEmbeddings
from llama_index_kilo import KiloEmbedding, KiloLLM

EVERYWHERE = {
    "Authorization": "api_key",
    "X-KILOCODE-PROJECTID": "project_id",
    "x-kilocode-feature": "feature",
    "X-KiloCode-OrganizationId": "organization_id",
}
ARGUMENTS = {**EVERYWHERE, "x-kilocode-mode": "mode", "X-KiloCode-TaskId": "task_id"}

HEADERS: list[tuple[Any, str]] = [(cls, header) for cls in (ChatKilo, KiloLLM) for header in ARGUMENTS]
HEADERS += [(cls, header) for cls in (KiloEmbeddings, KiloEmbedding) for header in EVERYWHERE]


@pytest.mark.parametrize(("cls", "header"), HEADERS)
def test_default_headers_have_no_header_with_an_argument(cls: Any, header: str) -> None:
    with pytest.raises(ValueError, match=f"must not contain {header}; pass it as {ARGUMENTS[header]}"):
        cls(default_headers={"x-mine": "1", header: "s3cr3t"})
    model = cls()
    with pytest.raises(ValueError, match=f"default_headers.*{ARGUMENTS[header]}") as caught:
        model.default_headers = {header: "s3cr3t"}
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize("header", ARGUMENTS)
@pytest.mark.parametrize("cls", [ChatKilo, KiloLLM])
def test_headers_of_a_call_neither(cls: Any, header: str) -> None:
    with pytest.raises(ValueError, match=f"extra_headers.*{ARGUMENTS[header]}"):
        cls().prepare([], stream=False, keywords={"extra_headers": {header: "code"}})


@pytest.mark.parametrize("header", EVERYWHERE)
def test_headers_of_a_list_of_models_neither(header: str) -> None:
    with pytest.raises(ValueError, match=ARGUMENTS[header]):
        list_models(default_headers={header: "code"})


def test_other_headers_are_the_users_own() -> None:
    call = {"extra_headers": {"x-kilocode-other": "1", "User-Agent": "mine"}}
    assert GatewaySettings().prepare([], stream=False, keywords=call).headers == call["extra_headers"]
