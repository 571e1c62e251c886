"""A user's own HTTP client inside a settings object that may be copied and sent elsewhere."""

from __future__ import annotations

import inspect
from typing import Any, NoReturn, Self


class Live:
    """Holds an object with open connections. Copies share it; pickling raises TypeError with the remedy."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    @classmethod
    def sync_client(cls, value: Any) -> Live | None:
        """Wrap an HTTP client; None and wrapped clients are returned unchanged. Raises ValueError for anything else."""
        return cls._client(value, asynchronous=False)

    @classmethod
    def async_client(cls, value: Any) -> Live | None:
        """Wrap an async HTTP client; None and wrapped clients are returned unchanged. Raises ValueError for anything
        else."""
        return cls._client(value, asynchronous=True)

    @classmethod
    def _client(cls, value: Any, *, asynchronous: bool) -> Live | None:
        if value is None or isinstance(value, cls):
            return value
        send = getattr(value, "send", None)
        if not hasattr(value, "build_request") or inspect.iscoroutinefunction(send) != asynchronous:
            kind = "AsyncClient" if asynchronous else "Client"
            raise ValueError(f"is a {type(value).__name__}; it must be an httpx.{kind} or httpx2.{kind}")
        return cls(value)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"a model with its own {type(self.value).__name__} cannot be pickled: "
            "build the model without http_client, and set the client in the other process"
        )

    def __repr__(self) -> str:
        return f"Live({type(self.value).__name__})"
