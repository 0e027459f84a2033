"""One run as a thing on disk: what it reads, where it writes, and what decides it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokencredit import files
from tokencredit.base import load_manifest
from tokencredit.config import Method, Model, Recipe, Study
from tokencredit.errors import UserError
from tokencredit.records import Problem, problems_from
from tokencredit.study import code
from tokencredit.study.acceptance import acceptances, accepted_codes
from tokencredit.study.paths import RunFolder


@dataclass(frozen=True)
class RunSpec:
    """A study's method under a training seed, and the files that it reads and writes."""

    study: Study
    name: str
    seed: int
    model_dir: Path
    data: list[Path]
    curve_data: Path
    out: Path
    teacher_dir: Path | None = None

    def __post_init__(self) -> None:
        if (self.method.teacher is None) != (self.teacher_dir is None):
            given = "none is given" if self.teacher_dir is None else f"{self.teacher_dir} is given"
            raise UserError(f"--teacher: {given}, and the teacher of {self.name} is {self.method.teacher or 'nobody'}.")

    @property
    def method(self) -> Method:
        return self.study.method(self.name)

    @property
    def recipe(self) -> Recipe:
        return self.study.recipe_of(self.name)

    @property
    def model(self) -> Model:
        return self.study.config.models[self.study.model_name]

    def problems(self) -> list[Problem]:
        """The training problems of all data sets, in their order. Two with one id are a ``UserError``: golds are found by it."""
        problems = [problem for path in self.data for problem in problems_from(files.read_parquet(path))]
        used: set[str] = set()
        for problem in problems:
            if problem.problem_id in used:
                paths = ", ".join(map(str, self.data))
                raise UserError(
                    f"{paths}: two problems have the id {problem.problem_id!r}; data sets trained on together share none."
                )
            used.add(problem.problem_id)
        return problems

    def curve_problems(self) -> list[Problem]:
        """The problems that are evaluated inside training."""
        return problems_from(files.read_parquet(self.curve_data))[: self.study.training.curve.problems]

    def digests(self) -> dict[str, str]:
        """Digests of everything that decides what the run computes, its seed aside."""
        return {
            "config": files.digest_of(self.study.training_config(self.name)),
            "model": load_manifest(self.model_dir)["sha256"],
            "code": code.training(
                self.study.training.engine, self.method.credit, self.method.control, self.study.model_task
            ),
            **({"teacher": load_manifest(self.teacher_dir)["sha256"]} if self.teacher_dir else {}),
            **{f"data {path.parent.name}": files.sha256(path) for path in [*self.data, self.curve_data]},
        }

    def publish(self, run: dict[str, Any]) -> None:
        """Write ``run.json``, and a copy that Snakemake does not know: it deletes ``run.json`` before a job and after one that failed."""
        folder = RunFolder(self.out)
        files.write_json(folder.finished, run)
        files.write_json(folder.record, run)

    def finished(self, environment: dict[str, str]) -> bool:
        """Whether this very run is finished, made in ``environment``; if so, a missing ``run.json`` is put back.

        Any change in what decides the run, in the environment, or in the files that it left, and it is not; a change of code that was
        accepted is none.
        """
        finished = RunFolder(self.out).finished
        if not finished.exists():
            return False
        run = files.read_json(finished)
        now, accepted = self.digests(), acceptances(RunFolder(self.out).record, files.sha256(finished))
        same = (run["digests"] | {"code": now["code"]}, run["seed"]) == (now, self.seed)
        same = same and now["code"] in accepted_codes(run["digests"]["code"], accepted)
        # A patched kernel is no other run.
        different = {name for name in environment if run["environment"].get(name) != environment[name]} - {"platform"}
        if not same or different or any(_sha256(self.out / name) != digest for name, digest in _made(run).items()):
            return False
        self.publish(run)
        return True


def _made(run: dict[str, Any]) -> dict[str, str]:
    return {**run["files"], "model": run["model_sha256"]}


def _sha256(path: Path) -> str | None:
    return files.sha256(path) if path.exists() else None
