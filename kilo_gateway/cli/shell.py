"""Shared by the commands: safe output, tables, errors as one sentence of the shell and an exit status."""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Iterable, Sequence
from typing import Any, Final

import click
from pydantic import ValidationError
from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from kilo_gateway.encoding.printable import printable
from kilo_gateway.settings.validation import field_errors

FAILED: Final = 1
"""Exit status when the gateway refuses or cannot be reached; click's own for wrong usage is 2."""


_WORDS: Final = {
    "api_key / KILO_API_KEY": "KILO_API_KEY",
    "api_key": "KILO_API_KEY",
    "base_url": "KILO_BASE_URL",
    "organization_id": "KILO_ORG_ID",
    'data_collection="deny"': "--deny-data-collection",
    "acknowledge_data_policy=True": "--acknowledge-data-policy",
    "max_tokens": "--max-tokens",
}
"""Arguments of the classes, as the errors name them, and what a shell has instead."""
_OPTIONS: Final = ("tier", "model", "mode", "api", "reasoning", "temperature")
"""Arguments of the classes that are options of the same name."""
_WRITTEN: Final = rf"""\b(?P<option>{"|".join(_OPTIONS)})=["'](?P<value>[^"']+)["']"""
_IN_PYTHON: Final = re.compile("|".join([_WRITTEN, *(rf"\b{re.escape(word)}" for word in _WORDS)]))


def in_shell(text: str) -> str:
    """Return a text about arguments of the classes as one about options and variables of the shell."""
    return _IN_PYTHON.sub(lambda found: _WORDS.get(found[0]) or f"--{found['option']} {found['value']}", text)


def _named(field: str) -> str:
    return f"--{field}" if field in _OPTIONS else field


def wrapped(text: str) -> str:
    """Return a text of an error or a note; in a terminal, its lines end between words."""
    if not sys.stderr.isatty():
        return text
    return click.wrap_text(text, console(stderr=True).width - len("Error: "))


def console(*, stderr: bool = False) -> Console:
    """Return a console; in a pipe or a file, lines are not wrapped."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, highlight=False, soft_wrap=not stream.isatty())


def show_rows(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table in a terminal, a list if the terminal is too narrow for it, and lines with tabs elsewhere."""
    rows = list(rows)
    if not sys.stdout.isatty():
        for row in rows:
            click.echo("\t".join(row))
        return
    terminal = console()
    widths = [max(map(cell_len, " ".join(column).split()), default=0) for column in zip(columns, *rows, strict=True)]
    if sum(widths) + 2 * len(widths) <= terminal.width:  # no word is broken
        table = Table(box=None, padding=(0, 2, 0, 0))
        for title, width in zip(columns, widths, strict=True):
            table.add_column(title, min_width=width)
        for row in rows:
            table.add_row(*map(Text, row))
        terminal.print(table)
        return
    names = 1 if columns[0] else 2  # a mark without a title stands before the name
    for row in rows:
        terminal.print(Text(" ".join(row[:names]), style="bold"))
        for title, cell in zip(columns[names:], row[names:], strict=True):
            if cell:
                terminal.print(Padding(Text(f"{title}: {cell}"), (0, 0, 0, 2)))


class Commands(click.Group):
    """A group whose commands report errors in one sentence, and warnings without the line of code."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. Raises click's exceptions, which click shows."""
        from kilo_gateway.errors import KiloError

        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            try:
                return super().invoke(ctx)
            except KiloError as error:
                raise click.ClickException(wrapped(in_shell(printable(error.message)))) from error
            except ValidationError as error:
                faults = (f"{_named(field)}: {text}" if field else text for field, text in field_errors(error))
                raise click.UsageError(wrapped(in_shell("; ".join(faults)))) from error
            except ValueError as error:
                raise click.UsageError(wrapped(in_shell(str(error)))) from error


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    click.echo(wrapped(f"Note: {in_shell(printable(str(message)))}"), err=True)
