"""Whether the records of a study hold together: every count, every recorded digest, and the configuration that they were made with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokencredit import files
from tokencredit.config import Row, Study
from tokencredit.errors import UserError
from tokencredit.study import data_recipes, settings
from tokencredit.study.acceptance import record_of
from tokencredit.study.exhibits import Kind, exhibits_of
from tokencredit.study.jobs import Job
from tokencredit.study.measurements import measured_rows, source_runs
from tokencredit.study.paths import RunFolder
from tokencredit.study.selection import base_row

if TYPE_CHECKING:
    from tokencredit.analysis.store import Store


def check_study(study: Study, results: Path) -> None:
    """Every count is kept, every recorded digest is that of its file, and every record is of this configuration; ``UserError`` else."""
    from tokencredit.analysis.store import Store

    store = Store(study, results)
    for row in study.rows:
        store.scores(row)
        check_row(store, row)
    for row in measured_rows(study):
        _check_measurement(store, row, store.paths.measurement(row).tables, settings.measurement(study))
        if study.attribution and row.method is None:
            _check_measurement(store, row, store.paths.attribution(row.seed).tables, settings.attribution(study))
    for name, seed in data_recipes.searches(study):
        store.search(name, seed)
    for each in data_recipes.tuned(study):
        store.tuned(each.line, each.seed)
    for method in study.methods:
        store.metrics(method)
        for table in (RunFolder.rollouts, RunFolder.evaluations, RunFolder.probe):
            store.tokens(table, method, ["step"])
    for exhibit in exhibits_of(study):
        check_exhibit(store, exhibit.kind, exhibit.name)


def check_exhibit(store: Store, kind: Kind, name: str) -> None:
    """A table or figure was made from the records as they are now; ``UserError`` else."""
    path = store.paths.origin(kind, name).with_suffix(".csv")
    origin = files.read_json(path.with_suffix(".json"))
    made = origin.get("made", {}).get(path.name)
    if made != files.sha256(path) or origin.get("files") != store.provenance(kind, name):
        raise UserError(f"{path}: was not made from the records that stand there now. Make it again: snakemake {path}")


def files_of_job(job: Job) -> list[Path]:
    """The files that a job left: what it declares, what stands beside a ``run.json``, who accepted it, and what it took."""
    made, usage = [Path(path) for path in job.outputs], Path(job.usage)
    if job.rule == "train":
        run = RunFolder(made[0].parent)
        made += [*(run.folder / name for name in files.read_json(run.record)["files"]), run.timing]
    accepted = [record_of(output) for output in job.outputs]
    return [*made, *(path for path in (*accepted, usage) if path.is_file())]


def check_row(store: Store, row: Row) -> None:
    """What the records of a row say they were made with is this configuration, its run's model, and the problems that are there."""
    study, path = store.study, store.paths.evaluation(row).scores
    run = store.run(row.name, row.seed) if row.method else {}
    if row.method:
        where = store.paths.run(row).record
        _check_same(where, "config_digest", run["config_digest"], files.digest_of(study.training_config(row.method)))
        for key, digest in run["digests"].items():
            if key.startswith("data "):
                _check_same(where, f"digests.{key}", digest, _digest_of_problems(store, key.removeprefix("data ")))
    for name, entry in store.scores_metadata(row)["benchmarks"].items():
        expected = {
            "config_digest": files.digest_of(study.evaluation_config(row, name)),
            "data_sha256": _digest_of_problems(store, study.benchmarks[name].dataset),
        }
        if row.method:
            expected["model_sha256"] = run["model_sha256"]
        for key, value in expected.items():
            _check_same(path, f"{name}.{key}", entry.get(key), value)


def _check_measurement(store: Store, row: Row, tables: Sequence[Path], configured: dict[str, Any]) -> None:
    """The ``tables`` of a measurement are of this configuration, of the row's model, and of the problems and responses that are there."""
    evaluated, runs = row if row.method else base_row(store.study), source_runs(store.study, row)
    scored = next(iter(store.scores_metadata(evaluated)["benchmarks"].values())) if evaluated else {}
    for path in tables:
        about = files.parquet_metadata(path)
        expected = configured | {
            **({"model_sha256": scored["model_sha256"]} if scored else {}),
            "data_sha256": {name: _digest_of_problems(store, name) for name in store.study.training.datasets},
            "rollouts_sha256": {run.name: files.sha256(store.paths.run(run).rollouts) for run in runs},
        }
        for key, value in expected.items():
            _check_same(path, key, about.get(key), value)


def _digest_of_problems(store: Store, dataset: str) -> str:
    """The digest of a data set's problems; where they are not there, that in its manifest."""
    folder = store.paths.dataset(dataset)
    return files.sha256(folder.problems) if folder.problems.exists() else files.read_json(folder.manifest)["sha256"]


def _check_same(path: Path, key: str, recorded: Any, expected: Any) -> None:
    if recorded != expected:
        raise UserError(
            f"{path}: {key} = {recorded!r}; {expected!r} is expected. It was made with something else than what is there now: "
            f"another configuration, model or data set. Make it again: snakemake {path}"
        )
