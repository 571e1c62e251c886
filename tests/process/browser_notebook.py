"""Test the page of notebook 07 in headless Chromium: `make test-browser`, which `make test` does not include.

The application is the notebook's: its cells run up to the one that serves it.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import nbformat
import pytest
from langchain.agents import create_agent
from playwright.sync_api import Browser, Page, expect

from langchain_kilo import ChatKilo
from tests.support.chromium import chromium

NOTEBOOK = Path(__file__).resolve().parents[2] / "notebooks/07_web_app.ipynb"
QUESTION = "Use find_trains for the city 'Oslo'."
# Collects every text that the page shows. An observer sees each change, and needs no waiting.
WATCH = """() => {
  window.texts = [];
  const answer = document.getElementById("answer");
  new MutationObserver(() => texts.push(answer.textContent)).observe(answer, {childList: true});
}"""

Application = dict[str, Any]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def application() -> Iterator[Application]:
    """The names of the notebook, after the application has started."""
    names: Application = {"__name__": "__main__"}
    cells = (cell for cell in nbformat.read(NOTEBOOK, as_version=4).cells if cell.cell_type == "code")
    with mock.patch.dict(os.environ):  # the first cell sets variables
        while "address" not in names:
            exec(next(cells).source, names)  # noqa: S102 -- our own notebook
        yield names
        names["server"].should_exit = True
        names["serving"].join()
        names["gateway"].stop()


@pytest.fixture
def page(browser: Browser, application: Application) -> Iterator[Page]:
    """The page in a new window, which loads nothing from another host and raises nothing."""
    requested: list[str] = []
    raised: list[str] = []
    with browser.new_page() as page:
        page.on("request", lambda request: requested.append(request.url))
        page.on("pageerror", lambda error: raised.append(str(error)))
        page.goto(application["address"])
        page.evaluate(WATCH)
        yield page
    assert requested
    assert [url for url in requested if not url.startswith(f"{application['address']}/")] == []
    assert raised == []


def ask(page: Page, question: str = QUESTION) -> None:
    page.get_by_label("Question").fill(question)
    page.get_by_role("button", name="Ask").click()


def shown(page: Page) -> list[str]:
    texts: list[str] = page.evaluate("texts")
    return texts


def test_the_tool_is_named_and_the_answer_grows(page: Page, application: Application) -> None:
    answer = application["agent"].invoke({"messages": [("user", QUESTION)]})["messages"][-1].text
    ask(page)
    expect(page.get_by_role("status")).to_have_text(f"(uses find_trains) {answer}")
    first, *growing, last = [text for text in shown(page) if text]
    assert first == "(uses find_trains) "
    assert len({len(text) for text in growing}) >= 2
    assert all(last.startswith(text) for text in growing)


def test_a_second_question_replaces_the_first(page: Page, application: Application) -> None:
    answer = application["agent"].invoke({"messages": [("user", "Name a lake.")]})["messages"][-1].text
    ask(page)
    expect(page.get_by_role("status")).to_contain_text("(uses find_trains) ")
    ask(page, "Name a lake.")
    expect(page.get_by_role("status")).to_have_text(answer)


def test_a_model_that_fails_is_reported_after_the_text_so_far(page: Page, application: Application) -> None:
    application["agent"] = create_agent(ChatKilo(model="sandbox/drop-connection"))
    ask(page, "Name a river.")
    expect(page.get_by_role("status")).to_contain_text("[The stream ended before the answer was complete")
    assert shown(page)[-2]
    assert shown(page)[-1].startswith(shown(page)[-2])


def test_a_connection_that_breaks_is_reported(page: Page, application: Application) -> None:
    async def cut(agent: object, question: str) -> Any:
        yield application["event"]("text", text="Half of an")

    application["answer"] = cut
    ask(page)
    expect(page.get_by_role("status")).to_have_text("Half of an [The connection broke; the answer is not complete.]")
