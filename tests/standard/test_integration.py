"""Run the whole integration half of langchain-tests over real HTTP with the sandbox."""

import pytest

from kilo_gateway.sandbox import Sandbox
from tests.standard.chat_model import ChatKiloStandard
from tests.support import vcr_settings


class TestChatKiloIntegration(ChatKiloStandard):
    @pytest.fixture(autouse=True)
    def _gateway(self, kilo_sandbox: Sandbox) -> None:
        self.gateway = vcr_settings.sandbox(kilo_sandbox)
