"""Which models come with a notice, and that it is given once."""

import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest

from kilo_gateway import GatewaySettings, KiloDataPolicyWarning, data_policy
from kilo_gateway.models import known as known_models
from kilo_gateway.models import store
from tests.support.warned import issued

URL = "http://127.0.0.1:9/api/gateway"


@pytest.mark.parametrize(
    ("model", "keyed", "message"),
    [
        ("kilo-auto/free", True, "NVIDIA trial endpoints"),
        ("kilo-auto/small", False, "nothing confidential"),
        ("kilo-auto/small", True, None),
        ("kilo-auto/balanced", True, "routing classifier"),
        ("kilo-auto/efficient", True, "routing classifier"),
        ("kilo-auto/frontier", True, None),
        ("nvidia/nemotron-3-ultra-550b-a55b:free", False, "API trial terms"),
        ("nvidia/super-1:free", False, "API trial terms"),
        ("kilo/giga-potato-free", False, "training"),
        ("poolside/laguna-m.1:free", False, "training"),
        ("openrouter/free", False, "training"),
        ("stealth/space-bunny-alpha", False, "training"),
        ("anthropic/claude-sonnet-4.6", True, None),
    ],
)
def test_notices(model: str, keyed: bool, message: str | None) -> None:
    notice = data_policy.notice_for(model, keyed=keyed)
    assert (notice is None) == (message is None)
    assert (message or "") in (notice or "")
    assert notice is None or "acknowledge_data_policy=True" in notice
    assert ('data_collection="deny"' in (notice or "")) == (notice is not None and message != "routing classifier")


def test_what_the_list_of_models_tells() -> None:
    def message(**facts: object) -> str | None:
        catalog_entry = {"id": "a/quiet", **facts}
        store.ListFile.of(URL, "").write(store.Stored(time.time(), [catalog_entry]))
        known_models.forget()
        return data_policy.notice_for("a/quiet", keyed=True, base_url=URL)

    assert "training" in (message(mayTrainOnYourPrompts=True) or "")
    assert "training" in (message(isFree=True) or "")
    assert message(isFree=True, mayTrainOnYourPrompts=False) is None
    assert message(isFree=False) is None
    assert message() is None


def test_threads_issue_it_once() -> None:
    settings = GatewaySettings()

    def act() -> None:
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda _: data_policy.warn_once(settings, "kilo-auto/free", refused=False), range(100)))

    assert len(issued(act)) == 1


def test_a_filter_of_the_category_silences_it() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", category=KiloDataPolicyWarning)  # what is tested
        data_policy.warn_once(GatewaySettings(), "kilo-auto/free", refused=False)


def test_what_contradicts_itself_is_refused() -> None:
    with pytest.raises(ValueError, match="data_collection='deny' contradicts provider="):
        GatewaySettings(data_collection="deny", provider={"data_collection": "allow"})
    settings = GatewaySettings(data_collection="deny")
    with pytest.raises(ValueError, match="contradicts"):
        settings.provider = {"data_collection": "allow"}
    with pytest.raises(ValueError, match="'allow' or 'deny'"):
        settings.data_collection = "no"  # type: ignore[assignment] # what is refused
    with pytest.raises(ValueError, match="contradicts"):
        settings.prepare(
            [], stream=False, keywords={"data_collection": "deny", "provider": {"data_collection": "allow"}}
        )
