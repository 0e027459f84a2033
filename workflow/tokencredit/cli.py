"""What all command lines share: one app per stage, errors as sentences, a closing line that names the files made."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from tokencredit.errors import UserError

CONFIG, RESULTS = Path("config"), Path("results")


def _studies(incomplete: str) -> list[str]:
    """The studies whose names begin so: what the shell completes."""
    return sorted(path.stem for path in CONFIG.glob(f"studies/{incomplete}*.yaml"))


# What several commands of `tokencredit` take.
StudyOption = Annotated[str, typer.Option(help="Name of the study, a file of config/studies.", autocompletion=_studies)]
ConfigOption = Annotated[Path, typer.Option(help="Folder of the configuration.")]
ResultsOption = Annotated[Path, typer.Option(help="Folder of the results.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
BundleArgument = Annotated[Path, typer.Argument(help="A bundle: FILE.tar.gz.")]


def new_app(help_text: str) -> typer.Typer:
    return typer.Typer(help=help_text, add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


def run(app: typer.Typer) -> None:
    """Run a stage's app; a ``UserError`` is printed as one sentence, with exit status 2."""
    # Read when PyTorch is loaded, which stages do later: threads that wait for each other soon stop spinning. It costs a tenth on a free
    # machine, and saves most of the time on a busy one.
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")
    try:
        app()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    finally:
        # Python's last search for cycles would go through all that PyTorch and pandas brought, for a second, to free what ends anyway.
        gc.freeze()


def exit_unless(well: bool) -> None:
    """End with status 1 where what was asked has the answer no."""
    if not well:
        raise typer.Exit(1)


def made(paths: Iterable[str | Path]) -> None:
    """The closing line of a stage."""
    print("made " + ", ".join(str(path) for path in paths), flush=True)


def columns(lines: list[list[str]]) -> str:
    """A plain table: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]).rstrip() for line in lines
    )
