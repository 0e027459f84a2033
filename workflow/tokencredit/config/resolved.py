"""A study resolved: everything it names found in the other files, and checked whole."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tokencredit.config.claim_keys import BASE, START, ClaimsFile, CreditContrast
from tokencredit.config.keys import (
    Base,
    Benchmark,
    BenchmarksFile,
    DatasetsFile,
    Gpu,
    GpusFile,
    Method,
    MethodsFile,
    ModelsFile,
)
from tokencredit.config.parts import PartFile, cut, is_part
from tokencredit.config.reading import allowed, extended, known, parse, read_yaml
from tokencredit.config.study_checks import check_study
from tokencredit.config.study_keys import StudyFile
from tokencredit.config.target_keys import Source, TargetsFile
from tokencredit.credit import METHODS
from tokencredit.credit.controls import refusal
from tokencredit.errors import UserError
from tokencredit.train import COLUMNS, MEASURED, TOLD, columns_of

# What only names or describes something and decides no number; and what decides the runs alone that use it.
_LABELS = {"title", "licence", "architecture"}
_OF_SOME_RUNS = {"privileged_prompt", "lora_rank"}


@dataclass(frozen=True)
class Row:
    """A line of the results table: a trained cell with its seed, or a model that is evaluated only (``cell`` None, seed 0)."""

    name: str
    seed: int
    title: str
    model: str
    cell: str | None

    @property
    def path(self) -> str:
        return f"{self.name}/seed{self.seed}"


class Study:
    """A study with everything it names: the only object that other modules take their settings from."""

    def __init__(self, name: str, file: StudyFile, config: Config, whole: Study | None = None) -> None:
        """``whole``: the study that it is a part of, whose runs, evaluations and audits it has; itself for most."""
        self.name = name
        self.whole = whole or self
        self.file = file
        self.config = config
        self.title = file.title
        self.training = file.training
        self.evaluation = file.evaluation
        self.oracle = file.oracle
        self.resources = file.resources
        self.reference = file.reference
        self.model_name = file.model

    @property
    def home(self) -> str:
        """The name of the study below which runs, evaluations and audits are: its own, or of a part the whole's."""
        return self.whole.name

    @cached_property
    def methods(self) -> dict[str, Method]:
        return {name: self.config.methods[name] for name in self.training.methods}

    def method(self, cell: str) -> Method:
        """The method of a trained cell; another name is a ``UserError``."""
        if cell not in self.methods:
            raise UserError(f"{cell} is not a trained cell of study {self.name}; {allowed(cell, list(self.methods))}.")
        return self.methods[cell]

    @cached_property
    def rows(self) -> list[Row]:
        only = [Row(name=row.name, seed=0, title=row.title, model=row.model, cell=None) for row in self.evaluation.rows]
        trained = [
            Row(name=name, seed=seed, title=method.title, model=self.model_name, cell=name)
            for name, method in self.methods.items()
            for seed in self.training.seeds
        ]
        return only + trained

    def row(self, name: str, seed: int) -> Row:
        """The row ``name`` with ``seed``; another one is a ``UserError``."""
        for row in self.rows:
            if (row.name, row.seed) == (name, seed):
                return row
        paths = [row.path for row in self.rows]
        raise UserError(f"{name}/seed{seed} is not a row of study {self.name}; {allowed(f'{name}/seed{seed}', paths)}.")

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
    def targets(self) -> dict[str, Source]:
        """The tables and figures of the paper whose numbers this study is to show again; empty for a study of its own."""
        sources = self.config.targets.sources if self.config.targets else {}
        return {name: source for name, source in sources.items() if source.study == self.home}

    def targets_config(self) -> dict[str, Any]:
        """Everything that a verdict on this study's numbers rests on beside its results, as plain JSON; empty where it has no targets."""
        if not self.targets:
            return {}
        folder = self.config.folder / "targets"
        printed = {
            name: (folder / f"{name}.csv").read_bytes() for name in {source.file for source in self.targets.values()}
        }
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

    def base_of(self, method: str) -> Base:
        return self.config.bases[self.methods[method].base]

    def training_config(self, cell: str) -> dict[str, Any]:
        """Everything in the configuration that decides what one cell's training computes, as plain JSON."""
        method, training, config = self.method(cell), self.training, self.config
        decided_elsewhere = {"methods", "seeds", "datasets"}
        never_the_result = {"micro_batch_tokens", "gradient_checkpointing", "checkpoint_every", "watchdog_minutes"}
        never_the_result |= {"engine_memory", "engine_separate"}
        told = not {*TOLD}.isdisjoint(columns_of(method.credit))
        of_some = {
            "control": method.control,
            "teacher": {method.teacher: _facts(config.models[method.teacher])} if method.teacher else None,
            "privileged_prompt": config.models[self.model_name].privileged_prompt if told else None,
            "lora_rank": self.base_of(cell).lora_rank or None,
            "measure": method.measure.model_dump(mode="json") if method.measure else None,
        }
        return {
            "model": {self.model_name: _facts(config.models[self.model_name])},
            "datasets": {name: _facts(config.datasets[name]) for name in training.datasets},
            "curve_dataset": _facts(config.datasets[config.benchmarks[training.curve.benchmark].dataset]),
            "base": _facts(self.base_of(cell)),
            "credit": method.credit,
            "params": METHODS[method.credit].resolved(method.params),
            "training": training.model_dump(mode="json", exclude=decided_elsewhere | never_the_result),
            **{key: value for key, value in of_some.items() if value is not None},
        }

    def evaluation_config(self, row: Row, benchmark: str) -> dict[str, Any]:
        """Everything in the configuration that decides one set of generations, as plain JSON."""
        return {
            "model": _facts(self.config.models[row.model]),
            "benchmark": _facts(self.benchmarks[benchmark]),
            "dataset": _facts(self.config.datasets[self.benchmarks[benchmark].dataset]),
            "engine": self.evaluation.engine,
            "mixed_precision": self.training.mixed_precision,
            "seed": self.evaluation.seed,
            "sampling": _facts(self.evaluation.sampling),
        }


class Config:
    """All of ``config/``: the tables, checked against each other, and the studies by name."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.datasets = self._read("datasets.yaml", DatasetsFile).datasets
        self.models = self._read("models.yaml", ModelsFile).models
        self.benchmarks = self._read("benchmarks.yaml", BenchmarksFile).benchmarks
        path = self.folder / "methods.yaml"
        methods = parse(path, MethodsFile, extended(path, read_yaml(path), "methods"))
        self.bases, self.methods = methods.bases, methods.methods
        for name, benchmark in self.benchmarks.items():
            known(self.folder / "benchmarks.yaml", f"benchmarks.{name}.dataset", benchmark.dataset, self.datasets)
        for name, method in self.methods.items():
            self._check_method(path, f"methods.{name}", method)

    def _read(self, name: str, model: Any) -> Any:
        path = self.folder / name
        return parse(path, model, read_yaml(path))

    def _check_method(self, path: Path, key: str, method: Method) -> None:
        known(path, f"{key}.base", method.base, self.bases)
        known(path, f"{key}.credit", method.credit, METHODS)
        parse(path, METHODS[method.credit].parameters, method.params, under=f"{key}.params")
        self._check_credit(path, key, method)
        if method.control and (reason := refusal(method.control, METHODS[method.credit])):
            raise UserError(f"{path}: {key}.control = {method.control!r}: credit {method.credit!r} {reason}.")
        if method.params.get("every_group") and self.bases[method.base].dynamic_sampling:
            raise UserError(
                f"{path}: {key}.params.every_group = true: has no effect on base {method.base!r}, "
                f"whose dynamic_sampling drops the groups that it is about."
            )

    def _check_credit(self, path: Path, key: str, method: Method) -> None:
        """What the credit function declares is what the method has: its status, its columns, and what these are made from."""
        credit = f"credit {method.credit!r}"
        rebuilt = METHODS[method.credit].status == "reconstruction"
        if method.reconstruction != rebuilt:
            kind = "a reconstruction" if rebuilt else "as it was published"
            raise UserError(
                f"{path}: {key}.reconstruction = {_word(method.reconstruction)}: {credit} is {kind}; "
                f"it must be {_word(rebuilt)}."
            )
        columns = columns_of(method.credit)
        for column in columns:
            if column not in COLUMNS:
                rule = allowed(column, list(COLUMNS))
                raise UserError(
                    f"{path}: {key}.credit = {method.credit!r}: declares the column {column!r}, which the trainer cannot fill; {rule}."
                )
        if method.teacher is None and "teacher_logprob" in columns:
            raise UserError(f"{path}: {key}.teacher: {credit} asks for a teacher; {allowed('', list(self.models))}.")
        if method.teacher is not None:
            if "teacher_logprob" not in columns:
                raise UserError(f"{path}: {key}.teacher = {method.teacher!r}: {credit} asks for no teacher.")
            known(path, f"{key}.teacher", method.teacher, self.models)
        measured = [column for column in columns if column in MEASURED]
        if bool(measured) != bool(method.measure):
            needs = f"measures {measured[0]!r}: continuations are needed" if measured else "measures nothing"
            raise UserError(f"{path}: {key}.measure: {credit} {needs}.")
        if "residual_norm" in columns and not self.bases[method.base].lora_rank:
            adapted = [name for name, base in self.bases.items() if base.lora_rank]
            raise UserError(
                f"{path}: {key}.base = {method.base!r}: trains no adapter, and {credit} weighs tokens by one; {allowed('', adapted)}."
            )

    @cached_property
    def study_names(self) -> list[str]:
        return sorted(path.stem for path in (self.folder / "studies").glob("*.yaml"))

    def study(self, name: str) -> Study:
        """The study ``config/studies/<name>.yaml``, with every name in it checked against the other files."""
        path = self.folder / "studies" / f"{name}.yaml"
        if name not in self.study_names:
            raise UserError(f"{path}: no such study; {allowed(name, self.study_names)}.")
        raw = read_yaml(path)
        if is_part(raw):
            part = parse(path, PartFile, raw)
            whole = self._whole(path, part.part_of)
            return Study(name, cut(path, part, whole.file), self, whole)
        file = parse(path, StudyFile, raw)
        check_study(path, file, self)
        return Study(name, file, self)

    def _whole(self, path: Path, name: str) -> Study:
        """The study that the file ``path`` is a part of."""
        known(path, "part_of", name, [other for other in self.study_names if other != path.stem])
        if is_part(read_yaml(path.with_stem(name))):
            raise UserError(f"{path}: part_of = {name!r}: is a part itself; name the whole.")
        return self.study(name)

    @cached_property
    def gpus(self) -> dict[str, Gpu]:
        """The GPUs of ``gpus.yaml``, read where a study names one: the cost of a study depends on them, and no result does."""
        return self._read("gpus.yaml", GpusFile).gpus

    @cached_property
    def targets(self) -> TargetsFile | None:
        """The paper's numbers, ``targets.yaml``; None for a configuration that has no such file and is held against nothing."""
        return self._read("targets.yaml", TargetsFile) if (self.folder / "targets.yaml").exists() else None

    @cached_property
    def claims(self) -> ClaimsFile | None:
        """The paper's claims, ``claims.yaml``; None for a configuration that has no such file and decides none."""
        path = self.folder / "claims.yaml"
        if not path.exists():
            return None
        file = self._read(path.name, ClaimsFile)
        for name, claim in file.claims.items():
            for index, contrast in enumerate(claim.contrasts):
                key = f"claims.{name}.contrasts.{index}"
                if isinstance(contrast, CreditContrast):
                    continue
                known(path, f"{key}.method", contrast.method, self.methods)
                others = {"score": [BASE], "entropy": [START], "steps": []}[contrast.kind]
                for other in contrast.against:
                    known(path, f"{key}.against", other, [*others, *self.methods])
                    if other == contrast.method:
                        raise UserError(f"{path}: {key}.against = {other!r}: is the method itself; name another.")
        return file


def load_study(folder: str | Path, name: str) -> Study:
    """The study ``name`` of the configuration folder, resolved and checked. Raises ``UserError`` for anything wrong in it."""
    return Config(folder).study(name)


def _facts(entry: Any) -> dict[str, Any]:
    return entry.model_dump(mode="json", exclude=_LABELS | _OF_SOME_RUNS)


def _word(value: bool) -> str:
    return "true" if value else "false"
