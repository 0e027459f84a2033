"""Where the files of a study are, below one folder of results. Beside the patterns in ``workflow/rules`` nothing else spells these paths.

A folder class names the files of one kind of folder; ``Paths`` says which folders a study has. A study that is a part of another has its
runs, evaluations and audits below that other study, its ``home``, and its tables, figures, page and measurements below its own name.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path
from typing import overload

from tokencredit.config import FolderModel, Released, Row, Study
from tokencredit.data import MANIFEST, PROBLEMS

RESULTS = "results"
RECIPES = "data-recipe"
TABLE_FILES = ("csv", "tex", "json")
FIGURE_FILES = ("pdf", "png", "csv", "json")
# Of a released model: its settings, weights, tokenizer and chat template.
MODEL_FILES = ("*.json", "*.safetensors", "*.txt", "*.model", "*.jinja")


class FileName:
    """A file or folder by its name in the folder of the object that it is read from."""

    def __init__(self, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, owner: None, kind: type) -> FileName: ...
    @overload
    def __get__(self, owner: _Folder, kind: type) -> Path: ...
    def __get__(self, owner: _Folder | None, kind: type) -> FileName | Path:
        return self if owner is None else owner.folder / self.name


@dataclass(frozen=True)
class _Folder:
    folder: Path


class DatasetFolder(_Folder):
    """A prepared data set."""

    problems = FileName(PROBLEMS)
    manifest = FileName(MANIFEST)


class ModelFolder(_Folder):
    """A model that studies start from or evaluate; the weights of a released model may be elsewhere."""

    manifest = FileName("model.json")
    weights = FileName("model.safetensors")


class RunFolder(_Folder):
    """A training run. Snakemake knows ``record`` alone, which is written last and stands for the files beside it."""

    record = FileName("run.json")
    finished = FileName(".finished.json")  # a copy of the record that Snakemake does not know
    metrics = FileName("metrics.jsonl")
    timing = FileName("timing.jsonl")
    rollouts = FileName("rollouts.parquet")
    evaluations = FileName("evaluations.parquet")
    probe = FileName("probe.parquet")
    model = FileName("model")
    work = FileName("work")


class AnswersFolder(_Folder):
    """The responses of a row to one benchmark."""

    generations = FileName("generations.parquet")
    grades = FileName("grades.parquet")


class EvaluationFolder(_Folder):
    """The evaluation of a row on all benchmarks of its study."""

    scores = FileName("scores.parquet")

    def answers(self, benchmark: str) -> AnswersFolder:
        return AnswersFolder(self.folder / benchmark)


class MeasurementFolder(_Folder):
    """The measured credit of tokens under one policy."""

    states = FileName("states.parquet")
    branches = FileName("branches.parquet")

    @property
    def tables(self) -> tuple[Path, Path]:
        return self.states, self.branches


class AttributionFolder(_Folder):
    """What the base model's weights say of the responses that were measured."""

    hindsight = FileName("hindsight.parquet")
    gradients = FileName("gradients.parquet")
    groups = FileName("groups.parquet")

    @property
    def tables(self) -> tuple[Path, ...]:
        return self.hindsight, self.gradients, self.groups


class PoolFolder(_Folder):
    """The rows that a study's data recipes choose from."""

    pool = FileName("pool.parquet")
    pairs = FileName("pairs.parquet")

    @property
    def tables(self) -> tuple[Path, Path]:
        return self.pool, self.pairs


class SearchFolder(_Folder):
    """A search for a data recipe under one search seed."""

    history = FileName("history.parquet")
    work = FileName("work")


class TunedFolder(ModelFolder):
    """The start model trained on the rows of one data recipe, and what it scores."""

    scores = FileName("tuned.parquet")


class Shared:
    """What studies share: data sets, their overlaps, and models."""

    def __init__(self, results: str | Path = RESULTS) -> None:
        self.results = Path(results)

    def dataset(self, name: str) -> DatasetFolder:
        return DatasetFolder(self.results / "data" / name)

    def overlap(self, train: str, tested: str) -> Path:
        """The report on how much of the data set ``tested`` stands in ``train``."""
        return self.results / "data" / "overlap" / f"{train}--{tested}.json"

    def model(self, name: str) -> ModelFolder:
        return ModelFolder(self.results / "models" / name)

    def log(self, rule: str, name: str) -> Path:
        """The log of a job; ``name``: its wildcards as a path."""
        return self.results / "logs" / rule / f"{name}.log"

    def within_study(self, path: Path) -> str:
        """A path below the folder of a study, as tables name the files that a number rests on."""
        return Path(*path.relative_to(self.results).parts[1:]).as_posix()

    def relative(self, path: str | Path) -> str:
        """A path below the results folder, as records name it."""
        return Path(path).relative_to(self.results).as_posix()


class Paths(Shared):
    """The files of one study, those that it shares with others among them."""

    def __init__(self, study: Study, results: str | Path = RESULTS) -> None:
        super().__init__(results)
        self.study = study
        self.home = self.results / study.home
        self.own = self.results / study.name

    @property
    def start(self) -> ModelFolder:
        """The study's model after its supervised start."""
        return ModelFolder(self.home / "start")

    def model(self, name: str) -> ModelFolder:
        """A model as this study uses it: the one that is trained after its supervised start, where the study has one."""
        return self.start if self.study.start and name == self.study.model_name else super().model(name)

    def run(self, row: Row) -> RunFolder:
        return RunFolder(self.home / "runs" / row.path)

    def model_of(self, row: Row) -> Path:
        """The folder of the model of a row or of a measured policy: of its training run, or the base model's."""
        return self.run(row).model if row.method else self.model(row.model).folder

    def evaluation(self, row: Row) -> EvaluationFolder:
        return EvaluationFolder(self.home / "eval" / row.path)

    def audit(self, benchmark: str) -> Path:
        return self.home / "audit" / f"{benchmark}.json"

    def measurement(self, row: Row) -> MeasurementFolder:
        return MeasurementFolder(self.own / "oracle" / row.path)

    def attribution(self, seed: int) -> AttributionFolder:
        return AttributionFolder(self.own / "attribution" / f"seed{seed}")

    @property
    def pool(self) -> PoolFolder:
        return PoolFolder(self.home / RECIPES / "pool")

    def search(self, name: str, seed: int) -> SearchFolder:
        """The search ``name`` of ``data_recipe.searches`` under a search seed."""
        return SearchFolder(self.home / RECIPES / "search" / name / f"seed{seed}")

    def tuned(self, line: str, seed: int) -> TunedFolder:
        """A line of the table of data recipes, under a search seed."""
        return TunedFolder(self.home / RECIPES / "tuned" / line / f"seed{seed}")

    @property
    def trained(self) -> ModelFolder:
        """The model that methods train: the study's, or that which the winner of its search for a data recipe was trained to."""
        winner = self.study.winner
        return self.tuned(*winner) if winner else self.model(self.study.model_name)

    def table(self, name: str, suffix: str = "csv") -> Path:
        return self.own / "tables" / f"{name}.{suffix}"

    def figure(self, name: str, suffix: str = "csv") -> Path:
        return self.own / "figures" / f"{name}.{suffix}"

    def origin(self, kind: str, name: str) -> Path:
        """What a table (``kind`` "table") or figure ("figure") was made from."""
        return {"table": self.table, "figure": self.figure}[kind](name, "json")

    def usage(self, rule: str, row: Row, benchmark: str) -> Path:
        """What a job took that is about a row and a benchmark."""
        return usage_of(self.log(rule, f"{self.study.home}/{row.path}/{benchmark}"))

    @property
    def notes(self) -> Path:
        """What people wrote about the runs; parts of one study share it as they share the runs."""
        return self.home / "notes.jsonl"

    @property
    def page(self) -> Path:
        return self.own / "index.html"

    @cached_property
    def audits(self) -> list[Path]:
        """The grader audits of all benchmarks."""
        return [self.audit(name) for name in self.study.benchmarks]

    @cached_property
    def overlaps(self) -> list[Path]:
        """The overlap reports of the training sets, a start's too, against the data sets of the benchmarks."""
        tested = dict.fromkeys(benchmark.dataset for benchmark in self.study.benchmarks.values())
        learned = [*([self.study.start.dataset] if self.study.start else []), *self.study.training.datasets]
        return [self.overlap(train, name) for train in dict.fromkeys(learned) for name in tested]

    @cached_property
    def training_problems(self) -> list[Path]:
        return [self.dataset(name).problems for name in self.study.training.datasets]

    def benchmark_problems(self, benchmark: str) -> Path:
        return self.dataset(self.study.config.benchmarks[benchmark].dataset).problems


def usage_of(log: str | Path) -> Path:
    """Where Snakemake writes what a job took, beside its log, once the job has ended well."""
    return Path(log).with_suffix(".usage.jsonl")


def model_files(folder: Path) -> list[Path]:
    """The files that a model in ``folder`` is made of; other programs may leave theirs there too. None where there is no such folder."""
    files = (file for file in folder.rglob("*") if file.is_file())
    return sorted(file for file in files if any(fnmatch(file.name, pattern) for pattern in MODEL_FILES))


def files_here(model: Released) -> list[Path]:
    """The files of a model in a folder of this machine, which is another model when they change; none for models from elsewhere."""
    return model_files(model.folder) if isinstance(model, FolderModel) else []
