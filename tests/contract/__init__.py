"""Define a contract for LlamaIndex LLM classes, and test that KiloLLM fulfils it."""

import pytest

for _name in ("base", "answers", "tools", "lifecycle", "quirks"):
    pytest.register_assert_rewrite(f"tests.contract.{_name}")
