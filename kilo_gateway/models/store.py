"""The stored lists of models: one file for each gateway and account.

A file is written whole or not at all, so that any number of processes may read and write it at once.
A file or folder that cannot be read counts as missing.
"""

from __future__ import annotations

import errno
import json
import os
import stat
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Final

FORMAT: Final = 1
_NEVER_WAIT: Final = getattr(os, "O_NONBLOCK", 0)  # Windows has no such files
_YEAR_10000: Final = 253_402_300_800
"""The latest date that Python can hold."""


def folder() -> Path:
    """Return the folder of the lists: `KILO_CACHE_DIR`, else the platform's cache folder of this package."""
    if own := os.environ.get("KILO_CACHE_DIR"):
        return Path(own)
    import platformdirs  # 4 ms, which imports of the package need not take

    return Path(platformdirs.user_cache_dir("kilo-gateway", appauthor=False))


@dataclass(frozen=True, slots=True)
class Stored:
    """A list as it was received at `fetched_at` (seconds since 1970)."""

    fetched_at: float
    entries: list[Any]

    @property
    def age(self) -> float:
        """Seconds since it was received; negative if the clock was set back."""
        return time.time() - self.fetched_at


@dataclass(frozen=True, slots=True)
class ListFile:
    """The file of one gateway and one account; its name holds digests only."""

    path: Path

    @classmethod
    def of(cls, base_url: str, account: str) -> ListFile:
        """Return the file of the account that the secret text `account` describes."""
        return cls(folder() / f"{gateway_prefix(base_url)}{_digest(account)}.json")

    def read(self) -> Stored | None:
        """Return the content of the file, or None if the file is missing or cannot be used."""
        try:
            held = json.loads(_content(self.path))
            if held["format"] == FORMAT and isinstance(held["entries"], list) and _is_time(held["fetched_at"]):
                return Stored(float(held["fetched_at"]), held["entries"])
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            pass
        return None

    def write(self, stored: Stored) -> None:
        """Replace the file in one step. Raises OSError."""
        write_json(self.path, {"format": FORMAT, "fetched_at": stored.fetched_at, "entries": stored.entries})


def all_lists() -> dict[str, Stored]:
    """Return all stored lists, by the names of their files."""
    files = folder().glob("models-*.json")
    return {file.name: stored for file in files if (stored := ListFile(file).read()) is not None}


def add_lists(lists: Mapping[str, Stored]) -> None:
    """Store lists of another machine, except for those that are not newer than the ones here. Raises OSError."""
    for name, stored in sorted(lists.items(), key=lambda item: item[1].fetched_at):  # the one written last counts
        here = (file := ListFile(folder() / name)).read()
        if here is None or here.fetched_at < stored.fetched_at:
            file.write(stored)


def write_json(path: Path, held: Any) -> None:
    """Replace a file in one step; only the user can read it. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile("w", encoding="ascii", dir=path.parent, prefix=".", suffix=".tmp", delete=False) as file:
        try:
            json.dump(held, file, separators=(",", ":"))
            file.close()  # Windows cannot move an open file
            os.replace(file.name, path)
        except BaseException:
            file.close()
            with suppress(OSError):  # the first error is the one to report
                os.unlink(file.name)
            raise


def _content(path: Path) -> bytes:
    """Return the content of a file. Raises OSError for anything else: a FIFO would wait, a device never end."""
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | _NEVER_WAIT)) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        return file.read()


def _is_time(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value < _YEAR_10000


def newest(base_url: str) -> ListFile | None:
    """Return the file of the gateway at `base_url` that was written last, whatever the account. Raises OSError."""
    prefix = gateway_prefix(base_url)
    with os.scandir(folder()) as entries:
        files = [f for f in entries if f.name.startswith(prefix) and f.name.endswith(".json") and f.is_file()]
    return ListFile(Path(max(files, key=lambda file: file.stat().st_mtime_ns).path)) if files else None


def gateway_prefix(base_url: str) -> str:
    """Return the beginning of the names of a gateway's files."""
    return f"models-{_digest(base_url)}-"


def _digest(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:24]
