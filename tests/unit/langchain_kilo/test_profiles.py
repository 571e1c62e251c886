"""The model profile: from the list kept on disk, else the built-in table; what the user says wins."""

from typing import Any

import pytest
from langchain.agents.middleware import SummarizationMiddleware
from langchain_core.messages import HumanMessage
from pydantic import BaseModel

from kilo_gateway.models.info import ModelInfo
from langchain_kilo import ChatKilo
from langchain_kilo.profiles import profile_of
from llama_index_kilo import KiloLLM


class Person(BaseModel):
    """A person."""

    name: str


ENTRY = {
    "id": "vendor/model",
    "name": "Model",
    "context_length": 200_000,
    "architecture": {"input_modalities": ["text", "image", "file"], "output_modalities": ["text"]},
    "top_provider": {"max_completion_tokens": 64_000},
    "supported_parameters": ["tools", "reasoning", "structured_outputs"],
    "opencode": {"variants": {"low": {"reasoning": {"effort": "low"}}, "high": {"reasoning": {"effort": "high"}}}},
}


def test_what_the_list_tells() -> None:
    info = ModelInfo.read(ENTRY)
    assert info is not None
    assert profile_of(info) == {
        "name": "Model",
        "max_input_tokens": 200_000,
        "max_output_tokens": 64_000,
        "reasoning_output": True,
        "reasoning_effort_levels": ["low", "high"],
        "tool_calling": True,
        "structured_output": True,
        "text_inputs": True,
        "image_inputs": True,
        "image_url_inputs": True,
        "pdf_inputs": True,
        "audio_inputs": False,
        "video_inputs": False,
        "text_outputs": True,
        "image_outputs": False,
        "audio_outputs": False,
        "video_outputs": False,
    }


def test_nothing_is_told_that_the_list_does_not_tell() -> None:
    info = ModelInfo.read({"id": "vendor/model"})
    assert info is not None
    assert profile_of(info) == {}
    assert ChatKilo(model="nobody/knows-this").profile is None


def test_tiers_have_one_without_a_network() -> None:
    profile = ChatKilo(tier="frontier").profile
    assert profile is not None
    assert profile["max_input_tokens"] == 1_000_000
    assert profile["tool_calling"] is True
    assert "structured_output" not in profile


def test_summarizing_at_a_fraction_of_the_window_needs_no_list() -> None:
    llm = ChatKilo(model="deepseek/deepseek-v3.2")
    middleware = SummarizationMiddleware(model=llm, trigger=("fraction", 0.8), keep=("fraction", 0.3))
    messages: list[Any] = [HumanMessage("word " * 200_000, id="1"), HumanMessage("Hi", id="2")]
    assert middleware._should_summarize(messages, 140_000)
    assert not middleware._should_summarize(messages, 120_000)
    assert KiloLLM(model="deepseek/deepseek-v3.2").metadata.context_window == 163_840


def test_a_copy_for_another_tier_has_the_profile_of_that_tier() -> None:
    llm = ChatKilo(model="nobody/knows-this")
    assert llm.with_tier("free").profile == ChatKilo(tier="free").profile
    own: Any = {"max_input_tokens": 5}
    assert ChatKilo(tier="free", profile=own).profile == own
    assert ChatKilo(tier="free", profile=own).with_tier("small").profile == own


@pytest.mark.parametrize(
    ("profile", "sent"), [({"structured_output": True}, "response_format"), ({}, "tools"), (None, "tools")]
)
def test_the_profile_decides_how_structured_output_is_asked_for(profile: Any, sent: str) -> None:
    llm = ChatKilo(model="nobody/knows-this", profile=profile)
    bound: Any = llm.with_structured_output(Person)
    assert sent in bound.first.kwargs


def test_the_profile_follows_the_model_unless_it_was_given() -> None:
    own: Any = {"max_input_tokens": 5}
    for change in ("assign", "copy"):
        for profile in (None, own):
            llm = ChatKilo(tier="free", profile=profile)
            if change == "assign":
                llm.tier = "frontier"
            else:
                llm = llm.model_copy(update={"tier": "frontier"})
            assert llm.profile == (profile or ChatKilo(tier="frontier").profile)
