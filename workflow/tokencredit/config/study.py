"""A study resolved: everything it names found in the tables of ``config/``."""

from __future__ import annotations

import hashlib
from collections.abc import Set
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tokencredit.config.keys import Benchmark, Method, Recipe
from tokencredit.config.reading import allowed, read_bytes
from tokencredit.config.study_keys import StudyFile
from tokencredit.config.tables import Tables
from tokencredit.config.target_keys import Source
from tokencredit.credit import METHODS
from tokencredit.credit.columns import TOLD, columns_of
from tokencredit.errors import UserError
from tokencredit.records import DEFAULT

# Keys without influence on results; and keys that matter only to the runs that use them (added in `training_config`).
_LABELS = {"title", "licence", "architecture"}
_OF_SOME_RUNS = {"privileged_prompt", "lora_rank"}
# Keys of training that are about memory and time alone.
NEVER_THE_RESULT = {
    *("micro_batch_tokens", "gradient_checkpointing", "checkpoint_every", "watchdog_minutes"),
    *("engine_memory", "engine_separate"),
}
_OF_GRADES = {"grader", "audit"}  # decides no response


@dataclass(frozen=True)
class Row:
    """What is evaluated: a method trained under a seed, or a model that is not trained here (``method`` None, seed 0)."""

    name: str
    seed: int
    title: str
    model: str
    method: str | None

    @property
    def path(self) -> str:
        return f"{self.name}/seed{self.seed}"


class Study:
    """A study with everything it names: the only object that other modules take their settings from."""

    def __init__(self, name: str, file: StudyFile, config: Tables, whole: Study | None = None) -> None:
        """``whole``: the study that it is a part of, whose runs, evaluations and audits it has; itself for most."""
        self.name = name
        self.whole = whole or self
        self.file = file
        self.config = config
        self.title = file.title
        self.start = file.start
        self.training = file.training
        self.evaluation = file.evaluation
        self.oracle = file.oracle
        self.attribution = file.attribution
        self.data_recipe = file.data_recipe
        self.analysis = file.analysis
        self.experiments = file.experiments
        self.resources = file.resources
        self.reference = file.reference
        self.model_name = file.model

    @property
    def home(self) -> str:
        """The name of the study below which runs, evaluations and audits are: its own, or of a part the whole's."""
        return self.whole.name

    @property
    def model_task(self) -> str | None:
        """The task of the embedded model that is trained; None for a released one."""
        return self.config.models[self.model_name].task if self.config.is_embedded(self.model_name) else None

    @cached_property
    def methods(self) -> dict[str, Method]:
        return {name: self.config.methods[name] for name in self.training.methods}

    def method(self, name: str) -> Method:
        """The trained method of that name; another name is a ``UserError``."""
        if name not in self.methods:
            raise UserError(
                f"{name} is not a trained method of study {self.name}; {allowed(name, list(self.methods))}."
            )
        return self.methods[name]

    @cached_property
    def rows(self) -> list[Row]:
        only = [
            Row(name=row.name, seed=0, title=row.title, model=row.model, method=None) for row in self.evaluation.rows
        ]
        trained = [
            Row(name=name, seed=seed, title=method.title, model=self.model_name, method=name)
            for name, method in self.methods.items()
            for seed in self.training.seeds
        ]
        return only + trained

    def row(self, name: str, seed: int) -> Row:
        """The row ``name`` with ``seed``; another one is a ``UserError``."""
        return self.row_at(f"{name}/seed{seed}")

    def row_at(self, path: str) -> Row:
        """The row whose files are at ``path``, spelt as it is written: no ``seed00``, which would be ``seed0`` at another place."""
        if path not in self._rows_by_path:
            raise UserError(f"{path} is not a row of study {self.name}; {allowed(path, list(self._rows_by_path))}.")
        return self._rows_by_path[path]

    @cached_property
    def _rows_by_path(self) -> dict[str, Row]:
        return {row.path: row for row in self.rows}

    @cached_property
    def benchmarks(self) -> dict[str, Benchmark]:
        """The study's benchmarks with the study's own numbers of samples and of problems (the first ones of the data set)."""
        return {
            use.benchmark: self.config.benchmarks[use.benchmark].model_copy(
                update=use.model_dump(include={"samples", "problems"}, exclude_none=True)
            )
            for use in self.evaluation.benchmarks
        }

    @cached_property
    def validation(self) -> Benchmark | None:
        """What the search for a data recipe scores on, with the study's own numbers of samples and problems; None without a search."""
        if self.data_recipe is None:
            return None
        use = self.data_recipe.validation
        own = use.model_dump(include={"samples", "problems"}, exclude_none=True)
        return self.config.benchmarks[use.benchmark].model_copy(update=own)

    @property
    def winner(self) -> tuple[str, int] | None:
        """The search and its seed whose winner training starts from; None where it starts from the model itself."""
        recipe = self.data_recipe
        return None if recipe is None or recipe.start is None else (recipe.searches[0], recipe.start)

    @cached_property
    def averaged(self) -> dict[str, Benchmark]:
        """The benchmarks that means, claims and the paper's figures are about: all that are not ``beside`` the others."""
        beside = {use.benchmark for use in self.evaluation.benchmarks if use.beside}
        return {name: benchmark for name, benchmark in self.benchmarks.items() if name not in beside}

    @property
    def beside(self) -> dict[str, Benchmark]:
        """The benchmarks that are shown beside the others."""
        return {name: benchmark for name, benchmark in self.benchmarks.items() if name not in self.averaged}

    @property
    def updates(self) -> int:
        """Optimiser updates of a training run."""
        return self.training.steps * self.training.prompts_per_step // self.training.prompts_per_update

    @property
    def speed_steps(self) -> range:
        """The steps whose mean solve rate is a method's speed."""
        first, last = self.analysis.speed_steps or (min(2, self.training.steps), max(2, self.training.steps // 2))
        return range(first, last + 1)

    @property
    def grader(self) -> str:
        """The grader of the training sets, which is one for all."""
        return self.config.datasets[self.training.datasets[0]].grader

    def grader_of(self, benchmark: str) -> str:
        """The grader of a benchmark of the configuration: its own, or that of its data set."""
        chosen = self.config.benchmarks[benchmark]
        return chosen.grader or self.config.datasets[chosen.dataset].grader

    @cached_property
    def targets(self) -> dict[str, Source]:
        """The tables and figures of the paper whose numbers this study is to show again; empty for a study of its own."""
        sources = self.config.targets.sources if self.config.targets else {}
        return {name: source for name, source in sources.items() if source.study == self.home}

    def targets_config(self) -> dict[str, Any]:
        """Everything that a verdict on this study's numbers rests on beside its results, as plain JSON; empty where it has no targets."""
        if not self.targets:
            return {}
        files = {source.file for source in self.targets.values()}
        printed = {name: read_bytes(self.config.folder / "targets" / f"{name}.csv") for name in files}
        return {
            **self.config.targets.model_dump(mode="json", exclude={"sources"}),
            "sources": {name: source.model_dump(mode="json") for name, source in self.targets.items()},
            "printed": {name: hashlib.sha256(content).hexdigest() for name, content in sorted(printed.items())},
        }

    @cached_property
    def model_names(self) -> list[str]:
        """The model that is trained, those that are evaluated beside it, and the teachers."""
        teachers = [method.teacher for method in self.methods.values() if method.teacher]
        return list(dict.fromkeys([self.model_name, *(row.model for row in self.evaluation.rows), *teachers]))

    def recipe_of(self, method: str) -> Recipe:
        return self.config.recipes[self.methods[method].recipe]

    def training_config(self, name: str) -> dict[str, Any]:
        """Everything in the configuration that decides what a method's training computes, as plain JSON."""
        method, training, config = self.method(name), self.training, self.config
        decided_elsewhere = {"methods", "seeds", "datasets"}
        told = not {*TOLD}.isdisjoint(columns_of(method.credit))
        curve_grader = self.grader_of(training.curve.benchmark)
        of_some = {
            "curve_grader": curve_grader if curve_grader != DEFAULT else None,
            "control": method.control,
            "teacher": {method.teacher: _facts(config.models[method.teacher])} if method.teacher else None,
            "privileged_prompt": config.models[self.model_name].privileged_prompt if told else None,
            "lora_rank": self.recipe_of(name).lora_rank or None,
            "measure": method.measure.model_dump(mode="json") if method.measure else None,
            "resets": method.resets,
            "start": self.start.model_dump(mode="json") if self.start else None,
            "winner": self.winner,
        }
        return {
            "model": {self.model_name: _facts(config.models[self.model_name])},
            "datasets": {name: _facts(config.datasets[name]) for name in training.datasets},
            "curve_dataset": _facts(config.datasets[config.benchmarks[training.curve.benchmark].dataset]),
            "base": _facts(self.recipe_of(name)),
            "credit": method.credit,
            "params": METHODS[method.credit].resolved(method.params),
            "training": training.model_dump(mode="json", exclude=decided_elsewhere | NEVER_THE_RESULT),
            **{key: value for key, value in of_some.items() if value is not None},
        }

    def start_config(self) -> dict[str, Any]:
        """Everything in the configuration that decides the supervised start, as plain JSON; empty where there is none."""
        if self.start is None:
            return {}
        return {
            "model": {self.model_name: _facts(self.config.models[self.model_name])},
            "dataset": _facts(self.config.datasets[self.start.dataset], _OF_GRADES),
            "start": self.start.model_dump(mode="json"),
            "longest": [self.training.sampling.max_prompt_tokens, self.training.sampling.max_response_tokens],
            "mixed_precision": self.training.mixed_precision,
        }

    def evaluation_config(self, row: Row, benchmark: str) -> dict[str, Any]:
        """Everything in the configuration that decides one set of generations, as plain JSON."""
        return {
            "model": _facts(self.config.models[row.model]),
            "benchmark": _facts(self.benchmarks[benchmark], _OF_GRADES),
            "dataset": _facts(self.config.datasets[self.benchmarks[benchmark].dataset], _OF_GRADES),
            "engine": self.evaluation.engine,
            "mixed_precision": self.training.mixed_precision,
            "seed": self.evaluation.seed,
            "sampling": _facts(self.evaluation.sampling),
        }


def _facts(entry: Any, without: Set[str] = frozenset()) -> dict[str, Any]:
    return entry.model_dump(mode="json", exclude=_LABELS | _OF_SOME_RUNS | without)
