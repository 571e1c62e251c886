"""Start a headless Chromium for the tests of `make test-browser`: the installed one, or that of Playwright."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
REMEDY = (
    "no Chromium is installed; on Debian: apt-get install chromium; "
    "elsewhere: .venv-browser/bin/playwright install chromium"
)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Yield a browser, and close it at the end; the test fails if none is installed."""
    with sync_playwright() as playwright:
        installed = next(filter(None, map(shutil.which, NAMES)), None)
        if installed is None and not Path(playwright.chromium.executable_path).exists():
            pytest.fail(REMEDY, pytrace=False)
        with playwright.chromium.launch(executable_path=installed) as browser:
            yield browser
