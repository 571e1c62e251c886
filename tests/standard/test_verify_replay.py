"""Replay the checks of `kilo-gateway verify` from cassettes: each one decides as it did when it was recorded.

`make record` records them, from the sandbox or from the live gateway, and what they decided.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kilo_gateway.sandbox import Sandbox
from kilo_gateway.verify import list_checks, verify
from tests.support import vcr_settings
from tests.support.vcr_settings import Source

GROUPS = list(dict.fromkeys(check.group for check in list_checks()))
ORGANIZATION = "0b7cc6f2-6d0b-4c3e-9a53-0d1de1d0a7b5"


@pytest.fixture(scope="module")
def source(recorded_gateway: Source) -> Source:
    if recorded_gateway is vcr_settings.NOBODY:
        return replace(recorded_gateway, organization_id=ORGANIZATION)
    own = Sandbox.organization_id if recorded_gateway.api_key == Sandbox.api_key else None
    return replace(recorded_gateway, organization_id=recorded_gateway.organization_id or own)


@pytest.fixture(scope="module")
def vcr_config(source: Source) -> dict[str, Any]:
    return vcr_settings.checks_config(source)


@pytest.fixture(scope="module")
def vcr_cassette_dir(vcr_cassette_dir: str) -> str:
    return str(Path(vcr_cassette_dir) / "verify")


@pytest.fixture
def default_cassette_name(group: str) -> str:
    return group


@pytest.mark.vcr
@pytest.mark.block_network
@pytest.mark.parametrize("group", GROUPS)
def test_each_check_decides_as_it_did(group: str, source: Source, record_mode: str, vcr_cassette_dir: str) -> None:
    report = verify(only=[group], limit_usd=0.05, **source.params)
    decided = {result.check.id: f"{result.status} {result.eras}".strip() for result in report.results}
    path = Path(vcr_cassette_dir) / f"{group}.json"
    if record_mode != "none":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(decided, indent=1) + "\n", encoding="utf-8")
    assert decided == json.loads(path.read_text(encoding="utf-8"))
