"""Test that importing and composing a model do not import the openai package, which the errors need."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "code",
    [
        "import langchain_kilo, langchain_kilo.translation",
        "from langchain_kilo import ChatKilo; ChatKilo().bind_tools([])",
        "from langchain_kilo import ChatKilo; ChatKilo().with_structured_output({'title': 'a', 'type': 'object'})",
        "from langchain_kilo import KiloEmbeddings; KiloEmbeddings()",
    ],
)
def test_openai_is_not_imported_before_a_call(code: str) -> None:
    check = f"{code}\nimport sys\nassert 'openai' not in sys.modules"
    subprocess.run([sys.executable, "-W", "ignore", "-c", check], check=True)
