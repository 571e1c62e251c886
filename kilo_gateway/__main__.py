"""`kilo-gateway` and `python -m kilo_gateway`: the gateway from a terminal."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command line; returns or exits with the status."""
    try:
        import click  # noqa: F401 -- imported to name the package that is missing
        import rich  # noqa: F401 -- imported to name the package that is missing
    except ImportError as error:
        sys.stderr.write(f'kilo-gateway needs {error.name}: pip install "kilo-gateway[cli]"\n')
        return 1
    from kilo_gateway.cli.app import cli

    cli(prog_name="kilo-gateway")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
