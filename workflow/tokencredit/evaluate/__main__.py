"""Command line of evaluation: ``generate`` responses, ``grade`` them, ``score`` them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from tokencredit import cli, files
from tokencredit.config import load_study
from tokencredit.errors import UserError
from tokencredit.grading.pool import TIMEOUT, GradingPool, available_cores
from tokencredit.records import DEFAULT

app = cli.new_app("Evaluate a row of a study: sample responses, grade them, and score them.")

ConfigOption = Annotated[Path, typer.Option(help="Folder of the configuration.")]
StudyOption = Annotated[str, typer.Option(help="Name of the study.")]
RowOption = Annotated[str, typer.Option(help="Row of the results table: a method, or an evaluation-only model.")]
SeedOption = Annotated[int, typer.Option(help="Training seed; 0 for an evaluation-only model.")]
OutOption = Annotated[Path, typer.Option(help="File to write.")]


@app.command()
def generate(
    config: ConfigOption,
    study: StudyOption,
    row: RowOption,
    seed: SeedOption,
    benchmark: Annotated[str, typer.Option(help="Benchmark of the study.")],
    model_dir: Annotated[Path, typer.Option(help="Folder of the model: weights, or a model.json that points to them.")],
    problems: Annotated[Path, typer.Option(help="problems.parquet of the benchmark's data set.")],
    out: OutOption,
) -> None:
    """Sample the study's number of responses to every problem of a benchmark."""
    resolved = load_study(config, study)
    line = resolved.row(row, seed)
    if benchmark not in resolved.benchmarks:
        raise UserError(f"{benchmark} is not a benchmark of study {study}; allowed: {', '.join(resolved.benchmarks)}.")

    # Heavy imports wait until the cheap checks are done.
    from tokencredit.evaluate.generate import generate_row

    table, metadata = generate_row(resolved, line, benchmark, model_dir, problems, progress=sys.stderr.isatty())
    files.write_parquet(out, table, metadata)
    cli.made([out])


@app.command()
def grade(
    generations: Annotated[Path, typer.Option(help="generations.parquet.")],
    problems: Annotated[Path, typer.Option(help="problems.parquet of the benchmark's data set.")],
    out: Annotated[Path, typer.Option(help="grades.parquet to write.")],
    workers: Annotated[int | None, typer.Option(help="Grading processes; by default one per core.", min=1)] = None,
    timeout: Annotated[float, typer.Option(help="Seconds of wall time per answer.")] = TIMEOUT,
    grader: Annotated[str, typer.Option(help="Name of the grader.")] = DEFAULT,
) -> None:
    """Grade every response of a table of generations: right, wrong or ungraded."""
    from tokencredit.evaluate.grade import grade_generations

    with GradingPool(workers or available_cores(), timeout, grader=grader) as pool:
        table, metadata = grade_generations(generations, problems, pool)
    files.write_parquet(out, table, metadata)
    counts = table["outcome"].value_counts()
    print(", ".join(f"{outcome} {counts.get(outcome, 0)}" for outcome in ("right", "wrong", "ungraded")))
    cli.made([out])


@app.command()
def score(
    config: ConfigOption,
    study: StudyOption,
    row: RowOption,
    seed: SeedOption,
    eval_dir: Annotated[Path, typer.Option(help="Folder with <benchmark>/{generations,grades}.parquet.")],
    data_dir: Annotated[Path, typer.Option(help="Folder with <data set>/problems.parquet.")],
    out: OutOption,
    workers: Annotated[
        int, typer.Option(help="Processes that compare wrong answers, where that decides a majority.", min=1)
    ] = 1,
) -> None:
    """Count right, wrong, ungraded and truncated responses per question; a wrong number of responses is an error."""
    from tokencredit.evaluate.score import score_row

    resolved = load_study(config, study)
    table, metadata = score_row(resolved, resolved.row(row, seed), eval_dir, data_dir, workers)
    files.write_parquet(out, table, metadata)
    cli.made([out])


if __name__ == "__main__":
    cli.run(app)
