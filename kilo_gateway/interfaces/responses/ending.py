"""The items of an answer at its end: their order, and what is known once all have come. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from kilo_gateway.encoding.lenient_json import dicts, string
from kilo_gateway.interfaces.responses.items import CALL, MESSAGE, REASONING, Item
from kilo_gateway.reply import Ending


def kind_of(value: dict[str, Any]) -> str:
    """Return the kind of an item of the output, or "" for what is not the model's."""
    kind = string(value.get("type")) or (MESSAGE if "content" in value else "")
    return "" if kind == MESSAGE and value.get("role") not in (None, "assistant") else kind


def in_order(items: Sequence[Item]) -> list[Item]:
    """Return items by their places, or, where an upstream reuses or omits places, as they began."""
    places = [item.place for item in items if item.place is not None]
    if len(set(places)) < len(items):
        return list(items)
    return sorted(items, key=lambda item: item.place or 0)


def pairs(output: Any, items: Sequence[Item]) -> Iterator[tuple[int, dict[str, Any], Item | None]]:
    """Yield place and value of each item of a whole output, and the item that has come of it before, if one has."""
    values = {place: value for place, value in enumerate(dicts(output)) if kind_of(value)}
    unpaired = list(items)
    found: dict[int, Item] = {}
    for by_place in (True, False):
        for place, value in values.items():
            if place in found:
                continue
            for item in unpaired:
                if _is_same(value, item) and (item.place == place or not by_place):
                    found[place] = item
                    unpaired.remove(item)
                    break
    for place, value in values.items():
        yield place, value, found.get(place)


def complete(ending: Ending, items: Sequence[Item], spoken: Sequence[Item]) -> None:
    """Put into `ending` what the items hold. `spoken` are the messages in the order in which their texts came."""
    calls = sorted((item for item in items if item.position >= 0), key=lambda item: item.position)
    ending.tool_calls = [item.call() for item in calls]
    messages = [item for item in items if item.kind == MESSAGE]
    start = 0
    for item in dict.fromkeys([*spoken, *messages]):
        ending.annotations += item.citations(start)
        start += item.length("text")
    if logprobs := [entry for item in messages for entry in item.content_lists("logprobs")]:
        ending.logprobs = {"content": logprobs}
    ending.images = [image for item in items if (image := item.image()) is not None]
    layout: list[dict[str, Any]] = []
    with_text = [item for item in messages if item.length("text")]
    # Texts are kept as one, as they came: where the items have another order, nothing says where one ends.
    apart = with_text == list(spoken)
    for item in items:
        if item.kind == REASONING:
            details = item.details(sum(piece["type"] == "reasoning" for piece in layout))
            ending.reasoning_details += details
            if details:
                layout.append({"type": "reasoning", "details": len(details)})
        elif item.kind == MESSAGE and item in with_text:
            if apart:
                phase = {"phase": phase} if (phase := string(item.value.get("phase"))) else {}
                layout.append({"type": "text", "characters": item.length("text"), **phase})
            elif item is with_text[0]:
                layout.append({"type": "text", "characters": sum(other.length("text") for other in with_text)})
        elif item.kind == CALL and item.position >= 0:
            layout.append({"type": "tool_call", "id": item.call_id})
        elif item.kind not in (MESSAGE, CALL):
            layout.append(item.piece())
    if any("phase" in piece for piece in layout) or not _goes_without_saying([piece["type"] for piece in layout]):
        ending.layout = layout


def _is_same(value: dict[str, Any], item: Item) -> bool:
    call_id = string(value.get("call_id"))
    return item.kind == kind_of(value) and (not call_id or not item.call_id or call_id == item.call_id)


def _goes_without_saying(kinds: Sequence[str]) -> bool:
    """Return True if the parts have the order in which they are read without a layout."""
    usual = ["reasoning", "text", "tool_call"]
    if kinds.count("reasoning") > 1 or kinds.count("text") > 1 or "opaque" in kinds:
        return False
    return list(kinds) == sorted(kinds, key=usual.index)
