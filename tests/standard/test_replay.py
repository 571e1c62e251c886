"""Run the whole integration half of langchain-tests from cassettes, with the network blocked."""

import pytest

from tests.standard.chat_model import ChatKiloStandard
from tests.support.vcr_settings import Source


@pytest.mark.vcr
@pytest.mark.block_network
class TestChatKiloReplay(ChatKiloStandard):
    @pytest.fixture(autouse=True)
    def _gateway(self, recorded_gateway: Source) -> None:
        self.gateway = recorded_gateway
