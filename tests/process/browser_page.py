"""Test the page of the sandbox in headless Chromium: `make test-browser`, which `make test` does not include."""

import http.client
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import vcr
from langchain.agents import create_agent
from langchain_core.tools import tool
from playwright.sync_api import Browser, BrowserContext, Locator, Page, Response, expect

from kilo_gateway import KiloCreditsError
from kilo_gateway.sandbox import Record, Sandbox
from langchain_kilo import ChatKilo
from tests.support.chromium import chromium
from tests.support.plain_client import CHAT, PATHS, chat, post

PLAN = "Plan a garden"
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
# The least contrast of a text with what is behind it (WCAG 2.2, 1.4.3), of the texts that can be seen.
CONTRAST = """() => {
  const channel = (value) => value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * channel(r / 255) + 0.7152 * channel(g / 255) + 0.0722 * channel(b / 255);
  const colour = (text) => text.match(/[\\d.]+/g).map(Number);
  const behind = (node) => {
    for (; node; node = node.parentElement) {
      const found = colour(getComputedStyle(node).backgroundColor);
      if (found.length < 4 || found[3] > 0) return found;
    }
    return [255, 255, 255];
  };
  const low = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let text; (text = walker.nextNode());) {
    const node = text.parentElement;
    if (!text.data.trim() || !node.checkVisibility() || ["OPTION", "STYLE"].includes(node.tagName)) continue;
    const [one, other] = [light(colour(getComputedStyle(node).color)), light(behind(node))];
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (ratio < 4.5) low.push(`${text.data.slice(0, 20)}: ${ratio.toFixed(2)}`);
  }
  return low;
}"""
# Measures the time between frames of the screen, and tasks of more than 50 ms that keep the page from drawing.
MEASURE = """() => {
  window.frames = [];
  window.tasks = [];
  new PerformanceObserver((list) => tasks.push(...list.getEntries().map((entry) => entry.duration)))
    .observe({ type: "longtask" });
  let last = performance.now();
  const next = (now) => { window.frames.push(now - last); last = now; requestAnimationFrame(next); };
  requestAnimationFrame(next);
}"""

OPEN = "(node) => node.querySelectorAll('details').forEach((each) => { each.open = true; })"


@tool
def find_trains(city: str) -> str:
    """Return the trains that leave a city today."""
    return f"Three trains leave {city}."


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def gw(kilo_sandbox: Sandbox) -> Sandbox:
    return kilo_sandbox


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    with browser.new_context(viewport={"width": 1280, "height": 800}, accept_downloads=True) as context:
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        yield context


@contextmanager
def opened(context: BrowserContext, gateway: Sandbox) -> Iterator[Page]:
    """Yield the page in a new tab, which asks no other host, raises nothing and breaks no rule of its policy."""
    requested: list[str] = []
    raised: list[str] = []
    page = context.new_page()
    page.on("request", lambda request: requested.append(request.url))
    page.on("pageerror", lambda error: raised.append(str(error)))
    page.on("console", lambda message: raised.append(message.text) if "Policy" in message.text else None)
    page.on("dialog", lambda dialog: raised.append(dialog.message))
    page.goto(gateway.page_url)
    expect(page.locator("#connection")).to_have_text("Live")
    yield page
    own = (gateway.page_url, f"blob:{gateway.page_url}", "data:")
    assert [url for url in requested if not url.startswith(own)] == []
    assert raised == []
    page.close()


@pytest.fixture
def page(context: BrowserContext, gw: Sandbox) -> Iterator[Page]:
    with opened(context, gw) as page:
        yield page


def row(page: Page, number: int) -> Locator:
    return page.locator(f"#row-{number}")


def read(page: Page, number: int) -> Locator:
    """Choose a request, and return its details."""
    row(page, number).click()
    expect(page.get_by_role("heading", name=f"Request {number}", exact=True)).to_be_visible()
    return page.locator("#details")


def block(page: Page, title: str) -> Locator:
    return page.locator("details.block").filter(has=page.get_by_role("heading", name=title, exact=True))


def ask(gateway: Sandbox, **fields: Any) -> ChatKilo:
    return ChatKilo(**{"base_url": gateway.base_url, "api_key": gateway.api_key, "max_retries": 0, **fields})


def number_of(gateway: Sandbox) -> int:
    return gateway.last.number


def test_a_stream_is_shown_while_it_arrives(page: Page, gw: Sandbox) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", gw.port, timeout=30)
    body = {"model": "sandbox/stall", "stream": True, "messages": [{"role": "user", "content": "Hi"}]}
    connection.request("POST", CHAT, json.dumps(body))
    stream = connection.getresponse()
    number = number_of(gw)
    expect(row(page, number)).to_contain_text("Running")
    details = read(page, number)
    expect(block(page, "Answer")).to_contain_text("Hello! How")
    expect(block(page, "Answer").locator("summary")).to_contain_text("so far")
    lines = block(page, "Time line").locator("tbody tr")
    expect(lines.filter(has_text="KILO PROCESSING")).to_have_count(1)
    expect(lines.last).to_contain_text("How")
    stream.close()
    connection.close()
    expect(row(page, number)).to_contain_text("Client left")
    expect(details.get_by_text("Client left")).to_be_visible()


def test_the_answer_grows_and_ends_with_tokens_and_cost(context: BrowserContext) -> None:
    with Sandbox(delay=0.01) as gateway, opened(context, gateway) as page:
        thread = threading.Thread(target=lambda: list(ask(gateway, tier="frontier", mode="plan").stream(PLAN)))
        thread.start()
        read(page, 1)
        page.evaluate(
            """() => { window.lengths = new Set(); const node = document.getElementById("details");
            new MutationObserver(() => lengths.add(node.querySelectorAll(".frames tbody tr").length))
              .observe(node, {childList: true, subtree: true}); }"""
        )
        expect(row(page, 1)).to_contain_text("200")
        thread.join()
        frames = len(gateway.last.written)
        expect(block(page, "Time line").locator("tbody tr")).to_have_count(frames)
        assert page.evaluate("lengths.size") > 3
        expect(block(page, "Answer")).to_contain_text("Water in the morning")
        facts = page.locator("#details dl")
        for text in ("anthropic/claude-opus-4.7", "frontier", "plan", "Tokens in", "$0.00"):
            expect(facts).to_contain_text(text)


def test_a_tool_call_its_result_and_the_gateways_changes(page: Page, gw: Sandbox) -> None:
    agent: Any = create_agent(ask(gw, tier="frontier", mode="code"), [find_trains])
    agent.invoke({"messages": [("user", "Use find_trains for the city 'Oslo'.")]})
    first, second = (record.number for record in gw.requests)
    read(page, first)
    expect(block(page, "Answer").locator(".part").last).to_contain_text("find_trains")
    expect(block(page, "Tools")).to_contain_text("Return the trains that leave a city today.")
    changes = block(page, "Changed by the gateway").locator("tr").filter(has_text="model")
    expect(changes.first).to_contain_text("kilo-auto/frontier")
    expect(changes.first.locator("mark").last).to_contain_text("anthropic/claude-sonnet")
    read(page, second)
    results = block(page, "Conversation").locator(".part").filter(has_text="tool result")
    expect(results).to_contain_text("find_trains")
    expect(results).to_contain_text("Three trains leave Oslo.")


@pytest.mark.parametrize("api", PATHS)
def test_an_image_is_a_thumbnail_on_each_interface(page: Page, gw: Sandbox, api: Any) -> None:
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
    ask(gw, model="anthropic/claude-sonnet-4.6", api=api).invoke([("user", [{"type": "text", "text": "Look"}, image])])
    read(page, number_of(gw))
    picture = block(page, "Conversation").get_by_role("img")
    expect(picture).to_have_js_property("naturalWidth", 1)


def test_an_error_is_shown_with_its_remedy(page: Page, gw: Sandbox) -> None:
    with pytest.raises(KiloCreditsError):
        ask(gw, tier="frontier", api_key=gw.poor_api_key).invoke(PLAN)
    expect(row(page, number_of(gw))).to_contain_text("402")
    error = read(page, number_of(gw)).get_by_role("group", name="Error")
    expect(error).to_contain_text("usage_limit_exceeded")
    expect(error.locator(".remedy")).to_have_text('Add credits at https://app.kilo.ai/profile, or use tier="free".')


def test_requests_before_the_page_was_opened_and_after_a_reload(page: Page, gw: Sandbox) -> None:
    for _ in range(3):
        chat(gw, "sandbox/echo")
    expect(page.locator("#count")).to_have_text("3 requests")
    read(page, number_of(gw))
    page.reload()
    expect(page.locator("#count")).to_have_text("3 requests")
    expect(page.get_by_role("heading", name=f"Request {number_of(gw)}", exact=True)).to_be_visible()


def test_a_lost_connection_loses_no_request(context: BrowserContext) -> None:
    with Sandbox() as first:
        port = first.port
    gateway = Sandbox(port=port)
    with gateway, opened(context, gateway) as page:
        chat(gateway, "sandbox/echo", "one")
        expect(page.locator("#count")).to_have_text("1 request")
        gateway.stop()
        expect(page.locator("#connection")).to_have_text("Not connected; trying again")
        gateway.start()
        chat(gateway, "sandbox/echo", "two")
        expect(page.locator("#connection")).to_have_text("Live")
        expect(page.locator("#count")).to_have_text("2 requests")


def test_clear_empties_the_page_and_the_sandbox(page: Page, gw: Sandbox) -> None:
    chat(gw, "sandbox/echo")
    read(page, number_of(gw))
    page.get_by_role("button", name="Clear").click()
    expect(page.locator("#count")).to_have_text("0 requests")
    expect(page.locator("#details")).to_have_text("Choose a request in the list.")
    assert gw.requests == ()


def test_filters_and_search(page: Page, gw: Sandbox) -> None:
    ask(gw, model="sandbox/echo").invoke("Name a lake")
    ask(gw, model="openai/gpt-5.4", api="responses").invoke("Name a RIVER")
    chat(gw, "sandbox/error-429")
    count, listed = page.locator("#count"), page.locator("#list").get_by_role("option")
    expect(count).to_have_text("3 requests")
    page.get_by_label("Interface").select_option("Responses")
    expect(count).to_have_text("1 of 3 requests")
    expect(listed).to_contain_text("openai/gpt-5.4")
    page.get_by_label("Interface").select_option("All")
    page.get_by_label("Status").select_option("Error")
    expect(count).to_have_text("1 of 3 requests")
    expect(listed).to_contain_text("sandbox/error-429")
    page.get_by_label("Status").select_option("All")
    page.get_by_label("Model").fill("ECHO")
    expect(count).to_have_text("1 of 3 requests")
    page.get_by_label("Model").fill("")
    page.get_by_label("Search").fill("a river")
    expect(count).to_have_text("1 of 3 requests")
    ask(gw, model="sandbox/echo").invoke("Another a river")  # found as soon as it has arrived
    expect(count).to_have_text("2 of 4 requests")
    page.get_by_label("Search").fill("no such text")
    expect(count).to_have_text("0 of 4 requests")
    expect(listed).to_have_count(0)


def test_two_requests_side_by_side(page: Page, gw: Sandbox) -> None:
    for text, temperature in (("Name a lake", 0.1), ("Name a river", 0.9)):
        ask(gw, model="sandbox/echo", temperature=temperature).invoke(text)
    one, other = (record.number for record in gw.requests)
    read(page, one)
    page.get_by_role("button", name="Compare").click()
    expect(page.locator("#notice")).to_have_text(f"Choose the request to compare with request {one}.")
    row(page, other).click()
    expect(page.get_by_role("heading", name=f"Requests {one} and {other}")).to_be_visible()
    line = page.locator("#details tr").filter(has_text="body.messages[0].content")
    assert line.locator("mark").all_inner_texts() == ["lake", "river"]
    expect(page.locator("#details tr.same").filter(has_text="Requested model")).to_have_count(1)
    expect(page.locator("#details tr.differs").filter(has_text="body.temperature")).to_have_count(1)
    page.get_by_role("button", name="Stop comparing").click()
    expect(page.get_by_role("heading", name=f"Request {other}", exact=True)).to_be_visible()


def test_the_keyboard_is_enough(page: Page, gw: Sandbox) -> None:
    for text in ("one", "two", "three"):
        chat(gw, "sandbox/echo", text)
    expect(page.locator("#count")).to_have_text("3 requests")
    page.keyboard.press("/")
    expect(page.get_by_label("Search")).to_be_focused()
    page.keyboard.press("Escape")
    listing = page.get_by_role("listbox")
    expect(listing).to_be_focused()
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    newest = number_of(gw)
    for key, number in (("ArrowDown", newest), ("ArrowDown", newest - 1), ("End", newest - 2), ("ArrowUp", newest - 1)):
        page.keyboard.press(key)
        expect(page.get_by_role("heading", name=f"Request {number}", exact=True)).to_be_visible()
        expect(row(page, number)).to_have_attribute("aria-selected", "true")
        expect(listing).to_have_attribute("aria-activedescendant", f"row-{number}")
    page.keyboard.press("Enter")
    expect(page.locator("#details")).to_be_focused()
    for name in ("Copy as curl", "Copy as LangChain", "Copy as LlamaIndex", "Save as cassette", "Compare"):
        page.keyboard.press("Tab")
        expect(page.get_by_role("button", name=name)).to_be_focused()
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Escape")
    expect(listing).to_be_focused()


def test_it_has_landmarks_and_names(page: Page, gw: Sandbox) -> None:
    chat(gw, "sandbox/echo")
    read(page, number_of(gw))
    for role, name in (("search", "Filter the requests"), ("region", "List of requests"), ("region", "Details")):
        expect(page.get_by_role(role, name=name)).to_be_visible()
    for role in ("banner", "main"):
        expect(page.get_by_role(role)).to_be_visible()
    unnamed = """() => [...document.querySelectorAll("button, input, select, [role=listbox], canvas, img")]
      .filter((node) => !(node.ariaLabel || node.alt || node.labels?.length || node.textContent.trim()))
      .map((node) => node.outerHTML)"""
    assert page.evaluate(unnamed) == []


def test_it_is_readable_on_a_phone(page: Page, gw: Sandbox) -> None:
    page.set_viewport_size({"width": 400, "height": 800})
    chat(gw, "kilo-auto/frontier", "word " * 40 + "w" * 300, stream=True)
    wide = "document.documentElement.scrollWidth > 400"
    expect(row(page, number_of(gw))).to_be_visible()
    assert not page.evaluate(wide)
    expect(page.locator("#details")).to_be_hidden()
    read(page, number_of(gw))
    for title in ("Headers", "Body", "Raw answer"):
        block(page, title).locator("summary").click()
    assert not page.evaluate(wide)
    expect(page.locator("#list")).to_be_hidden()
    page.get_by_role("button", name="Back").click()
    expect(page.locator("#list")).to_be_focused()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_have_contrast(page: Page, gw: Sandbox, scheme: Any) -> None:
    page.emulate_media(color_scheme=scheme)
    background = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    assert (sum(background) > 600) is (scheme == "light")
    for model in ("kilo-auto/frontier", "sandbox/error-429", "sandbox/cut-stream"):
        chat(gw, model, stream=True)
    for record in gw.requests:
        read(page, record.number)
        assert page.evaluate(CONTRAST) == []
    page.get_by_role("button", name="Compare").click()
    row(page, gw.requests[0].number).click()
    expect(page.get_by_role("heading", name="Requests")).to_have_count(2)
    assert page.evaluate(CONTRAST) == []


def copied(page: Page, form: str) -> str:
    page.get_by_role("button", name=f"Copy as {form}").click()
    expect(page.locator("#notice")).to_have_text(f"Copied as {form}.")
    text: str = page.evaluate("navigator.clipboard.readText()")
    return text


def asked(page: Page, gateway: Sandbox) -> Record:
    ask(gateway, tier="frontier", mode="plan").invoke([("system", "Be short."), ("user", 'It\'s a "garden" for $HOME')])
    read(page, number_of(gateway))
    return gateway.last


def test_a_copied_program_runs(page: Page, gw: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    first = asked(page, gw)
    assert "KiloLLM(" in copied(page, "LlamaIndex")
    monkeypatch.setenv("KILO_API_KEY", gw.api_key)
    exec(compile(copied(page, "LangChain"), "copied", "exec"), {"__name__": "__main__"})  # noqa: S102 -- our own page
    assert gw.last is not first
    assert (gw.last.json, gw.last.account) == (first.json, "rich")


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_a_copied_command_runs(page: Page, gw: Sandbox) -> None:
    first = asked(page, gw)
    environment = {**os.environ, "no_proxy": "*", "KILO_API_KEY": gw.api_key}
    subprocess.run(["/bin/sh", "-c", copied(page, "curl")], env=environment, capture_output=True, check=True)
    assert gw.last is not first
    assert (gw.last.body, gw.last.account) == (first.body, "rich")


def test_a_saved_cassette_replays(page: Page, gw: Sandbox, tmp_path: Path) -> None:
    said = ask(gw, tier="frontier", mode="plan").invoke(PLAN).text
    read(page, number_of(gw))
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as cassette").click()
    assert download.value.suggested_filename == f"request-{number_of(gw)}.yaml"
    download.value.save_as(tmp_path / "saved.yaml")
    with vcr.use_cassette(str(tmp_path / "saved.yaml"), record_mode="none"):
        assert ChatKilo(tier="frontier", mode="plan").invoke(PLAN).text == said
    chat(gw, "sandbox/cut-stream", stream=True)
    chat(gw, "sandbox/drop-connection", stream=True)
    read(page, number_of(gw))
    page.get_by_role("button", name="Save as cassette").click()
    expect(page.locator("#notice")).to_contain_text("Not saved: The answer is not complete")


ATTACKS = (
    "<img src=x onerror=\"window.hacked=1;alert('x')\">",
    "</script><script>window.hacked=1</script>",
    "javascript:window.hacked=1",
    '"><svg onload=window.hacked=1>',
)


@contextmanager
def hostile(attack: str) -> Iterator[str]:
    """Serve answers of a gateway in which every field is an attack; yield the base URL."""
    call = {"index": 0, "id": attack, "type": attack, "function": {"name": attack, "arguments": attack}}
    delta = {"role": attack, "content": attack, "reasoning": attack, "tool_calls": [call], "refusal": attack}
    delta["images"] = [{"type": "image_url", "image_url": {"url": attack}}]
    choice = {"index": attack, "delta": delta, "finish_reason": attack}
    chunks = [
        {"id": attack, "model": attack, "choices": [choice], "usage": {"prompt_tokens": attack, "cost": attack}},
        {"error": {"message": attack, "code": attack, "type": attack, "metadata": {"raw": attack}}},
    ]
    frames = [f": {attack}\n\n", *(f"event: {attack}\ndata: {json.dumps(chunk)}\n\n" for chunk in chunks)]
    body = "".join([*frames, f"data: {attack}\n\n"]).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.send_header("content-length", str(len(body)))
            self.send_header("x-hostile", attack)
            self.send_header("request-id", attack)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Print nothing."""

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{httpd.server_address[1]}/api/gateway"
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join()


def attacked(attack: str) -> list[tuple[str, dict[str, Any]]]:
    """Return a request of each interface in which every field that the page shows is an attack."""
    tools = [{"type": "function", "function": {"name": attack, "description": attack, "parameters": {attack: attack}}}]
    call = {"id": attack, "type": "function", "function": {"name": attack, "arguments": attack}}
    pictures = [{"type": "image_url", "image_url": {"url": url}} for url in (attack, f"data:image/png;base64,{attack}")]
    chat_messages: list[Any] = [
        {
            "role": attack,
            "name": attack,
            "content": [{"type": "text", "text": attack}, {"type": attack, attack: attack}],
        },
        {"role": "user", "content": [{"type": "text", "text": attack}, *pictures]},
        {"role": "assistant", "content": attack, "reasoning": attack, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": attack, "content": attack},
        attack,
    ]
    blocks = [
        {"type": "thinking", "thinking": attack, "signature": attack},
        {"type": "tool_use", "id": attack, "name": attack, "input": {attack: attack}},
        {"type": "image", "source": {"type": "base64", "media_type": attack, "data": attack}},
        {"type": "tool_result", "tool_use_id": attack, "content": attack},
    ]
    items = [
        {"type": "message", "role": attack, "content": [{"type": "input_text", "text": attack}]},
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": attack}]},
        {"type": "function_call", "call_id": attack, "name": attack, "arguments": attack},
        {"type": "function_call_output", "call_id": attack, "output": attack},
        {"type": attack, attack: attack},
    ]
    shared = {"model": attack, "user": attack, attack: attack}
    return [
        (PATHS["completions"], {**shared, "messages": chat_messages, "tools": tools, "stream": True}),
        (
            PATHS["messages"],
            {**shared, "system": attack, "max_tokens": 9, "messages": [{"role": attack, "content": blocks}]},
        ),
        (PATHS["responses"], {**shared, "instructions": attack, "input": items, "tools": [{"type": attack}]}),
    ]


@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_in_a_request_or_an_answer_is_markup(context: BrowserContext, attack: str) -> None:
    headers = {"x-kilocode-mode": attack, "x-kilocode-taskid": attack, "x-own": f"own {attack}", "user-agent": attack}
    with hostile(attack) as url, Sandbox(upstream=url) as passing, Sandbox() as answering:
        for gateway in (passing, answering):
            with opened(context, gateway) as page:
                page.evaluate("document.addEventListener('securitypolicyviolation', () => { window.hacked = 2; })")
                markup = "img, script:not([src='/page/page.js']), svg, iframe, a, [onerror]"
                for path, body in attacked(attack):
                    post(gateway, path, body, gateway.api_key, headers)
                    details = read(page, number_of(gateway))
                    details.evaluate(OPEN)
                    assert attack in details.inner_text()
                    assert page.locator(markup).count() == 0
                expect(page.locator("#list")).to_contain_text(attack)
                page.get_by_label("Search").fill(attack)
                page.get_by_role("button", name="Compare").click()
                row(page, number_of(gateway) - 1).click()
                expect(page.get_by_role("heading", name="Requests")).to_have_count(2)
                assert attack in page.locator("#details").inner_text()
                assert page.locator(markup).count() == 0
                assert page.evaluate("window.hacked") is None


def keep(texts: list[str], response: Response) -> None:
    if "/requests/" in response.url:
        texts.append(response.text())


def test_no_secret_is_in_the_page(context: BrowserContext, gw: Sandbox) -> None:
    secrets = {"x-api-key": "key-of-the-caller", "cookie": "a=cookie-of-the-caller", "x-team": "header-of-the-team"}
    secrets["x-kilocode-organizationid"] = gw.organization_id
    said = f"{gw.api_key}, {', '.join(secrets.values())}"
    with Sandbox(upstream=gw.base_url) as passing:
        for gateway in (gw, passing):
            received: list[str] = []
            with opened(context, gateway) as page:
                page.on("response", partial(keep, received))
                chat(gateway, "sandbox/echo", said, headers=secrets, stream=True)
                details = read(page, number_of(gateway))
                details.evaluate(OPEN)
                expect(details).to_contain_text("[hidden]")
                texts = [page.content(), details.inner_text(), *received]
                for form in ("curl", "LangChain", "LlamaIndex"):
                    texts.append(copied(page, form))
            assert received
            for secret in (gw.api_key, "cookie-of-the-caller", *secrets.values()):
                assert not [text for text in texts if secret in text]


def in_threads(work: Callable[[int], object], threads: int) -> None:
    running = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()


def test_a_thousand_requests_do_not_make_it_stutter(page: Page, gw: Sandbox) -> None:
    """The sandbox and its clients use the same cores, so the page's own work is measured in CPU time."""

    def send(thread: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", gw.port, timeout=60)
        for number in range(250):
            message = {"role": "user", "content": f"Request {number} of thread {thread}"}
            body = {"model": "sandbox/echo", "stream": number % 2 == 0, "messages": [message]}
            connection.request("POST", CHAT, json.dumps(body), {"authorization": f"Bearer {gw.api_key}"})
            connection.getresponse().read()
        connection.close()

    metrics = page.context.new_cdp_session(page)
    metrics.send("Performance.enable", {"timeDomain": "threadTicks"})
    page.evaluate(MEASURE)
    in_threads(send, 4)
    expect(page.locator("#count")).to_have_text("1,000 requests", timeout=60_000)
    values = {metric["name"]: metric["value"] for metric in metrics.send("Performance.getMetrics")["metrics"]}
    frames = sorted(page.evaluate("window.frames"))
    tasks: list[float] = page.evaluate("tasks")
    late, work = frames[len(frames) * 95 // 100], values["TaskDuration"] * 1000 / len(frames)
    # `make test-browser ARGS=-s` shows them.
    sys.stdout.write(f"\n{len(frames)} frames: 95 % within {late:.1f} ms, median {frames[len(frames) // 2]:.1f} ms, ")
    sys.stdout.write(f"longest {frames[-1]:.1f} ms, {work:.2f} ms of CPU for each; tasks of 50 ms or more: {tasks}\n")
    assert len(frames) > 60
    assert work < 4  # a quarter of the time between two frames
    # The system may take the core away: on two idle cores, 95 % are within 17 ms; with thirty busy programs, within 84.
    assert frames[len(frames) // 2] < 34
    assert late < 100
    assert page.locator("#list").get_by_role("option").count() < 30  # only the visible rows are elements
    page.get_by_role("listbox").focus()
    page.keyboard.press("End")
    expect(page.get_by_role("heading", name=f"Request {gw.requests[0].number}", exact=True)).to_be_visible()
