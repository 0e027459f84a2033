"""Command line of the oracle: ``measure`` a policy at the states of stored responses."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from tokencredit import cli
from tokencredit.config import load_study
from tokencredit.errors import UserError
from tokencredit.study.measurements import measured_rows, source_runs

app = cli.new_app("Measure the credit of tokens: try every plausible next token and continue from it.")


@app.callback()
def oracle() -> None:
    """Measure the credit of tokens: try every plausible next token and continue from it."""


@app.command()
def measure(
    config: Annotated[Path, typer.Option(help="Folder of the configuration.")],
    study: Annotated[str, typer.Option(help="Name of the study.")],
    policy: Annotated[str, typer.Option(help="`base`, or a trained cell; one of the study's `oracle.policies`.")],
    seed: Annotated[int, typer.Option(help="Training seed of the runs whose responses are the states.")],
    model_dir: Annotated[Path, typer.Option(help="Folder of the policy that is measured.")],
    run: Annotated[list[Path], typer.Option(help="Folder of a run with stored responses; may be repeated.")],
    data: Annotated[list[Path], typer.Option(help="problems.parquet of a training set; may be repeated.")],
    out: Annotated[Path, typer.Option(help="Folder to write states.parquet and branches.parquet to.")],
) -> None:
    """Write the states of stored responses, and how continuations from each plausible next token ended.

    Of the base model the states are those of the first step, whose responses it sampled itself. Of a trained cell they are those of its
    last step, and the policy is its final model, one step's updates later than the one that sampled them: states are prefixes, and at each
    of them the counts are the final policy's own.
    """
    resolved = load_study(config, study)
    row = next((each for each in measured_rows(resolved) if (each.name, each.seed) == (policy, seed)), None)
    if row is None:
        paths = [each.path for each in measured_rows(resolved)]
        raise UserError(
            f"{policy}/seed{seed} is not measured in study {study}; allowed: {', '.join(paths) or 'none, it has no oracle'}."
        )
    expected = [each.path for each in source_runs(resolved, row)]
    if sorted(expected) != sorted(f"{folder.parent.name}/{folder.name}" for folder in run):
        raise UserError(
            f"--run: {policy}/seed{seed} is measured at the responses of {', '.join(expected)}, and no others."
        )

    # Heavy imports wait until the cheap checks are done.
    from tokencredit.oracle.measurement import measure_policy

    cli.made(measure_policy(resolved, row, model_dir, run, data, out, progress=sys.stderr.isatty()))


if __name__ == "__main__":
    cli.run(app)
