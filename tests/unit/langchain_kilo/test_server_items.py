"""Tools that a provider's server ran are standard content blocks."""

from __future__ import annotations

from typing import Any

from langchain_core.messages import AIMessage

from langchain_kilo.content_blocks import translate

SEARCH = {"type": "server_tool_use", "id": "srv_1", "name": "web_search", "input": {"query": "Rhine"}}
FOUND = {"type": "web_search_tool_result", "tool_use_id": "srv_1", "content": [{"url": "https://x.org"}]}
CALLED = {"type": "web_search_call", "id": "ws_1", "action": {"query": "Rhine"}}
OTHER = {"type": "compaction", "content": "..."}
CITED = {"type": "web_search_result_location", "url": "https://x.org", "title": "Rhine", "cited_text": "1233 km"}


def test_server_tools_and_citations_are_standard_blocks() -> None:
    layout = [{"type": "opaque", "place": "block", "value": value} for value in (SEARCH, FOUND, CALLED, OTHER)]
    message = AIMessage(
        "It is 1233 km long.",
        additional_kwargs={"layout": layout, "annotations": [CITED]},
        response_metadata={"model_provider": "kilo"},
    )
    contents: list[Any] = list(translate(message))
    text, *rest = contents
    blocks = [{k: v for k, v in block.items() if k != "extras"} for block in rest]
    assert blocks == [
        {"type": "server_tool_call", "id": "srv_1", "name": "web_search", "args": {"query": "Rhine"}},
        {"type": "server_tool_result", "tool_call_id": "srv_1", "status": "success", "output": FOUND["content"]},
        {"type": "server_tool_call", "id": "ws_1", "name": "web_search", "args": {"query": "Rhine"}},
        {"type": "non_standard", "value": OTHER},
    ]
    [citation] = text["annotations"]
    assert (citation["url"], citation["title"], citation["cited_text"]) == ("https://x.org", "Rhine", "1233 km")
