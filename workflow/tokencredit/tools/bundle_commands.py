"""``tokencredit bundle``: its commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tokencredit import cli
from tokencredit.cli import CONFIG, RESULTS, BundleArgument, ConfigOption, ResultsOption, StudyOption

app = typer.Typer(no_args_is_help=True)


@app.command()
def pack(
    study: StudyOption,
    out: Annotated[Path, typer.Option(help="The archive to write, .tar.gz.")],
    config: ConfigOption = CONFIG,
    results: ResultsOption = RESULTS,
    without_responses: Annotated[
        bool, typer.Option("--without-responses", help="Leave out the responses of evaluations and their grades.")
    ] = False,
) -> None:
    """Write the archive of a finished study whose records hold together."""
    from tokencredit.tools import bundle

    bundle.pack(study, out, config, results, without_responses)


@app.command()
def check(
    bundle: BundleArgument,
    results: Annotated[
        Path | None, typer.Option(help="Compare the CSVs made there with those of the study when it was packed.")
    ] = None,
) -> None:
    """Hold every file of a bundle against its checksum.

    With --results also what was made from it again against what there was. Exit status 1 where that differs.
    """
    from tokencredit.tools import bundle as tool

    cli.exit_unless(tool.check(bundle, results))


@app.command()
def unpack(bundle: BundleArgument, config: ConfigOption = CONFIG, results: ResultsOption = RESULTS) -> None:
    """Put the records where the study's own would be.

    For the same configuration only, and over nothing that differs.
    """
    from tokencredit.tools import bundle as tool

    tool.unpack(bundle, config, results)


@app.command()
def crate(
    bundle: BundleArgument,
    out: Annotated[Path, typer.Option(help="Folder to make; it must not be there.")],
    licence: Annotated[str, typer.Option(help="Licence of the records, an SPDX identifier: CC-BY-4.0.")],
    published: Annotated[str, typer.Option(help="Day of publication, YYYY-MM-DD.")],
    url: Annotated[str | None, typer.Option(help="Web address where people will find it.")] = None,
    config: ConfigOption = CONFIG,
) -> None:
    """Make an RO-Crate of a bundle: records, workflow and their description.

    A folder for a repository such as Zenodo or WorkflowHub, with ro-crate-metadata.json and croissant.json. The bundle stays as it is.
    """
    from tokencredit.tools.crate import crate

    crate(bundle, out, licence, published, url, config)
