"""The provenance on the page: commits, code, data, environments, and the files that each table and figure was made from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tokencredit import files
from tokencredit.analysis.store import Store
from tokencredit.config import Released
from tokencredit.study import code
from tokencredit.study.acceptance import acceptances
from tokencredit.study.exhibits import Kind
from tokencredit.study.jobs import jobs_of


@dataclass(frozen=True)
class Run:
    """A training run; ``seconds``: of its steps; ``same_code``: the trainer's sources were those beside this analysis."""

    title: str
    seed: int
    steps: int
    seconds: float | None
    config: str
    code: str
    same_code: bool
    model: str
    invalid: str


def shown(made: Mapping[tuple[Kind, str], Store]) -> list[dict[str, Any]]:
    """The provenance of each table and figure: name, code digest, commit, and the digests of the files that it was made from."""
    return [
        files.read_json(store.opened(path)) | {"name": f"{path.parent.name}/{path.stem}"}
        for (kind, name), store in made.items()
        for path in [store.paths.origin(kind, name)]
    ]


def commits(made: Mapping[tuple[Kind, str], Store]) -> dict[str, list[str]]:
    """The tables and figures that were made at each commit, by its name in words."""
    found: dict[str, list[str]] = {}
    for origin in shown(made):
        found.setdefault(_commit(origin), []).append(origin["name"])
    return found


def runs(store: Store) -> list[Run]:
    """Every training run of the study."""
    study = store.study
    found = []
    for name, method in study.methods.items():
        trainer = code.training(study.training.engine, method.credit, method.control, study.model_task)
        for seed in study.training.seeds:
            run = store.run(name, seed)
            found.append(
                Run(
                    title=method.title,
                    seed=seed,
                    steps=run["steps"],
                    seconds=store.seconds_of_steps(name, seed),
                    config=run["config_digest"],
                    code=run["code_digest"],
                    same_code=run["code_digest"] == trainer,
                    model=run["model_sha256"],
                    invalid=run["invalid"] or "",
                )
            )
    return found


def accepted(store: Store) -> list[dict[str, Any]]:
    """The results that stand although their code has changed: file, who vouched for it, when, why, and the code before and after."""
    outputs = [Path(output) for job in jobs_of(store.study, store.results) for output in job.outputs]
    return [
        {"file": path.relative_to(store.results).as_posix(), **asdict(each)}
        for path in outputs
        for each in acceptances(path)
    ]


def environments(store: Store) -> dict[str, dict[str, int]]:
    """Device, platform and package versions of the training runs: of each, how many runs had which."""
    return _counted(pair for run in _records(store) for pair in run["environment"].items())


def data_digests(store: Store) -> dict[str, dict[str, int]]:
    """SHA-256 of the data sets and starting models of the training runs: of each, how many runs had which."""
    digests = (pair for run in _records(store) for pair in run["digests"].items())
    return _counted((name, digest) for name, digest in digests if name not in ("config", "code"))


def released(store: Store) -> dict[str, dict[str, str]]:
    """The models from elsewhere by their titles: where each comes from, and its licence."""
    models = (store.study.config.models[name] for name in store.study.model_names)
    return {
        model.title: {"from": model.place, "licence": model.licence} for model in models if isinstance(model, Released)
    }


def _counted(pairs: Iterable[tuple[str, str]]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for name, value in pairs:
        counts = found.setdefault(name, {})
        counts[value] = counts.get(value, 0) + 1
    return found


def _records(store: Store) -> list[dict[str, Any]]:
    return [store.run(name, seed) for name in store.study.methods for seed in store.study.training.seeds]


def _commit(origin: dict[str, Any]) -> str:
    if origin["commit"] is None:
        return "no commit: the code was not in a Git checkout"
    return f"{origin['commit'][:12]}, {'with changes that are not committed' if origin['modified'] else 'unchanged'}"
