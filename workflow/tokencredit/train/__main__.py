"""``python -m tokencredit.train``: one method of a study under one seed, from its base model to ``run.json``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from tokencredit import cli
from tokencredit.config import load_study
from tokencredit.study.paths import RunFolder
from tokencredit.train.launch import EXIT_STOPPED, launch, numbered
from tokencredit.train.requeue import requeue_job

app = cli.new_app("Train one method of a study under one seed; a killed run goes on from its last checkpoint.")


@app.command()
def train(
    study: Annotated[str, typer.Option(help="Name of the study, a file of <config>/studies.")],
    method: Annotated[str, typer.Option(help="Name of the method.")],
    seed: Annotated[int, typer.Option(help="Training seed.")],
    model: Annotated[Path, typer.Option(help="Folder of the base model, with model.json.")],
    data: Annotated[list[Path], typer.Option(help="problems.parquet of a training set; may be repeated.")],
    curve_data: Annotated[
        Path, typer.Option(help="problems.parquet of the benchmark that is evaluated inside training.")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the run.")],
    teacher: Annotated[Path | None, typer.Option(help="Folder of the method's teacher, with model.json.")] = None,
    config: Annotated[Path, typer.Option(help="Folder of the configuration.")] = Path("config"),
    processes: Annotated[
        int, typer.Option(min=1, help="Processes to train in, each on a GPU of its own where there are GPUs.")
    ] = 1,
    requeue: Annotated[
        bool, typer.Option("--requeue", help="Put the Slurm job back into the queue when a signal has stopped the run.")
    ] = False,
) -> None:
    """Sample, grade, assign credit, update; write metrics, stored rollouts, the model and, last, run.json."""
    if not numbered() and processes > 1:
        sys.exit(launch([sys.executable, "-m", "tokencredit.train", *sys.argv[1:]], processes))

    from tokencredit.train import loop
    from tokencredit.train.processes import joined
    from tokencredit.train.run_spec import RunSpec

    wanted = RunSpec(load_study(config, study), method, seed, model, data, curve_data, out, teacher)
    with joined(wanted.study.training) as all_processes:
        finished = loop.train(wanted, all_processes)
        if all_processes.first and finished:
            folder = RunFolder(out)
            cli.made([folder.record, folder.metrics, folder.rollouts, folder.model])
        elif all_processes.first:
            stopped = f"stopped after a checkpoint under {out / 'work'}; the same command goes on from there"
            print(stopped, file=sys.stderr)
        if requeue and not finished:
            # The others wait: the first that ends may end them all.
            all_processes.from_first(requeue_job)
    if not finished:
        sys.exit(EXIT_STOPPED)


if __name__ == "__main__":
    cli.run(app)
