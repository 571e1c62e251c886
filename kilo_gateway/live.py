"""A user's own HTTP client inside a settings object that may be copied and sent elsewhere."""

from __future__ import annotations

from typing import Any, NoReturn, Self


class Live:
    """Holds an object with open connections: copies share it, pickling refuses it with the remedy."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    @classmethod
    def wrap(cls, value: Any) -> Live | None:
        """Wrap a client; None and wrapped clients stay as they are."""
        return value if value is None or isinstance(value, cls) else cls(value)

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
