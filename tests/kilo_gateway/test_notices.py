"""Which models come with a notice, and how often it is given."""

import warnings

import pytest

from kilo_gateway import KiloDataPolicyWarning, notices


@pytest.mark.parametrize(
    ("model", "keyed", "told"),
    [
        ("kilo-auto/free", True, "NVIDIA trial endpoints"),
        ("kilo-auto/small", False, "nothing confidential"),
        ("kilo-auto/small", True, None),
        ("kilo-auto/balanced", True, "routing classifier"),
        ("kilo-auto/efficient", True, "routing classifier"),
        ("kilo-auto/frontier", True, None),
        ("nvidia/nemotron-3-ultra-550b-a55b:free", False, "API trial terms"),
        ("poolside/laguna-m.1:free", False, "training"),
        ("openrouter/free", False, "training"),
        ("stealth/space-bunny-alpha", False, "training"),
        ("anthropic/claude-sonnet-4.6", True, None),
    ],
)
def test_notices(model: str, keyed: bool, told: str | None) -> None:
    notice = notices.notice_for(model, keyed=keyed)
    assert (notice is None) == (told is None)
    assert (told or "") in (notice or "")


def test_once_per_process_and_model() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for model in ("kilo-auto/free", "kilo-auto/free", "openrouter/free", "a/b"):
            notices.warn_once(model, {}, keyed=False)
    assert [w.category for w in caught] == [KiloDataPolicyWarning] * 2


@pytest.mark.parametrize("provider", [{"data_collection": "deny"}, {"zdr": True}])
def test_who_refuses_data_collection_needs_no_notice(provider: dict[str, object]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        notices.warn_once("kilo-auto/free", {"provider": provider}, keyed=False)
