"""Provide the files that langchain-tests downloads, and one cassette per test that all classes share."""

import base64
import io
import wave
from typing import Any

import httpx
import pytest
from pytest_recording.plugin import get_default_cassette_name

from kilo_gateway.sandbox.scenarios.answers import PNG


def _wav() -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(1600))
    return buffer.getvalue()


@pytest.fixture
def default_cassette_name(request: pytest.FixtureRequest) -> str:
    return get_default_cassette_name(None, request.node.name)


def _pdf() -> bytes:
    text = b"BT /F1 18 Tf 20 40 Td (Sandbox) Tj ET"
    font = b"<</Font<</F1<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>>>"
    document, places = b"%PDF-1.4\n", []
    for number, content in enumerate(
        (
            b"<</Type/Catalog/Pages 2 0 R>>",
            b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 100]/Contents 4 0 R/Resources%s>>" % font,
            b"<</Length %d>>stream\n%s\nendstream" % (len(text), text),
        ),
        1,
    ):
        places.append(len(document))
        document += b"%d 0 obj%s endobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    trailer = b"trailer<</Size 5/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % len(document)
    return document + b"xref\n0 5\n0000000000 65535 f \n" + table + trailer


@pytest.fixture(autouse=True)
def _downloads(monkeypatch: pytest.MonkeyPatch) -> None:
    def get(url: str, **kwargs: Any) -> httpx.Response:
        content = _pdf() if url.endswith(".pdf") else _wav() if url.endswith(".wav") else base64.b64decode(PNG)
        return httpx.Response(200, content=content, request=httpx.Request("GET", url))

    monkeypatch.setattr(httpx, "get", get)
    monkeypatch.setenv("LANGCHAIN_TESTS_USER_AGENT", "kilo-gateway tests")
