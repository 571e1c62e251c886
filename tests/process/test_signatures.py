"""Test that the constructors show their arguments before the first object is built."""

import json
import subprocess
import sys

CODE = """
import inspect, json
from langchain_kilo import ChatKilo, KiloEmbeddings
from llama_index_kilo import KiloEmbedding, KiloLLM
found = {}
for cls in (ChatKilo, KiloEmbeddings, KiloLLM, KiloEmbedding):
    before = inspect.signature(cls)
    cls()
    found[cls.__name__] = {
        "shown": {name: str(parameter) for name, parameter in before.parameters.items()},
        "fields": list(cls.model_fields),
        "after": [name for name in inspect.signature(cls).parameters if name != "args"],
    }
print(json.dumps(found))
"""


def test_each_constructor_shows_all_its_arguments_in_a_fresh_process() -> None:
    result = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    found = json.loads(result.stdout)
    assert set(found) == {"ChatKilo", "KiloEmbeddings", "KiloLLM", "KiloEmbedding"}
    for cls, arguments in found.items():
        assert list(arguments["shown"]) == arguments["fields"] == arguments["after"], cls
    for cls in ("ChatKilo", "KiloLLM"):
        shown = found[cls]["shown"]
        assert shown["tier"].endswith(" = None")
        assert shown["temperature"] == "temperature: float | None = None"
        assert shown["api_key"].endswith(" = <factory>")
        assert "Annotated" not in " ".join(shown.values()), "checks hide the types"
