"""The integration half of langchain-tests, whole, over real HTTP against the sandbox."""

from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_tests.integration_tests import ChatModelIntegrationTests

from kilo_gateway.sandbox import Sandbox
from langchain_kilo import ChatKilo


class TestChatKiloIntegration(ChatModelIntegrationTests):
    @pytest.fixture(autouse=True)
    def _gateway(self, kilo_sandbox: Sandbox) -> None:
        self.gateway = kilo_sandbox

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatKilo

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {
            "model": "anthropic/claude-sonnet-4.6",
            "base_url": self.gateway.base_url,
            "api_key": self.gateway.api_key,
        }

    @property
    def has_tool_choice(self) -> bool:
        return True

    @property
    def supports_image_inputs(self) -> bool:
        return True

    @property
    def supports_image_urls(self) -> bool:
        return True

    @property
    def supports_pdf_inputs(self) -> bool:
        return True

    @property
    def supports_audio_inputs(self) -> bool:
        return True

    @property
    def supports_video_inputs(self) -> bool:
        return True

    @property
    def supports_anthropic_inputs(self) -> bool:
        return True

    @property
    def supports_image_tool_message(self) -> bool:
        return True

    @property
    def supports_pdf_tool_message(self) -> bool:
        return True

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def enable_vcr_tests(self) -> bool:
        return True

    @property
    def model_override_value(self) -> str:
        return "google/gemini-2.5-flash"
