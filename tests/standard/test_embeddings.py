"""Run both halves of langchain-tests for embeddings; the second half asks the sandbox or the live gateway."""

from typing import Any

import pytest
from langchain_core.embeddings import Embeddings
from langchain_tests.integration_tests import EmbeddingsIntegrationTests
from langchain_tests.unit_tests import EmbeddingsUnitTests

from langchain_kilo import KiloEmbeddings
from tests.support.vcr_settings import Source


class TestKiloEmbeddingsUnit(EmbeddingsUnitTests):
    @property
    def embeddings_class(self) -> type[Embeddings]:
        return KiloEmbeddings

    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
        account = {"api_key": "test-key", "organization_id": "0b7cc6f2-6d0b-4c3e-9a53-0d1de1d0a7b5"}
        base_url = "https://gateway.example/api/gateway"
        env = {"KILO_API_KEY": account["api_key"], "KILO_ORG_ID": account["organization_id"]}
        return {**env, "KILO_BASE_URL": base_url}, {}, {**account, "base_url": base_url}


class TestKiloEmbeddingsIntegration(EmbeddingsIntegrationTests):
    @pytest.fixture(autouse=True)
    def _gateway(self, tested_gateway: Source) -> None:
        self.gateway = tested_gateway

    @property
    def embeddings_class(self) -> type[Embeddings]:
        return KiloEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return self.gateway.params
