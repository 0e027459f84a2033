"""The tables of ``config/``: data sets, models, benchmarks and methods by name, each entry checked against the others."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from tokencredit.config.bench_keys import BenchFile
from tokencredit.config.claim_keys import BASE, START, ClaimsFile, CreditContrast
from tokencredit.config.keys import (
    BenchmarksFile,
    DatasetsFile,
    GeneratedDataset,
    Gpu,
    GpusFile,
    Method,
    MethodsFile,
)
from tokencredit.config.model_keys import EmbeddedModel, ModelsFile
from tokencredit.config.reading import allowed, extended, known, parse, read_yaml, renamed
from tokencredit.config.target_keys import TargetsFile
from tokencredit.credit import METHODS
from tokencredit.credit.columns import COLUMNS, MEASURED, RESTARTED, columns_of
from tokencredit.credit.controls import refusal
from tokencredit.errors import UserError
from tokencredit.records import DEFAULT

# Their names alone, off the files: what is in `data` reads the configuration, and is not read by it.
TASKS = sorted(path.stem.replace("_", "-") for path in Path(__file__).parents[1].glob("data/tasks/[!_]*.py"))


class Tables:
    """All of ``config/`` but the studies. Raises ``UserError`` for an entry that does not fit to the others."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.datasets = self._read("datasets.yaml", DatasetsFile).datasets
        self.models = self._read("models.yaml", ModelsFile).models
        self.benchmarks = self._read("benchmarks.yaml", BenchmarksFile).benchmarks
        path = self.folder / "methods.yaml"
        methods = parse(path, MethodsFile, extended(path, _with_new_names(path, read_yaml(path)), "methods"))
        self.recipes, self.methods = methods.recipes, methods.methods
        for name, dataset in self.datasets.items():
            self._check_grader("datasets", name, dataset.grader)
        for name, benchmark in self.benchmarks.items():
            self._check_grader("benchmarks", name, benchmark.grader or DEFAULT)
            known(self.folder / "benchmarks.yaml", f"benchmarks.{name}.dataset", benchmark.dataset, self.datasets)
        for name, dataset in self.datasets.items():
            if isinstance(dataset, GeneratedDataset):
                known(self.folder / "datasets.yaml", f"datasets.{name}.task", dataset.task, TASKS)
        for name, model in self.models.items():
            if isinstance(model, EmbeddedModel):
                known(self.folder / "models.yaml", f"models.{name}.task", model.task, TASKS)
        for name, method in self.methods.items():
            self._check_method(path, f"methods.{name}", method)

    def _read(self, name: str, model: Any) -> Any:
        path = self.folder / name
        return parse(path, model, read_yaml(path))

    @cached_property
    def study_names(self) -> list[str]:
        """The studies by their files; hidden files are none (a Mac leaves ``._toy.yaml`` beside ``toy.yaml``)."""
        return [path.stem for path in self.study_paths]

    @cached_property
    def study_paths(self) -> list[Path]:
        return sorted((self.folder / "studies").glob("[!.]*.yaml"), key=lambda path: path.stem)

    def is_embedded(self, model: str) -> bool:
        """Whether a model is trained here, and not released."""
        return isinstance(self.models[model], EmbeddedModel)

    def _check_grader(self, table: str, name: str, grader: str) -> None:
        if grader != DEFAULT:
            from tokencredit.grading.graders import GRADERS  # which takes longer than all of the configuration

            known(self.folder / f"{table}.yaml", f"{table}.{name}.grader", grader, GRADERS)

    def _check_method(self, path: Path, key: str, method: Method) -> None:
        known(path, f"{key}.recipe", method.recipe, self.recipes)
        known(path, f"{key}.credit", method.credit, METHODS)
        parse(path, METHODS[method.credit].parameters, method.params, under=f"{key}.params")
        self._check_credit(path, key, method)
        if method.control and (reason := refusal(method.control, METHODS[method.credit])):
            raise UserError(f"{path}: {key}.control = {method.control!r}: credit {method.credit!r} {reason}.")
        if method.params.get("every_group") and self.recipes[method.recipe].dynamic_sampling:
            raise UserError(
                f"{path}: {key}.params.every_group = true: has no effect on recipe {method.recipe!r}, "
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
        restarts = not {*RESTARTED}.isdisjoint(columns)
        if restarts != bool(method.resets):
            needs = "what follows a restart: a place for it is needed" if restarts else "whole responses"
            raise UserError(f"{path}: {key}.resets: {credit} learns from {needs}.")
        if method.resets and self.recipes[method.recipe].dynamic_sampling:
            raise UserError(
                f"{path}: {key}.resets = {method.resets!r}: recipe {method.recipe!r} drops groups, and nothing restarts in their place; "
                f"dynamic_sampling must be false."
            )
        if "residual_norm" in columns and not self.recipes[method.recipe].lora_rank:
            adapted = [name for name, recipe in self.recipes.items() if recipe.lora_rank]
            raise UserError(
                f"{path}: {key}.recipe = {method.recipe!r}: trains no adapter, and {credit} weighs tokens by one; {allowed('', adapted)}."
            )

    @cached_property
    def gpus(self) -> dict[str, Gpu]:
        """The GPUs of ``gpus.yaml``, read where a study names one: the cost of a study depends on them, and no result does."""
        return self._read("gpus.yaml", GpusFile).gpus

    @cached_property
    def targets(self) -> TargetsFile | None:
        """The paper's numbers, ``targets.yaml``; None for a configuration that has no such file and is held against nothing."""
        path = self.folder / "targets.yaml"
        if not path.exists():
            return None
        file = self._read(path.name, TargetsFile)
        for name, source in file.sources.items():
            known(path, f"sources.{name}.study", source.study, self.study_names)
        return file

    @cached_property
    def bench(self) -> BenchFile:
        """What CreditBench is made of, ``creditbench.yaml``: no study depends on it."""
        path, file = self.folder / "creditbench.yaml", self._read("creditbench.yaml", BenchFile)
        for name, measured in file.policies.items():
            known(path, f"policies.{name}.policy", measured.policy, [BASE, *self.methods])
        for name in file.positive_controls:
            known(path, "positive_controls", name, self.methods)
        return file

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
                    for policy in contrast.policies:
                        known(path, f"{key}.policies", policy, [BASE, *self.methods])
                    continue
                known(path, f"{key}.method", contrast.method, self.methods)
                others = {"score": [BASE], "entropy": [START], "steps": [], "speed": []}[contrast.kind]
                for other in contrast.against:
                    known(path, f"{key}.against", other, [*others, *self.methods])
                    if other == contrast.method:
                        raise UserError(f"{path}: {key}.against = {other!r}: is the method itself; name another.")
        return file


def _word(value: bool) -> str:
    return "true" if value else "false"


def _with_new_names(path: Path, raw: Any) -> Any:
    raw = renamed(path, raw, {"bases": "recipes"})
    if isinstance(raw, dict) and isinstance(raw.get("methods"), dict):
        of_methods = {
            name: renamed(path, entry, {"base": "recipe"}, f"methods.{name}") for name, entry in raw["methods"].items()
        }
        return {**raw, "methods": of_methods}
    return raw
