"""Write the table of arguments in docs/arguments.md, which is derived from the annotations of the fields.

`--check` only says whether the page is up to date.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from kilo_gateway import GatewaySettings
from kilo_gateway.settings import names, places

PAGE: Final = Path(__file__).resolve().parents[2] / "docs/arguments.md"
BEGIN, END = "<!-- arguments: begin, written by `make arguments` -->\n", "<!-- arguments: end -->\n"


def table() -> str:
    """Return a row for each constructor argument that both chat classes share."""
    aliases: dict[str, list[str]] = {}
    for alias, field in names.ALIASES.items():
        aliases.setdefault(field, []).append(f"`{alias}`")
    per_call = places.call_fields(GatewaySettings)
    rows = ["| Argument | Sent as | Per call | Other names |", "|---|---|---|---|"]
    for name in sorted(GatewaySettings.model_fields):
        also = ", ".join(aliases.get(name, ()))
        rows.append(f"| `{name}` | {_sent_as(name)} | {'yes' if name in per_call else 'no'} | {also} |")
    return "\n".join(rows) + "\n"


def _sent_as(name: str) -> str:
    match places.of_field(GatewaySettings, name):
        case places.InHeader(name=header):
            return f"header `{header}`"
        case places.InBody() as place:
            return "body" + "".join(_elsewhere(place, name, api) for api in ("responses", "messages"))
        case _:
            return ""


def _elsewhere(place: places.InBody, name: str, api: str) -> str:
    """Say how another interface differs, if it does."""
    other = place.name(name, api)
    if other is None:
        return f"; not on {api}"
    return "" if other == name else f"; on {api}: `{other}`"


def main(arguments: list[str]) -> int:
    """Write or check the page; return the exit status."""
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    wanted = f"{before}{BEGIN}\n{table()}\n{END}{after}"
    if "--check" in arguments:
        if text != wanted:
            sys.stderr.write("docs/arguments.md is out of date: run `make arguments`\n")
        return int(text != wanted)
    PAGE.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
