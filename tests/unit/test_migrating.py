"""Test that each argument in docs/migrating.md is accepted, or refused with the answer that the page gives."""

import re
import warnings
from pathlib import Path
from typing import Any

import pytest

from kilo_gateway import GatewaySettings
from langchain_kilo import ChatKilo
from llama_index_kilo import KiloLLM
from tests.support.bodies import body

PAGE = (Path(__file__).resolve().parents[2] / "docs/migrating.md").read_text(encoding="utf-8")
TABLES = re.findall(r"^\| `(Chat\w+|OpenAILike|OpenRouter)` \| `(\w+)` \|.*\n\|-.*\n((?:\|.*\n)+)", PAGE, re.MULTILINE)


def rows() -> list[tuple[type[GatewaySettings], str, str]]:
    classes: dict[str, type[GatewaySettings]] = {"ChatKilo": ChatKilo, "KiloLLM": KiloLLM}
    lines = [(classes[ours], line) for _, ours, table in TABLES for line in table.splitlines()]
    return [(ours, *(cell.strip() for cell in line.strip("|").split("|")[:2])) for ours, line in lines]


def test_the_page_has_four_tables() -> None:
    assert [before for before, _, _ in TABLES] == ["ChatOpenAI", "ChatOpenRouter", "OpenAILike", "OpenRouter"]
    assert len(rows()) > 50


def test_each_row_is_what_the_class_says() -> None:
    for ours, old, new in rows():
        typed, remedies = old.strip("`"), re.findall(r"`(\w+=[^`]*)`", new)
        assert remedies or "the same" in new or "leave it out" in new, old
        answer = answer_to(ours, typed)
        if "the same" in new:
            assert answer == "", typed
        elif "leave it out" in new:
            assert "leave it out" in answer, (typed, answer)
        elif answer:
            remedy = remedies[0].replace('"', "'")
            wanted = remedy.partition(":")[0] if remedy.startswith("extra_body=") else remedy.partition("=")[0]
            assert wanted in answer.partition(";")[2], (typed, answer)
        else:
            assert body_of(ours, typed) == body_of(ours, remedies[0]), typed
        for remedy in remedies:
            if not remedy.endswith("="):  # an object of the user's own
                assert answer_to(ours, remedy) == "", remedy


def answer_to(cls: type[GatewaySettings], typed: str) -> str:
    """Return the text of the error or warning for typed arguments; "" if there is none."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            built(cls, typed)
        except ValueError as error:
            return str(error)
    return "\n".join(str(warning.message) for warning in caught)


def body_of(cls: type[GatewaySettings], typed: str) -> dict[str, Any]:
    return body(built(cls, typed).prepare("Hi", stream=False))


def built(cls: type[GatewaySettings], typed: str) -> GatewaySettings:
    model: GatewaySettings = eval(f"cls({typed + ('None' if typed.endswith('=') else '')})", {"cls": cls})  # noqa: S307 -- our own documentation
    return model


@pytest.mark.parametrize(
    ("cls", "arguments", "answer"),
    [
        (ChatKilo, {"headers": {}}, "did you mean 'default_headers'?"),
        (ChatKilo, {"extra_headers": {}}, "did you mean 'default_headers'?"),
        (ChatKilo, {"system": "Be brief."}, "put it into the messages, as the first one"),
        (KiloLLM, {"system": "Be brief."}, "did you mean 'system_prompt'?"),
        (ChatKilo, {"additional_kwargs": {}}, "did you mean 'model_kwargs'?"),
        (KiloLLM, {"model_kwargs": {}}, "did you mean 'additional_kwargs'?"),
        (ChatKilo, {"thread_id": "42"}, "did you mean 'task_id'?"),
    ],
)
def test_other_names_have_an_answer_too(cls: type[GatewaySettings], arguments: dict[str, Any], answer: str) -> None:
    with pytest.raises(ValueError, match=f"{cls.__name__} has no argument") as caught:
        cls(**arguments)
    assert answer in str(caught.value)


@pytest.mark.parametrize("cls", [ChatKilo, KiloLLM])
@pytest.mark.parametrize(
    ("name", "answer"),
    [("temprature", "did you mean 'temperature'?"), ("stop_sequences", "did you mean 'stop'?"), ("zzz", "extra_body")],
)
def test_an_assigned_name_has_an_answer(cls: type[GatewaySettings], name: str, answer: str) -> None:
    with pytest.raises(ValueError, match=f"{cls.__name__} has no field '{name}'") as caught:
        setattr(cls(), name, 1)
    assert answer in str(caught.value)
