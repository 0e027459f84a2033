"""``python -m tokencredit.config``: check the studies; write the JSON schemas and the tables of ``config/README.md``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from tokencredit import cli
from tokencredit.config import Config, HubModel, Study

app = cli.new_app("The configuration: check every study, write its schemas and its documentation.")

Folder = Annotated[Path, typer.Option(help="Folder of the configuration.")]


@app.command()
def check(config: Folder = Path("config")) -> None:
    """Check every file and every study, and say how much work each study is."""
    loaded = Config(config)
    head = ("study", "model", "methods", "runs", "rows", "benchmarks", "generations", "updates")
    table = [head, *(_summary(loaded.study(name)) for name in loaded.study_names)]
    widths = [max(len(line[column]) for line in table) for column in range(len(head))]
    for line in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    named = {name for study in loaded.study_names for name in loaded.study(study).model_names}
    for name in sorted(named):
        model = loaded.models[name]
        if isinstance(model, HubModel) and model.revision is None:
            print(f"not pinned: models.{name}.revision = null; the newest commit of {model.id} is taken and recorded")


@app.command()
def schemas(out: Annotated[Path, typer.Option(help="Folder of the schemas.")] = Path("workflow/schemas")) -> None:
    """Write the JSON schema of every configuration file."""
    from tokencredit import files
    from tokencredit.config.schemas import FILES, schema_of

    made = [out / f"{name}.schema.json" for name in FILES]
    for name, path in zip(FILES, made, strict=True):
        files.write_text(path, json.dumps(schema_of(name), indent=2, ensure_ascii=False) + "\n")
    cli.made(made)


@app.command()
def keys(readme: Annotated[Path, typer.Option(help="The README to fill.")] = Path("config/README.md")) -> None:
    """Write the tables of keys in the configuration's README."""
    from tokencredit import files
    from tokencredit.config.schemas import fill_tables

    files.write_text(readme, fill_tables(readme.read_text(encoding="utf-8")))
    cli.made([readme])


def _summary(study: Study) -> tuple[str, ...]:
    runs = len(study.methods) * len(study.training.seeds)
    generations = len(study.rows) * sum(use.problems * use.samples for use in study.benchmarks.values())
    updates = runs * study.training.steps * study.training.updates_per_step
    numbers = (len(study.methods), runs, len(study.rows), len(study.benchmarks), generations, updates)
    return (study.name, study.model_name, *(f"{number:,}" for number in numbers))


if __name__ == "__main__":
    cli.run(app)
