"""Command line of the search for a data recipe: ``pool``, ``search``, ``tune``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tokencredit import cli
from tokencredit.config import Study, load_study
from tokencredit.errors import UserError
from tokencredit.study import data_recipes

app = cli.new_app("Search for a data recipe: which rows of a pool of solutions a supervised start is trained on.")

ConfigOption = Annotated[Path, typer.Option(help="Folder of the configuration.")]
StudyOption = Annotated[str, typer.Option(help="Name of the study.")]
SeedOption = Annotated[int, typer.Option(help="Search seed.")]
ModelOption = Annotated[Path, typer.Option(help="Folder of the model that is trained on the rows.")]
PoolOption = Annotated[Path, typer.Option(help="Folder with pool.parquet and pairs.parquet.")]
ValidationOption = Annotated[Path, typer.Option(help="problems.parquet of the validation's data set.")]
TestsOption = Annotated[
    list[Path], typer.Option(help="problems.parquet of each benchmark of the study, in its order; may be repeated.")
]
OutOption = Annotated[Path, typer.Option(help="Folder to write to.")]


@app.command()
def pool(
    config: ConfigOption,
    study: StudyOption,
    model_dir: ModelOption,
    validation: ValidationOption,
    tests: TestsOption,
    out: OutOption,
    data_root: Annotated[
        Path | None, typer.Option(envvar="TOKENCREDIT_DATA", help="Folder of the file of a pool that is read.")
    ] = None,
) -> None:
    """Make or read the rows, and what the model and their texts tell of them."""
    resolved = _with_search(config, study)
    named = _named(resolved, tests)

    # Heavy imports wait until the cheap checks are done.
    from tokencredit.data_recipe.stage import make_pool

    cli.made(make_pool(resolved, model_dir, validation, named, data_root, out))


@app.command()
def search(
    config: ConfigOption,
    study: StudyOption,
    search: Annotated[str, typer.Option(help="How the next recipe is found, one of `data_recipe.searches`.")],
    seed: SeedOption,
    model_dir: ModelOption,
    pool: PoolOption,
    validation: ValidationOption,
    out: OutOption,
) -> None:
    """Train and score one recipe after the other; a search that was killed goes on where it stood."""
    resolved = _with_search(config, study)
    known = data_recipes.searches(resolved)
    if (search, seed) not in known:
        names = ", ".join(f"{name}/seed{number}" for name, number in known)
        raise UserError(f"{search}/seed{seed} is not a search of study {study}; allowed: {names}.")

    from tokencredit.data_recipe import stage

    cli.made(stage.search(resolved, search, seed, model_dir, pool, validation, out))


@app.command()
def tune(
    config: ConfigOption,
    study: StudyOption,
    line: Annotated[str, typer.Option(help="A line of the table of data recipes.")],
    seed: SeedOption,
    model_dir: ModelOption,
    pool: PoolOption,
    validation: ValidationOption,
    tests: TestsOption,
    out: OutOption,
    found: Annotated[
        list[Path] | None, typer.Option(help="history.parquet of each search that says which recipe it is.")
    ] = None,
) -> None:
    """Train on the rows of one recipe, and score the model on validation and tests."""
    resolved = _with_search(config, study)
    each = next((each for each in data_recipes.tuned(resolved) if (each.line, each.seed) == (line, seed)), None)
    if each is None:
        names = ", ".join(each.path for each in data_recipes.tuned(resolved))
        raise UserError(f"{line}/seed{seed} is not a line of study {study}; allowed: {names}.")
    if len(found or []) != len(each.searches):
        raise UserError(f"--found: {each.path} rests on {len(each.searches)} histories, {', '.join(each.searches)}.")
    histories = dict(zip(each.searches, found or [], strict=True))
    named = _named(resolved, tests)

    from tokencredit.data_recipe import stage

    cli.made(stage.tune(resolved, line, seed, model_dir, pool, validation, named, histories, out))


def _with_search(config: Path, study: str) -> Study:
    resolved = load_study(config, study)
    if resolved.data_recipe is None:
        raise UserError(f"study {study} has no `data_recipe` to search for.")
    return resolved


def _named(study: Study, tests: list[Path]) -> dict[str, Path]:
    if len(tests) != len(study.benchmarks):
        raise UserError(
            f"--tests: {len(tests)} files for {len(study.benchmarks)} benchmarks, {', '.join(study.benchmarks)}."
        )
    return dict(zip(study.benchmarks, tests, strict=True))


if __name__ == "__main__":
    cli.run(app)
