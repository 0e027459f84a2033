"""One run as a thing on disk: what it reads, where it writes, and what decides it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tokencredit import files
from tokencredit.base import load_manifest
from tokencredit.config import Base, Method, Model, Study
from tokencredit.errors import UserError
from tokencredit.records import Problem, problems_from
from tokencredit.train import training_code


@dataclass(frozen=True)
class Cell:
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
    def base(self) -> Base:
        return self.study.base_of(self.name)

    @property
    def model(self) -> Model:
        return self.study.config.models[self.study.model_name]

    def problems(self) -> list[Problem]:
        """The training problems of all data sets, in their order."""
        return [problem for path in self.data for problem in problems_from(files.read_parquet(path))]

    def curve_problems(self) -> list[Problem]:
        """The problems that are evaluated inside training."""
        return problems_from(files.read_parquet(self.curve_data))[: self.study.training.curve.problems]

    def digests(self) -> dict[str, str]:
        """Digests of everything that decides what the run computes, its seed aside."""
        return {
            "config": files.digest_of(self.study.training_config(self.name)),
            "model": load_manifest(self.model_dir)["sha256"],
            "code": training_code(self.study.training.engine, self.method.credit, self.method.control),
            **({"teacher": load_manifest(self.teacher_dir)["sha256"]} if self.teacher_dir else {}),
            **{f"data {path.parent.name}": files.sha256(path) for path in [*self.data, self.curve_data]},
        }

    def finished(self) -> bool:
        """Whether ``run.json`` is there and was made from what this cell is now."""
        path = self.out / "run.json"
        if not path.exists():
            return False
        run = files.read_json(path)
        return run["digests"] == self.digests() and run["seed"] == self.seed
