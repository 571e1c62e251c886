"""The parts of a message as content blocks of Messages. Pure. See docs/gateway.md, "Messages"."""

from __future__ import annotations

import base64
import binascii
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from kilo_gateway.conversation import Audio, Document, File, Image, Opaque, Part, Text, Thought, Video
from kilo_gateway.encoding.lenient_json import mapping, string
from kilo_gateway.interfaces.reasoning import ANTHROPIC

Block = dict[str, Any]

_NATIVE: Final = frozenset({"container_upload", "search_result"})
"""Blocks in the form of Messages that a user may write."""

_WITH_SOURCE: Final = frozenset({"document", "image"})
"""Further ones, if they have a `source`; without it they are of another interface."""

_CITATIONS: Final = frozenset(
    {
        "char_location",
        "page_location",
        "content_block_location",
        "search_result_location",
        "web_search_result_location",
    }
)
"""Citations of this interface; those of the others do not go back to it."""

_TEXTS: Final = frozenset({"application/json", "application/xml", "application/yaml", "application/x-yaml"})
"""Types of files that are text, besides those that begin with `text/`."""


def content(parts: Iterable[Part]) -> list[Block]:
    """Return the blocks of a user's message or of a tool result.

    Raises ValueError for a part that has no form on this wire. A text of spaces is left out, because Anthropic refuses
    it, and so is the detail of an image, which has no place.
    """
    return [block for part in parts for block in _blocks(part)]


def _blocks(part: Part) -> Iterator[Block]:
    match part:
        case Text():
            yield from text(part.text, part.cache_control)
        case Document():
            yield from _citable(part)
        case Image():
            yield _marked({"type": "image", "source": _image_source(part.url)}, part.cache_control)
        case File():
            yield from _document(part)
        case Audio():
            raise ValueError(_lacking("audio"))
        case Video():
            raise ValueError(_lacking("a video"))
        case Opaque(place="block", value=dict(value)):
            yield dict(value)
        case Opaque(place="content", value=dict(value)):
            yield from _converted(dict(value))
        case Opaque(place="block" | "content"):
            raise ValueError(f"a content block is {part.value!r:.100}; it must be a dict")
        case Opaque():
            return
        case _:
            raise ValueError(f"a {type(part).__name__} has no place in this message; it belongs to another role")


def text(written: str, cache_control: Any = None, citations: Sequence[Block] = ()) -> Iterator[Block]:
    """Yield the block of a text, if it has more than spaces in it."""
    if written.strip():
        cited = {"citations": citations} if citations else {}
        yield _marked({"type": "text", "text": written, **cited}, cache_control)


def citations(part: Text) -> list[Block]:
    """Return the citations of a text as this interface answered them, but for a null `file_id`, which it refuses."""
    added = ("start_index", "end_index")
    return [
        {
            name: value
            for name, value in cited.items()
            if name not in added and not (name == "file_id" and value is None)
        }
        for cited in part.citations
        if cited.get("type") in _CITATIONS
    ]


def thinking(thought: Thought) -> Iterator[Block]:
    """Yield the blocks of a thought unchanged: those that Anthropic signed or encrypted. It refuses all others."""
    for detail in thought.details:
        if detail.get("format") != ANTHROPIC:
            continue
        match detail:
            case {"type": "reasoning.text", "signature": str(signature)} if signature:
                yield {"type": "thinking", "thinking": string(detail.get("text")), "signature": signature}
            case {"type": "reasoning.encrypted", "data": str(data)} if data:
                yield {"type": "redacted_thinking", "data": data}


def _marked(block: Block, cache_control: Any) -> Block:
    return {**block, "cache_control": cache_control} if cache_control else block


def _lacking(kind: str) -> str:
    return f"{kind} has no place in the Messages interface; leave it out, or use api='completions'"


def _image_source(url: str) -> Block:
    if url.startswith("data:"):
        media_type, data = _read_data_url(url, "image")
        # Anthropic knows this type by its registered name only.
        media_type = "image/jpeg" if media_type == "image/jpg" else media_type
        return {"type": "base64", "media_type": media_type, "data": data}
    return _url_source(url, "image")


def _url_source(url: str, kind: str) -> Block:
    if not url.startswith(("http://", "https://")):
        raise ValueError(
            f"the url of the {kind} is {url!r:.100}, which has no place in the Messages interface; "
            "use an http(s) URL or base64 data"
        )
    return {"type": "url", "url": url}


def _read_data_url(url: str, kind: str) -> tuple[str, str]:
    """Return the media type of a data URL and its data in base64. Raises ValueError, which names the `kind`."""
    header, comma, data = url.removeprefix("data:").partition(",")
    media_type, *parameters = header.split(";")
    if not comma or not media_type:
        raise ValueError(f"the {kind} is {url!r:.100}; a data URL has the form 'data:<media type>;base64,<data>'")
    if "base64" not in parameters:
        data = base64.b64encode(unquote_to_bytes(data)).decode()
    return media_type.strip().lower(), data


def _document(file: File) -> Iterator[Block]:
    if file.file_id:
        source: Block = {"type": "file", "file_id": file.file_id}
    elif file.url and file.url.startswith("data:"):
        media_type, data = _read_data_url(file.url, "file")
        if media_type.startswith("image/"):
            yield _marked({"type": "image", "source": _image_source(file.url)}, file.cache_control)
            return
        if media_type == "application/pdf":
            source = {"type": "base64", "media_type": media_type, "data": data}
        elif media_type.startswith("text/") or media_type in _TEXTS:
            source = {"type": "text", "media_type": "text/plain", "data": _decoded(data, file)}
        else:
            raise ValueError(
                f"the file {file.filename or ''!r} is of type {media_type!r}, which has no place in the Messages "
                "interface; send a PDF or its text, or use api='completions'"
            )
    elif file.url:
        source = _url_source(file.url, "file")
    else:
        raise ValueError("a file needs a url, base64 data or a file_id")
    if source.get("data") == "":
        return
    titled = {"title": file.filename} if file.filename else {}
    yield _marked({"type": "document", "source": source, **titled}, file.cache_control)


def _citable(document: Document) -> Iterator[Block]:
    """Yield a document that Claude may cite: its texts and images as one block, and each of its files as another."""
    facts = {"title": document.title, "context": document.source}
    common = {name: value for name, value in facts.items() if value}
    blocks: list[Block] = []
    for of_files, group in itertools.groupby(content(document.parts), key=lambda block: block["type"] == "document"):
        rendered = list(group)
        documents = rendered if of_files else [{"type": "document", "source": _content_source(rendered)}]
        blocks += [{**block, **common, "citations": {"enabled": True}} for block in documents]
    yield from blocks[:-1]
    if blocks:
        yield _marked(blocks[-1], document.cache_control)


def _content_source(blocks: list[Block]) -> Block:
    """Return texts and images as the source of a document: a lone text as such, whose sentences can be cited."""
    if len(blocks) == 1 and blocks[0].keys() == {"type", "text"}:
        return {"type": "text", "media_type": "text/plain", "data": blocks[0]["text"]}
    return {"type": "content", "content": blocks}


def _decoded(data: str, file: File) -> str:
    try:
        return base64.b64decode(data).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise ValueError(
            f"the text file {file.filename or ''!r} cannot be read ({error}); send it as base64 of UTF-8"
        ) from error


def _converted(block: Block) -> Iterator[Block]:
    """Yield a block in the form of Messages as it is, and one in the form of OpenAI as the part that it stands for."""
    kind = block.get("type")
    mark = block.get("cache_control")
    if kind in _NATIVE or (kind in _WITH_SOURCE and "source" in block):
        yield block
        return
    match block:
        case {"type": "text", "text": str(written)}:
            yield from text(written, mark)
        case {"type": "image_url", "image_url": str(url) | {"url": str(url)}}:
            yield from _blocks(Image(url, cache_control=mark))
        case {"type": "file", "file": {"file_id": str(file_id)}}:
            yield from _document(File(file_id=file_id, cache_control=mark))
        case {"type": "file", "file": {"file_data": str(url)}}:
            name = string(mapping(block["file"]).get("filename")) or None
            yield from _document(File(url, filename=name, cache_control=mark))
        case {"type": "input_audio"}:
            raise ValueError(_lacking("audio"))
        case {"type": "video_url"}:
            raise ValueError(_lacking("a video"))
        case _:
            raise ValueError(
                f"a content block of type {kind!r} has no place in the Messages interface; "
                "use text, image, document or search_result, or use api='completions'"
            )
