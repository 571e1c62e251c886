"""A function that returns the key, for tokens that are renewed while a model is in use. transport/keys.py calls it."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from typing import Any, Self

from pydantic import SecretStr


class KeyFunction:
    """Holds a function that returns the key, sync or async. Copies share it, and it shows neither key nor arguments."""

    __slots__ = ("function", "identity")

    def __init__(
        self, function: Callable[[], str | SecretStr | Awaitable[str | SecretStr]], identity: str | None = None
    ) -> None:
        self.function = function
        self.identity = identity or uuid.uuid4().hex
        """A text that stands for the account, which is not known before the function is called, in keys of caches."""

    @classmethod
    def of(cls, value: Any) -> Any:
        """Wrap a function; anything else is returned unchanged."""
        return cls(value) if callable(value) else value

    @property
    def name(self) -> str:
        """The name of the function, for errors."""
        named = self.function if hasattr(self.function, "__qualname__") else type(self.function)
        return f"{named.__module__}.{named.__qualname__}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, KeyFunction) and bool(self.function == other.function)

    def __hash__(self) -> int:
        return hash(self.name)  # not every object that can be called has a hash

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.function, self.identity)

    def __repr__(self) -> str:
        return f"KeyFunction({self.name})"
