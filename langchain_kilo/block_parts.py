"""LangChain's content blocks, of every version and of Anthropic and OpenAI, as parts of a conversation. Pure."""

from __future__ import annotations

import itertools
import json
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final

from kilo_gateway._frames import user_stacklevel
from kilo_gateway.conversation import Audio, Document, File, Image, Opaque, Part, Text, Video, data_url
from kilo_gateway.encoding.lenient_json import mapping, string
from kilo_gateway.routing import nearest_name

Block = Mapping[str, Any]


def parts_of(content: str | Sequence[Any], convert: Callable[[Any], Iterator[Part]] | None = None) -> list[Part]:
    """Return the parts of a message's content; `convert` yields those of one block."""
    if isinstance(content, str):
        return [Text(content)] if content else []
    return [part for block in _listed(content) for part in (convert or parts_of_block)(block)]


def parts_of_result(content: str | Sequence[Any]) -> list[Part]:
    """Return the parts of a tool's result; blocks that have no form on the wire become one JSON text.

    LangChain keeps rows of data such as `[{"type": "file", "name": "a.txt"}]` as content blocks.
    """
    if isinstance(content, str):
        return parts_of(content)
    parts: list[Part] = []
    converted = ((block, _form(block)) for block in _listed(content))
    for has_form, group in itertools.groupby(converted, key=lambda pair: pair[1] is not None):
        if has_form:
            parts += [part for _, form in group for part in form or ()]
        else:
            parts.append(Text(json.dumps([block for block, _ in group], ensure_ascii=False, default=str)))
    return parts


def _form(block: Any) -> list[Part] | None:
    """Return the parts of a block of a tool's result, or None if it is data that only looks like one."""
    try:
        parts = list(parts_of_block(block))
    except ValueError:
        return None
    if not parts or (parts == [Text("")] and block != "" and "text" not in block):
        return None
    urls = (part.url for part in parts if isinstance(part, Image | Video | File))
    return parts if all(url is None or "://" in url or url.startswith("data:") for url in urls) else None


def parts_of_answer(block: Any, *, ours: bool) -> list[Part]:
    """Return the parts of a content block of an answer, which may be another provider's.

    A block that only that provider understands is left out, with one warning for each kind and process.
    """
    if not ours and isinstance(block, Mapping) and block.get("type") == "non_standard":
        block = block.get("value")
    try:
        return list(parts_of_block(block))
    except ValueError:
        warn_of_block_left_out(str(mapping(block).get("type")))
        return []


@lru_cache(maxsize=256)
def warn_of_block_left_out(kind: str) -> None:
    """Warn, the first time for each kind, that a block of an earlier answer is not sent."""
    warnings.warn(
        f"an earlier answer contains a content block of type {kind!r}, for which the gateway has no form; it is left "
        "out of the request",
        UserWarning,
        stacklevel=user_stacklevel(),
    )


def _listed(content: Any) -> Sequence[Any]:
    if not isinstance(content, Sequence):
        raise ValueError(f"the content of a block is {content!r}; it must be a text or a list of blocks")
    return content


def parts_of_block(block: Any) -> Iterator[Part]:
    """Yield the part of a content block, if it is sent from there."""
    if isinstance(block, str):
        yield Text(block)
        return
    if not isinstance(block, Mapping):
        raise ValueError(f"a content block is {block!r}; it must be a text or a dict")
    kind = _type_of(block)
    inner = block.get("value") if kind == "non_standard" else None
    if kind in _ELSEWHERE or (isinstance(inner, Mapping) and _type_of(inner) in _ELSEWHERE):
        return
    if kind not in _CONVERTERS:
        near = _NEAREST.get(str(kind)) or nearest_name(str(kind), list(_CONVERTERS))
        hint = f" (use {near!r})" if near else ""
        raise ValueError(
            f"a content block of type {kind!r} cannot be sent{hint}; the gateway takes: {', '.join(_CONVERTERS)}"
        )
    try:
        part = _CONVERTERS[kind](block)
        yield _citable(block, part) if isinstance(part, Text | File) and _is_citable(block) else part
    except (KeyError, TypeError) as error:
        raise ValueError(f"a content block of type {kind!r} is malformed: {error}") from error


def _is_citable(block: Block) -> bool:
    """Return True if the block is a document that the model may cite: Anthropic's `citations`, enabled."""
    citations = mapping(block.get("citations") or extra_of(block, "citations"))
    return block.get("type") in ("document", "file", "text-plain") and citations.get("enabled") is True


def _citable(block: Block, part: Text | File) -> Document:
    title, source = (_string(block, name) or extra_of(block, name) for name in ("title", "context"))
    if isinstance(part, File):
        title = title or part.filename
    return Document([replace(part, cache_control=None)], title, source, part.cache_control)


def _type_of(block: Block) -> Any:
    kind = block.get("type")
    return kind if isinstance(kind, str) else repr(kind)


def cache_control_of(block: Block) -> Any:
    """Return the mark of a prompt cache that a block carries, wherever it is."""
    return block.get("cache_control") or extra_of(block, "cache_control")


def extra_of(block: Block, name: str) -> Any:
    """Return a field of a block's extras or metadata."""
    extras, metadata = mapping(block.get("extras")), mapping(block.get("metadata"))
    # Core moves the metadata of v0 blocks into the extras.
    for holder in (extras, metadata, mapping(extras.get("metadata"))):
        if name in holder:
            return holder[name]
    return None


def needed(block: Block, name: str) -> Any:
    """Return a field of a block. Raises ValueError if it is missing or empty."""
    if not (value := block.get(name)):
        raise ValueError(f"a content block of type {block.get('type')!r} needs {name!r}: {dict(block)!r:.200}")
    return value


def _string(holder: Block, name: str) -> str | None:
    value = holder.get(name)
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{name!r} is {value!r:.200}; it must be a string")
    return value


def _text(block: Block) -> Part:
    return Text(_string(block, "text") or "", cache_control_of(block))


def _source(block: Block) -> tuple[str | None, str | None]:
    """Return (URL or data URL, file id) of an image, audio, video or file block of LangChain v0, v1 or Anthropic."""
    source = block.get("source")
    if isinstance(source, Mapping):
        if source.get("type") == "base64":
            data, media_type = _string(source, "data"), _string(source, "media_type")
            if not data or not media_type:
                raise ValueError(f"the source of a {block.get('type')!r} block needs 'data' and 'media_type'")
            return data_url(data, media_type), None
        return _string(source, "url"), _string(source, "file_id")
    data = _string(block, "base64") or (_string(block, "data") if block.get("source_type") == "base64" else None)
    if data:
        mime_type = _string(block, "mime_type")
        if not mime_type:
            raise ValueError(f"a base64 block of type {block.get('type')!r} needs its mime_type, such as 'image/png'")
        return data_url(data, mime_type), None
    file_id = _string(block, "file_id") or (_string(block, "id") if block.get("source_type") == "id" else None)
    return _string(block, "url"), file_id


def _url(block: Block) -> str:
    url, _ = _source(block)
    if not url:
        raise ValueError(
            f"a content block of type {block.get('type')!r} needs a url or base64 data; the gateway takes no file id "
            "for it"
        )
    return url


def _image(block: Block) -> Part:
    return Image(_url(block), _string(block, "detail") or extra_of(block, "detail"), cache_control_of(block))


def _image_url(block: Block) -> Part:
    image = needed(block, "image_url")
    if isinstance(image, str):
        return Image(image, cache_control=cache_control_of(block))
    if not isinstance(image, Mapping) or not (url := _string(image, "url")):
        raise ValueError(
            "an image_url block needs the url of the image: {'type': 'image_url', 'image_url': {'url': ...}}"
        )
    return Image(url, _string(image, "detail"), cache_control_of(block))


def _audio(block: Block) -> Part:
    url, _ = _source(block)
    header, separator, data = (url or "").partition(";base64,")
    if not separator:
        raise ValueError("an audio block needs base64 data: the gateway fetches no audio from URLs")
    return Audio(data, header.removeprefix("data:"), cache_control_of(block))


def _input_audio(block: Block) -> Part:
    audio = needed(block, "input_audio")
    data, kind = string(mapping(audio).get("data")), string(mapping(audio).get("format"))
    if data and kind and _has_only(block, "input_audio") and _has_only(audio, "data", "format"):
        return Audio(data, f"audio/{kind}", block.get("cache_control"))
    return Opaque(dict(block))


def _video(block: Block) -> Part:
    return Video(_url(block), cache_control_of(block))


def _video_url(block: Block) -> Part:
    video = needed(block, "video_url")
    url = string(mapping(video).get("url"))
    if url and _has_only(block, "video_url") and _has_only(video, "url"):
        return Video(url, block.get("cache_control"))
    return Opaque(dict(block))


def _file(block: Block) -> Part:
    if isinstance(file := block.get("file"), Mapping):
        name, url = string(file.get("filename")), string(file.get("file_data"))
        if name and url and _has_only(block, "file") and _has_only(file, "filename", "file_data"):
            return File(url, filename=name, cache_control=cache_control_of(block))
        if not (url or string(file.get("file_id"))):
            raise ValueError("the file of a file block needs file_data or a file_id")
        cache_control = cache_control_of(block)
        part = {"type": "file", "file": dict(file)}
        return Opaque({**part, "cache_control": cache_control} if cache_control else part)
    source, file_id = _source(block)
    if not source and not file_id:
        raise ValueError("a file block needs base64 data, a url or a file_id")
    title = (
        _string(block, "filename") or _string(block, "title") or extra_of(block, "filename") or extra_of(block, "name")
    )
    return File(source, file_id, title, cache_control_of(block))


def _has_only(holder: Any, *names: str) -> bool:
    """Return True if a block in OpenAI's form holds nothing that a part of a conversation has no field for."""
    return isinstance(holder, Mapping) and holder.keys() <= {"type", "cache_control", *names}


def _document(block: Block) -> Part:
    """Convert Anthropic's document block; a text document is text."""
    source = block.get("source")
    if isinstance(source, Mapping) and source.get("type") == "text":
        return Text(_string(source, "data") or "", cache_control_of(block))
    if isinstance(source, Mapping) and source.get("type") == "content" and _is_citable(block):
        return _document_of_blocks(block, parts_of(source.get("content") or ""))
    return _file(block)


def _document_of_blocks(block: Block, parts: Sequence[Part]) -> Document:
    fit = [part for part in parts if isinstance(part, Text | Image | File)]
    if len(fit) < len(parts):
        raise ValueError(f"a document that may be cited consists of texts, images and files: {dict(block)!r:.200}")
    return Document(fit, _string(block, "title"), _string(block, "context"), cache_control_of(block))


def _plain_text(block: Block) -> Part:
    if (text := _string(block, "text")) is not None:
        return Text(text, cache_control_of(block))
    return _file(block)


def _non_standard(block: Block) -> Part:
    value = block.get("value")
    if not isinstance(value, Mapping) or not isinstance(value.get("type"), str):
        raise ValueError("a non_standard block needs its provider's block, which has a type, as `value`")
    return Opaque(dict(value))


def _json(block: Block) -> Part:
    """Convert Anthropic's `json` tool-result block to the text that it stands for."""
    return Text(json.dumps(block["json"], ensure_ascii=False), cache_control_of(block))


_CONVERTERS: Final[dict[str, Callable[[Block], Part]]] = {
    "text": _text,
    "text-plain": _plain_text,
    "image": _image,
    "image_url": _image_url,
    "audio": _audio,
    "input_audio": _input_audio,
    "video": _video,
    "video_url": _video_url,
    "file": _file,
    "document": _document,
    "json": _json,
    "non_standard": _non_standard,
}

# Where the names of other APIs do not show what they are.
_NEAREST: Final = {
    "input_text": "text",
    "output_text": "text",
    "input_image": "image_url",
    "input_file": "file",
    "media": "image, audio, video or file",
    "search_result": "text",
}

# Other fields of the message hold their content, and it is sent from there.
_ELSEWHERE: Final = frozenset(
    {
        "tool_use",
        "tool_call",
        "tool_call_chunk",
        "invalid_tool_call",
        "function_call",
        "server_tool_call",
        "server_tool_call_chunk",
        "server_tool_result",
        "reasoning",
        "thinking",
        "redacted_thinking",
        "refusal",
    }
)
