"""``python -m tokencredit.config check``: check every study, and say how much work each is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tokencredit import cli
from tokencredit.config import Config, Released, Study

app = cli.new_app("The configuration of the studies.")


@app.callback()
def _group() -> None:
    """Keeps ``check`` a command of its own."""


@app.command()
def check(config: Annotated[Path, typer.Option(help="Folder of the configuration.")] = Path("config")) -> None:
    """Check every file and every study, and say how much work each study is."""
    loaded = Config(config)
    for table in ("gpus", "claims", "targets"):  # read where they are needed, and here in any case
        if (config / f"{table}.yaml").exists():
            getattr(loaded, table)
    for name in loaded.study_names:
        loaded.study(name).targets_config()
    head = ("study", "model", "methods", "runs", "rows", "benchmarks", "generations", "updates")
    table = [head, *(_summary(loaded.study(name)) for name in loaded.study_names)]
    widths = [max(len(line[column]) for line in table) for column in range(len(head))]
    for line in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    named = {name for study in loaded.study_names for name in loaded.study(study).model_names}
    for name in sorted(named):
        model = loaded.models[name]
        if isinstance(model, Released) and model.unpinned:
            print(f"not pinned: models.{name}.{model.unpinned}")


def _summary(study: Study) -> tuple[str, ...]:
    runs = len(study.methods) * len(study.training.seeds)
    generations = len(study.rows) * sum(use.problems * use.samples for use in study.benchmarks.values())
    updates = runs * study.training.steps * study.training.updates_per_step
    numbers = (len(study.methods), runs, len(study.rows), len(study.benchmarks), generations, updates)
    return (study.name, study.model_name, *(f"{number:,}" for number in numbers))


if __name__ == "__main__":
    cli.run(app)
