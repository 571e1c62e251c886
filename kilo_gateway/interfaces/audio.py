"""Sound in requests. Pure."""

from __future__ import annotations

from typing import Final

# What providers call the formats whose MIME names differ.
_FORMATS: Final = {
    "mpeg": "mp3",
    "mpeg3": "mp3",
    "x-wav": "wav",
    "wave": "wav",
    "vnd.wave": "wav",
    "x-m4a": "m4a",
    "mp4": "m4a",
    "x-flac": "flac",
}


def audio_format(mime_type: str) -> str:
    """Return the name that providers use for the format of a sound."""
    subtype = mime_type.partition(";")[0].rpartition("/")[2].strip().lower()
    return _FORMATS.get(subtype, subtype)
