"""Shared by the commands: safe output, tables, errors as one sentence and an exit status."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable, Sequence
from typing import Any, Final

import click
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table
from rich.text import Text

from kilo_gateway.encoding.printable import printable
from kilo_gateway.settings.validation import field_errors

FAILED: Final = 1
"""Exit status when the gateway refuses or cannot be reached; click's own for wrong usage is 2."""


def console(*, stderr: bool = False) -> Console:
    """Return a console; in a pipe or a file, lines are not wrapped."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, highlight=False, soft_wrap=not stream.isatty())


def show_rows(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table in a terminal, lines with tabs elsewhere."""
    if sys.stdout.isatty():
        table = Table(box=None, padding=(0, 2, 0, 0))
        for title in columns:
            table.add_column(title, overflow="fold")
        for row in rows:
            table.add_row(*map(Text, row))
        console().print(table)
    else:
        for row in rows:
            click.echo("\t".join(row))


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
                raise click.ClickException(printable(error.message)) from error
            except ValidationError as error:
                faults = (f"{field}: {text}" if field else text for field, text in field_errors(error))
                raise click.UsageError("; ".join(faults)) from error
            except ValueError as error:
                raise click.UsageError(str(error)) from error


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    click.echo(f"Note: {printable(str(message))}", err=True)
