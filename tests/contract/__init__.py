"""A contract for LlamaIndex LLM classes, and the proof that KiloLLM keeps it."""

import pytest

for _name in ("base", "answers", "tools", "lifecycle", "quirks"):
    pytest.register_assert_rewrite(f"tests.contract.{_name}")
