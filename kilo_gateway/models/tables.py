"""Tables of models: for terminals, for rich, for notebooks, for data frames. Texts of the gateway are shown safely."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from html import escape
from typing import TYPE_CHECKING, Any, Final

from kilo_gateway.encoding.printable import NAME_CHARACTERS, printable
from kilo_gateway.encoding.text_table import text_table
from kilo_gateway.models.info import ModelInfo

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

COLUMNS: Final = ("Model", "Context", "Max output", "USD/M in", "USD/M out", "Can", "Note")
_NUMBERS: Final = range(1, 5)
WIDE: Final = 120
"""Columns of a terminal that is wide enough to show a table without folded cells."""
NARROW: Final = 80
"""Columns that a table needs; below, each model has lines of its own."""
RECORD: Final = (
    "id",
    "name",
    "vendor",
    "context_length",
    "max_output_tokens",
    "prompt_price",
    "completion_price",
    "cache_read_price",
    "cache_write_price",
    "free",
    "may_train_on_prompts",
    "supports_tools",
    "supports_json_mode",
    "supports_structured_outputs",
    "supports_reasoning",
    "supports_vision",
    "expiration_date",
)
"""The columns of a data frame."""


def record(model: ModelInfo) -> dict[str, Any]:
    """Return a model as a row of a data frame; prices as floats, because pandas does not calculate with Decimal."""
    values = {name: getattr(model, name) for name in RECORD}
    return {name: float(value) if isinstance(value, Decimal) else value for name, value in values.items()}


def plain_table(models: Sequence[ModelInfo], summary: str) -> str:
    """Return lines of text, the summary last."""
    return "\n".join([*text_table([COLUMNS, *map(_cells, models)], right=_NUMBERS), summary])


def html_table(models: Sequence[ModelInfo], summary: str) -> str:
    """Return an HTML table; everything in it is escaped."""
    head = _html_row("th", COLUMNS)
    body = "".join(f"<tr>{_html_row('td', _cells(model))}</tr>" for model in models)
    return f"<table><caption>{escape(summary)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _html_row(tag: str, cells: Iterable[str]) -> str:
    # Notebooks align cells to the right unless each says otherwise.
    sides = ("right" if place in _NUMBERS else "left" for place in range(len(COLUMNS)))
    return "".join(
        f'<{tag} style="text-align: {side}">{escape(cell)}</{tag}>' for side, cell in zip(sides, cells, strict=True)
    )


def rich_lines(models: Sequence[ModelInfo], summary: str) -> Iterator[Text]:
    """Yield a few short lines for each model, for a terminal that is too narrow for a table."""
    from rich.text import Text  # unlike a string, it holds no markup

    for model in models:
        name, context, output, price_in, price_out, can, note = _cells(model)
        yield Text(name, style="bold", overflow="fold")
        for line in (f"{context} context, {output} output", f"{price_in} in, {price_out} out, USD/M", can, note):
            if line:
                yield Text(f"  {line}")
    yield Text(summary)


def rich_table(models: Sequence[ModelInfo], summary: str, width: int) -> Table:
    """Return a table of rich, which the caller has installed, for a terminal of `width` columns, at least `NARROW`."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(caption=summary, caption_justify="left", box=box.SIMPLE, padding=0)
    narrow = len("reasoning,") if width < WIDE else None
    for index, title in enumerate(COLUMNS):
        # Ids and numbers that are cut are of no use.
        if index in _NUMBERS:
            table.add_column(title.replace(" ", "\n"), justify="right", no_wrap=True)
        else:
            table.add_column(title, overflow="fold", max_width=narrow if index else None)
    for model in models:
        table.add_row(*map(Text, _cells(model)))
    return table


def ago(seconds: float) -> str:
    """Return an age in the largest unit that fits, such as `3 h ago`."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{int(seconds // length)} {unit} ago"
    return f"{int(seconds)} s ago"


def _cells(model: ModelInfo) -> list[str]:
    can = {
        "tools": model.supports_tools,
        "schemas": model.supports_structured_outputs,
        "reasoning": model.supports_reasoning,
        "vision": model.supports_vision,
    }
    notes = {
        "free": model.free,
        "may train on prompts": model.may_train_on_prompts,
        f"until {model.expiration_date}": model.expiration_date is not None,
    }
    cells = [
        model.id,
        _count(model.context_length),
        _count(model.max_output_tokens),
        _price(model.prompt_price),
        _price(model.completion_price),
        ", ".join(name for name, is_so in can.items() if is_so),
        ", ".join(name for name, is_so in notes.items() if is_so),
    ]
    return [printable(cell, NAME_CHARACTERS, lines=False) for cell in cells]


def _count(tokens: int | None) -> str:
    return "?" if tokens is None else f"{tokens:,}"


def _price(price: Decimal | None) -> str:
    return "?" if price is None else f"{price:f}"
