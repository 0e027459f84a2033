"""Command line of the data stage: ``prepare`` a data set, report the ``overlap`` of two."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tokencredit import cli, files
from tokencredit.config import Config

app = cli.new_app("Prepare problems from pinned sources, and find test problems in training sets.")


@app.command()
def prepare(
    config: Annotated[Path, typer.Option(help="Folder of the configuration.")],
    dataset: Annotated[str, typer.Option(help="Name of the data set in datasets.yaml.")],
    out: Annotated[Path, typer.Option(help="Folder to write problems.parquet and manifest.json to.")],
    data_root: Annotated[
        Path | None,
        typer.Option(envvar="TOKENCREDIT_DATA", help="Folder of the data files. Without it they come from the Hub."),
    ] = None,
) -> None:
    """Read a data set, check it against its pins, settle missing answers and repeats, and write it as Parquet with a manifest."""
    from tokencredit.data.prepare import prepare as prepare_dataset

    cli.made(prepare_dataset(Config(config), dataset, out, data_root))


@app.command()
def overlap(
    train: Annotated[Path, typer.Option(help="Folder of a prepared training set.")],
    against: Annotated[Path, typer.Option(help="Folder of a prepared benchmark data set.")],
    out: Annotated[Path, typer.Option(help="JSON file to write.")],
) -> None:
    """Report the benchmark's problems that are, nearly or exactly, in the training set."""
    from tokencredit.data.overlap import overlap_report

    report = overlap_report(train, against)
    files.write_json(out, report)
    print(
        f"{report['train']} holds {report['overlapping']} of {report['benchmark_problems']} problems of {report['benchmark']}, "
        f"and something similar to {report['similar']} others"
    )
    cli.made([out])


if __name__ == "__main__":
    cli.run(app)
