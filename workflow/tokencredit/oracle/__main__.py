"""Command line of the oracle: ``measure`` a policy at the states of stored responses; ``attribute`` what its weights say of them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from tokencredit import cli
from tokencredit.config import Row, Study, load_study
from tokencredit.config.claim_keys import BASE
from tokencredit.errors import UserError
from tokencredit.study.measurements import measured_rows, source_runs

ConfigOption = Annotated[Path, typer.Option(help="Folder of the configuration.")]
StudyOption = Annotated[str, typer.Option(help="Name of the study.")]
RunsOption = Annotated[list[Path], typer.Option(help="Folder of a run with stored responses; may be repeated.")]
DataOption = Annotated[list[Path], typer.Option(help="problems.parquet of a training set; may be repeated.")]

app = cli.new_app("Measure the credit of tokens: try every plausible next token and continue from it.")


@app.callback()
def oracle() -> None:
    """Measure the credit of tokens: try every plausible next token and continue from it."""


@app.command()
def measure(
    config: ConfigOption,
    study: StudyOption,
    policy: Annotated[str, typer.Option(help="`base`, or a trained method; one of the study's `oracle.policies`.")],
    seed: Annotated[int, typer.Option(help="Training seed of the runs whose responses are the states.")],
    model_dir: Annotated[Path, typer.Option(help="Folder of the policy that is measured.")],
    run: RunsOption,
    data: DataOption,
    out: Annotated[Path, typer.Option(help="Folder to write states.parquet and branches.parquet to.")],
) -> None:
    """Write the states of stored responses, and how continuations from each plausible next token ended.

    The base model is measured at responses of the first step, which it sampled itself. A trained method's final model is measured at
    responses of the last step, which were sampled before that step's updates: the states are the older policy's, the counts at each are
    the final policy's own.
    """
    resolved = load_study(config, study)
    row = _checked_row(resolved, policy, seed, run)

    # Heavy imports wait until the cheap checks are done.
    from tokencredit.oracle.measurement import measure_policy

    cli.made(measure_policy(resolved, row, model_dir, run, data, out, progress=sys.stderr.isatty()))


@app.command()
def attribute(
    config: ConfigOption,
    study: StudyOption,
    seed: Annotated[int, typer.Option(help="Training seed of the runs whose responses are read.")],
    model_dir: Annotated[Path, typer.Option(help="Folder of the base model.")],
    run: RunsOption,
    data: DataOption,
    out: Annotated[Path, typer.Option(help="Folder to write hindsight, gradients and groups to, as Parquet files.")],
) -> None:
    """Write what the base model's weights say of the responses of the first step: log-probs once it is told the answer, and gradients.

    The gradients are those of each method's loss on the responses that its run stored.
    """
    resolved = load_study(config, study)
    if not resolved.attribution:
        raise UserError(f"study {study} asks for no attribution; set `attribution: true` in its file.")
    _checked_row(resolved, BASE, seed, run)

    from tokencredit.oracle.attribution import attribute as written

    cli.made(written(resolved, seed, model_dir, run, data, out, progress=sys.stderr.isatty()))


def _checked_row(study: Study, policy: str, seed: int, runs: list[Path]) -> Row:
    """The measured row of a policy and a seed; ``UserError`` for another one, and for other runs than those it is measured at."""
    row = next((each for each in measured_rows(study) if (each.name, each.seed) == (policy, seed)), None)
    if row is None:
        paths = [each.path for each in measured_rows(study)]
        raise UserError(
            f"{policy}/seed{seed} is not measured in study {study.name}; allowed: {', '.join(paths) or 'none, it has no oracle'}."
        )
    expected = [each.path for each in source_runs(study, row)]
    if sorted(expected) != sorted(f"{folder.parent.name}/{folder.name}" for folder in runs):
        raise UserError(
            f"--run: {policy}/seed{seed} is measured at the responses of {', '.join(expected)}, and no others."
        )
    return row


if __name__ == "__main__":
    cli.run(app)
