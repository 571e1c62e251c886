"""Run the whole integration half of langchain-tests over real HTTP, with the sandbox or the live gateway."""

import pytest

from tests.standard.chat_model import ChatKiloStandard
from tests.support.vcr_settings import Source


class TestChatKiloIntegration(ChatKiloStandard):
    @pytest.fixture(autouse=True)
    def _gateway(self, tested_gateway: Source) -> None:
        self.gateway = tested_gateway
