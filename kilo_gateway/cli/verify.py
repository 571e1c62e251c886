"""The output of `kilo-gateway verify`: the progress, the table and the list of checks."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from kilo_gateway.cli.shell import console, show_rows

if TYPE_CHECKING:
    from kilo_gateway.verify import Check, Report, Result

_STYLES: Final = {"held": "green", "undecided": "yellow", "differs": "bold red"}
"""The statuses in the order in which the table has them: the last rows are what a reader sees first."""
_WIDE: Final = 80


@contextmanager
def progress(total: int) -> Iterator[Callable[[Check, Result | None], None] | None]:
    """Show a bar while the checks run, if standard error is a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    columns = (BarColumn(bar_width=10), MofNCompleteColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total)

        def step(check: Check, result: Result | None) -> None:
            bar.update(task, description=check.id, advance=0 if result is None else 1)

        yield step


def show_checks(checks: Sequence[Check]) -> None:
    """Print the checks: what each needs, and its cost at most in USD."""
    rows = [(check.id, check.needs, f"{check.usd:g}", check.fact) for check in checks]
    show_rows(("Check", "Needs", "USD", "Fact"), rows)


def show(report: Report) -> None:
    """Print the results: a table in a terminal, lines with tabs elsewhere."""
    results = sorted(report.results, key=lambda result: list(_STYLES).index(result.status))
    if not sys.stdout.isatty():
        for result in results:
            click.echo("\t".join((result.status, result.check.id, str(result.eras), _details(result))))
        click.echo(f"{report.summary}\n{report.behaviour}")
        return
    terminal = console()
    wide = terminal.width >= _WIDE
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, show_header=False)
    for _ in range(4 if wide else 2):
        table.add_column(overflow="fold")
    for result in results:
        status = Text(result.status, _STYLES[result.status])
        name, details = Text(result.check.id), Text(_details(result), "dim" if result.status == "held" else "")
        if wide:
            table.add_row(status, name, Text(str(result.eras)), details)
        elif result.status == "held":
            table.add_row(status, name)
        else:
            table.add_row(status, name + Text("\n") + details)
    terminal.print(table)
    terminal.print(f"\n{report.summary}\n{report.behaviour}")


def _details(result: Result) -> str:
    """Return what was found, after the fact that it contradicts."""
    return f"{result.check.fact} Found: {result.found}" if result.status == "differs" else result.found
