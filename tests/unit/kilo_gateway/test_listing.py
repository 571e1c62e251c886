"""Asking for the list of models: what is refused before anything is sent, and where the list is kept."""

import sys
from pathlib import Path
from typing import Any

import pytest

from kilo_gateway import list_models
from kilo_gateway.models import store


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"max_age": -1}, "max_age=-1"),
        ({"max_age": float("nan")}, "max_age=nan"),
        ({"timeout": 0}, "timeout"),
        ({"organization_id": "mine"}, "UUID"),
        ({"base_url": "http://gateway.example/api/gateway", "api_key": "secret"}, "plain http"),
        ({"api_keys": "secret"}, "did you mean 'api_key'"),
        ({"model": "a/b"}, "filter"),
    ],
)
def test_wrong_arguments_are_named_without_secrets(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text) as caught:
        list_models(**arguments)
    assert "secret" not in str(caught.value)


def test_the_platforms_folder_is_the_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("KILO_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert "kilo-gateway" in store.folder().parts
    if sys.platform == "linux":
        assert store.folder() == tmp_path / "kilo-gateway"
