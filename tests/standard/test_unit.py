"""Run the whole unit half of langchain-tests on each interface."""

from importlib import import_module
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_tests.unit_tests import ChatModelUnitTests

from langchain_kilo import ChatKilo


class TestChatKiloUnit(ChatModelUnitTests):
    @pytest.fixture(autouse=True)
    def _listed_by_core(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Add ChatKilo to "all": core by default loads only the classes of its own list.

        tests/wire/langchain_kilo/test_chat_models.py tests `allowed_objects=[ChatKilo]`, as a user would write it.
        """
        # The package rebinds the name of this module to its function.
        load_module = import_module("langchain_core.load.load")
        allowed = load_module._get_default_allowed_class_paths("all") | {tuple(ChatKilo.lc_id())}
        monkeypatch.setattr(load_module, "_get_default_allowed_class_paths", lambda mode: set(allowed))

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatKilo

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": "anthropic/claude-sonnet-4.6"}

    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
        env = {
            "KILO_API_KEY": "test-key",
            "KILO_BASE_URL": "https://gateway.example/api/gateway",
            "KILO_ORG_ID": "0b7cc6f2-6d0b-4c3e-9a53-0d1de1d0a7b5",
        }
        expected = {
            "api_key": "test-key",
            "base_url": "https://gateway.example/api/gateway",
            "organization_id": "0b7cc6f2-6d0b-4c3e-9a53-0d1de1d0a7b5",
        }
        return env, {}, expected


class TestChatKiloUnitOnMessages(TestChatKiloUnit):
    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": "anthropic/claude-sonnet-4.6", "api": "messages"}


class TestChatKiloUnitOnResponses(TestChatKiloUnit):
    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": "openai/gpt-5.4", "api": "responses"}
