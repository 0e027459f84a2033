"""``python -m tokencredit.train``: one cell of a study, from its base model to ``run.json``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from tokencredit import cli
from tokencredit.config import load_study

app = cli.new_app("Train one cell of a study; a killed run goes on where its last checkpoint stands.")


@app.command()
def train(
    study: Annotated[str, typer.Option(help="Name of the study, a file of <config>/studies.")],
    cell: Annotated[str, typer.Option(help="Name of the method.")],
    seed: Annotated[int, typer.Option(help="Training seed.")],
    model: Annotated[Path, typer.Option(help="Folder of the base model, with model.json.")],
    data: Annotated[list[Path], typer.Option(help="problems.parquet of a training set; may be repeated.")],
    curve_data: Annotated[
        Path, typer.Option(help="problems.parquet of the benchmark that is evaluated inside training.")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the run.")],
    teacher: Annotated[Path | None, typer.Option(help="Folder of the method's teacher, with model.json.")] = None,
    config: Annotated[Path, typer.Option(help="Folder of the configuration.")] = Path("config"),
) -> None:
    """Sample, grade, assign credit, update; write metrics, stored rollouts, the model and, last, run.json."""
    from tokencredit.train import loop
    from tokencredit.train.cell import Cell

    finished = loop.train(Cell(load_study(config, study), cell, seed, model, data, curve_data, out, teacher))
    if not finished:
        print(f"stopped after a checkpoint under {out / 'work'}; the same command goes on from there", file=sys.stderr)
        sys.exit(loop.EXIT_STOPPED)
    cli.made([out / "run.json", out / "metrics.jsonl", out / "rollouts.parquet", out / "model"])


if __name__ == "__main__":
    cli.run(app)
