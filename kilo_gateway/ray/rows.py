"""The columns that a mapped row gets: the answer, and what is known about it. Pure, and without Arrow."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel
from pydantic_core import to_json

from kilo_gateway.encoding.lenient_json import mend
from kilo_gateway.encoding.printable import described
from kilo_gateway.tally import Tally

Kind = Literal["text", "integer", "number", "boolean", "vector"]
"""The type of a column: "integer" has 64 bits, "vector" is a list of 32-bit floats, anything else is text, or JSON."""

_LARGEST: Final = 2**63
_WANTED: Final = {"boolean": "a bool", "integer": "an integer of 64 bits", "number": "a number"}
_KINDS: Final[dict[Any, Kind]] = {str: "text", bool: "boolean", int: "integer", float: "number"}


@dataclasses.dataclass(frozen=True, slots=True)
class Column:
    """A column that is added to a row; `many` if it has a list of values of its kind."""

    name: str
    kind: Kind = "text"
    many: bool = False

    def fitted(self, value: Any) -> Any:
        """Return `value` as the column holds it. Raises ValueError if it has another type."""
        if not self.many or value is None:
            return self._one(value)
        if isinstance(value, list | tuple | set | frozenset):
            return [self._one(item) for item in value]
        raise self._unfit(value, "a list")

    def _one(self, value: Any) -> Any:
        if value is None:
            return None
        if self.kind == "text":
            return mend(value) if isinstance(value, str) else to_json(value).decode()
        if self.kind == "vector":
            return list(value)
        if self.kind == "boolean" and isinstance(value, bool):
            return value
        if self.kind == "integer" and isinstance(value, Integral) and not isinstance(value, bool):
            if -_LARGEST <= int(value) < _LARGEST:
                return int(value)
        elif self.kind == "number" and isinstance(value, Real) and not isinstance(value, bool):
            return float(value)
        raise self._unfit(
            value, {"boolean": "a bool", "integer": "an integer of 64 bits", "number": "a number"}[self.kind]
        )

    def _unfit(self, value: Any, wanted: str) -> ValueError:
        return ValueError(f"{self.name} is {described(value)}, not {wanted}; change the type that output= gives it")


FACTS: Final = (
    Column("error"),
    Column("finish_reason"),
    Column("served_model"),
    Column("input_tokens", "integer"),
    Column("output_tokens", "integer"),
    Column("cost_usd", "number"),
    Column("seconds", "number"),
    Column("attempts", "integer"),
)
"""What is known about each row, in columns behind the answer."""


class Output:
    """The columns of the answer: one for its text, or one for each field of an object."""

    def __init__(self, columns: Sequence[Column], *, whole: bool) -> None:
        self.columns = tuple(columns)
        self.whole = whole
        """True if the only column holds the whole answer."""

    @classmethod
    def of(cls, output: Any) -> Output:
        """Return the columns for the argument `output`. Raises ValueError."""
        if isinstance(output, str) and output:
            return cls([Column(output)], whole=True)
        if hints := _fields(output):
            return cls([column(name, hint) for name, hint in hints.items()], whole=False)
        raise ValueError(
            f"output={described(output)} must be the name of a column, a class with fields (pydantic, TypedDict, "
            "dataclass), or a dict of names and types"
        )

    def values(self, answer: Any) -> dict[str, Any]:
        """Return the values of the columns. Raises ValueError if the answer does not have them."""
        if self.whole:
            (only,) = self.columns
            return {only.name: only.fitted(answer)}
        fields = _object(answer)
        if fields is None and len(self.columns) == 1:
            fields = {self.columns[0].name: answer}
        if fields is None:
            names = ", ".join(column.name for column in self.columns)
            raise ValueError(
                f"the answer is {described(answer)}, not an object with the fields {names}; use a target that returns "
                "one (with_structured_output, a program), or output= with the name of one column"
            )
        return {column.name: column.fitted(fields.get(column.name)) for column in self.columns}


def _fields(output: Any) -> Mapping[str, Any]:
    if isinstance(output, Mapping):
        return output
    if isinstance(output, type) and issubclass(output, BaseModel):
        return {name: field.annotation for name, field in output.model_fields.items()}
    return get_type_hints(output) if isinstance(output, type) else {}


def column(name: str, hint: Any) -> Column:
    """Return the column for a field with this annotation; what has no type of its own in a table becomes JSON."""
    hint = _bare(hint)
    if get_origin(hint) in (list, tuple, set, frozenset, Sequence):
        items = {_bare(item) for item in get_args(hint) if item is not Ellipsis}
        return Column(name, _kind(items.pop()), many=True) if len(items) == 1 else Column(name)
    return Column(name, _kind(hint))


def _bare(hint: Any) -> Any:
    """Return an annotation without `Annotated` and `| None`."""
    if get_origin(hint) is Annotated:
        return _bare(get_args(hint)[0])
    if get_origin(hint) in (Union, types.UnionType):
        others = [item for item in get_args(hint) if item is not type(None)]
        return _bare(others[0]) if len(others) == 1 else hint
    return hint


def _kind(hint: Any) -> Kind:
    if get_origin(hint) is Literal:
        kinds = {_KINDS.get(type(value), "text") for value in get_args(hint)}
        return kinds.pop() if len(kinds) == 1 else "text"
    return _KINDS.get(hint, "text")


def _object(answer: Any) -> Mapping[str, Any] | None:
    if isinstance(answer, BaseModel):
        return answer.model_dump(mode="json")
    if dataclasses.is_dataclass(answer) and not isinstance(answer, type):
        return dataclasses.asdict(answer)
    return answer if isinstance(answer, Mapping) else None


def facts(tally: Tally, seconds: float, error: Exception | None) -> dict[str, Any]:
    """Return what is known about a row whose requests are in `tally`.

    Tokens and cost are None if the gateway answered nothing. The cost is also None if it is not known for each answer.
    """
    models, total = tally.usage.by_model, tally.usage.total
    return {
        "error": None if error is None else described_error(error),
        "finish_reason": tally.finish_reason,
        "served_model": ", ".join(models) or None,
        "input_tokens": total.prompt_tokens if models else None,
        "output_tokens": total.completion_tokens if models else None,
        "cost_usd": total.cost if models and not total.unpriced else None,
        "seconds": seconds,
        "attempts": tally.attempts,
    }


def described_error(error: Exception) -> str:
    """Return the class and the text of an error."""
    return mend(f"{type(error).__name__}: {error}")


def shared(facts: Mapping[str, Any], weights: Sequence[int]) -> list[dict[str, Any]]:
    """Return the facts of each row of a request that many rows share: tokens and cost in proportion to `weights`.

    The parts add up to the whole.
    """
    total, parts, begin = sum(weights) or 1, [], 0
    for weight in weights:
        end, part = begin + weight, dict(facts)
        for name in ("input_tokens", "output_tokens"):
            if (tokens := facts[name]) is not None:
                part[name] = tokens * end // total - tokens * begin // total
        if facts["cost_usd"] is not None:
            part["cost_usd"] = facts["cost_usd"] * weight / total
        parts.append(part)
        begin = end
    return parts
