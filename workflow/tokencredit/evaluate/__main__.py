"""Command line of evaluation: ``generate`` responses, ``score`` graded ones."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from tokencredit import cli, files
from tokencredit.config import load_study
from tokencredit.errors import UserError

app = cli.new_app("Evaluate a row of a study: sample responses, and score them once they are graded.")

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
    import torch

    from tokencredit.base.checked import load_checked
    from tokencredit.engines.lengths import positions
    from tokencredit.evaluate.contract import read_problems
    from tokencredit.evaluate.generate import (
        evaluation_dtype,
        evaluation_engine,
        generate_responses,
        generation_metadata,
    )

    chosen = read_problems(problems, resolved, benchmark)
    model = resolved.config.models[line.model]
    template, evaluation = model.prompt, resolved.evaluation
    device = "cuda" if torch.cuda.is_available() else "cpu"
    samples_itself = evaluation.engine == "transformers"
    policy, tokenizer = load_checked(
        model_dir,
        model,
        chosen,
        longest=evaluation.sampling.longest,
        dtype=evaluation_dtype(resolved),
        device=device if samples_itself else "cpu",  # an engine with weights of its own has the device for itself
        sampled=samples_itself,
    )
    table = generate_responses(
        evaluation_engine(resolved, policy, tokenizer, template, chosen),
        tokenizer,
        template,
        chosen,
        resolved.benchmarks[benchmark].samples,
        evaluation.sampling,
        evaluation.seed,
        benchmark,
        positions(policy),
        progress=sys.stderr.isatty(),
    )
    files.write_parquet(out, table, generation_metadata(resolved, line, benchmark, model_dir, problems, device))
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
) -> None:
    """Count right, wrong, ungraded and truncated responses per question; a wrong number of responses is an error."""
    from tokencredit.evaluate.score import score_row

    resolved = load_study(config, study)
    table, metadata = score_row(resolved, resolved.row(row, seed), eval_dir, data_dir)
    files.write_parquet(out, table, metadata)
    cli.made([out])


if __name__ == "__main__":
    cli.run(app)
