"""Describe ChatKilo to langchain-tests, for any gateway."""

from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_tests.integration_tests import ChatModelIntegrationTests

from langchain_kilo import ChatKilo
from tests.support.vcr_settings import Source


class ChatKiloStandard(ChatModelIntegrationTests):
    """The properties of ChatKilo that langchain-tests reads; a subclass sets `gateway`."""

    gateway: Source

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatKilo

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": "google/gemini-2.5-flash", **self.gateway.chat_params}

    @property
    def model_override_value(self) -> str:
        return "anthropic/claude-sonnet-4.6"

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
