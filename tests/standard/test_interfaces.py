"""Run the whole integration half of langchain-tests on the other interfaces, with the sandbox or the live gateway."""

from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel

from tests.standard.chat_model import ChatKiloStandard
from tests.support.vcr_settings import Source


class OnAnInterface(ChatKiloStandard):
    """The properties of ChatKilo on one interface; a subclass sets `api` and `model_id`."""

    __test__ = False
    api: str
    model_id: str

    @pytest.fixture(autouse=True)
    def _gateway(self, tested_gateway: Source) -> None:
        self.gateway = tested_gateway

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": self.model_id, "api": self.api, **self.gateway.chat_params}

    @property
    def supports_json_mode(self) -> bool:
        return self.api != "messages"

    @property
    def enable_vcr_tests(self) -> bool:
        return False


class TestChatKiloOnMessages(OnAnInterface):
    __test__ = True
    api = "messages"
    model_id = "anthropic/claude-sonnet-4.6"

    @property
    def supports_audio_inputs(self) -> bool:
        return False

    @property
    def supports_video_inputs(self) -> bool:
        return False


class TestChatKiloOnResponses(OnAnInterface):
    __test__ = True
    api = "responses"
    model_id = "openai/gpt-5.4"

    @pytest.mark.xfail(raises=ValueError, strict=True, reason="Responses has no `stop`, and the call says so by name")
    def test_stop_sequence(self, model: BaseChatModel) -> None:
        super().test_stop_sequence(model)

    @property
    def supports_video_inputs(self) -> bool:
        return False
