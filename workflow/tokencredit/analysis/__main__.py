"""Command line of the analysis: tables, figures, the page, and the closing table on the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tokencredit import cli
from tokencredit.config import Config, load_study
from tokencredit.errors import UserError
from tokencredit.study.exhibits import planned

app = cli.new_app("Tables, figures and the page of a study, from its stored records.")

ConfigOption = Annotated[Path, typer.Option(help="Folder of the configuration.")]
StudyOption = Annotated[str, typer.Option(help="Name of the study.")]
ResultsOption = Annotated[Path, typer.Option(help="Folder of the results.")]
OnlyOption = Annotated[list[str] | None, typer.Option(help="Make only this one; may be given again.")]


@app.command()
def tables(
    config: ConfigOption,
    study: StudyOption,
    results: ResultsOption,
    out: Annotated[Path, typer.Option(help="Folder to write to.")],
    only: OnlyOption = None,
) -> None:
    """Write the study's tables as CSV and LaTeX, with their provenance."""
    from tokencredit.analysis.store import Store
    from tokencredit.analysis.tables import make

    store = Store(load_study(config, study), results)
    cli.made(path for name in _chosen(only, planned(store.study)["tables"]) for path in make(store, name, out))


@app.command()
def figures(
    config: ConfigOption,
    study: StudyOption,
    results: ResultsOption,
    out: Annotated[Path, typer.Option(help="Folder to write to.")],
    only: OnlyOption = None,
) -> None:
    """Draw the study's figures as PDF and PNG, with the numbers in them as CSV and their provenance."""
    from tokencredit.analysis.figures import make
    from tokencredit.analysis.store import Store

    store = Store(load_study(config, study), results)
    made: list[Path] = []
    for name in _chosen(only, planned(store.study)["figures"]):
        made += make(store, name, out)
    cli.made(made)


@app.command()
def report(
    config: ConfigOption,
    study: StudyOption,
    results: ResultsOption,
    out: Annotated[Path, typer.Option(help="The page to write.")],
) -> None:
    """Write one self-contained page of the study: its answer, tokens, methods, tables, figures, checks and provenance; and the list of
    studies, where it is the study's own page."""
    from tokencredit.analysis.page import overview
    from tokencredit.analysis.page.write import write
    from tokencredit.analysis.store import Store

    store = Store(load_study(config, study), results)
    write(store, out)
    listed = [overview.write(config, results)] if out.absolute() == store.paths.page.absolute() else []
    cli.made([out, *listed])


@app.command()
def summary(config: ConfigOption, study: StudyOption, results: ResultsOption) -> None:
    """Print the study's closing table, its aims, the files made, and what its page asks and answers."""
    from tokencredit.analysis.page import overview
    from tokencredit.analysis.store import Store
    from tokencredit.analysis.summary import print_summary

    print_summary(Store(load_study(config, study), results))
    told = overview.entry(Config(config), study, results)
    if told.finished:
        print(f"\n{told.asked}\n{told.answer}")


def _chosen(only: list[str] | None, names: list[str]) -> list[str]:
    for name in only or []:
        if name not in names:
            raise UserError(f"--only {name}: this study has no such table or figure; it has {', '.join(names)}.")
    return only or names


if __name__ == "__main__":
    cli.run(app)
