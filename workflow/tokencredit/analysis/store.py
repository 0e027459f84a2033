"""The stored records of one study, read once: the only door through which tables, figures and the page see results."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from tokencredit import files
from tokencredit.config import Row, Study
from tokencredit.errors import UserError
from tokencredit.study.exhibits import Kind, exhibit
from tokencredit.study.paths import FileName, Paths, RunFolder

# What each evaluation of a search took.
SEARCH_COSTS = ("trained_tokens", "sampled_tokens", "seconds_tuning", "seconds_scoring")


class UndeclaredError(UserError):
    """A table or figure reads a file that its entry does not declare. It would not be made again when the file changes."""


class Store:
    """Reads below ``results``; a missing or foreign file is a ``UserError`` that names it."""

    def __init__(self, study: Study, results: Path, declared: Collection[Path] | None = None) -> None:
        """``declared``: the only files that may be read; None for all of the study."""
        self.study = study
        self.results = results
        self.paths = Paths(study, results)
        self._declared = None if declared is None else frozenset(declared)

    def of(self, kind: Kind, name: str) -> Store:
        """The same for one table or figure, with the files that its entry declares, and no other."""
        return Store(self.study, self.results, exhibit(kind, name).inputs(self.paths))

    def opened(self, path: Path) -> Path:
        """``path``, which is about to be read. Raises ``UndeclaredError`` for a file that was not declared."""
        if self._declared is not None and path not in self._declared:
            raise UndeclaredError(
                f"{path}: is read and not declared: add it to `reads` of the entry in study/exhibits.py, or Snakemake does not make the "
                "table or figure again when the file changes."
            )
        return path

    def present(self, path: Path) -> bool:
        """Whether a file is there to be read."""
        return self.opened(path).is_file()

    @cache  # noqa: B019  one store lives as long as its process
    def scores(self, row: Row) -> pd.DataFrame:
        """The question scores of a row: one line per question of every benchmark, complete by the count contract."""
        path = self.opened(self.paths.evaluation(row).scores)
        columns = ["benchmark", "problem_id", "n", "right", "wrong", "ungraded", "truncated", "tokens", "majority"]
        table = files.read_parquet(path, columns)
        for name, benchmark in self.study.benchmarks.items():
            part = table[table["benchmark"] == name]
            different = part["problem_id"].nunique()
            if (len(part), different) != (benchmark.problems,) * 2 or not (part["n"] == benchmark.samples).all():
                raise UserError(
                    f"{path}: {name}: {len(part)} questions ({different} different) with {sorted(set(part['n']))} responses; "
                    f"the study asks for {benchmark.problems} with {benchmark.samples}."
                )
        if unknown := set(table["benchmark"]) - set(self.study.benchmarks):
            raise UserError(f"{path}: holds {', '.join(sorted(unknown))}, which the study does not evaluate.")
        if (table[["right", "wrong", "ungraded"]].sum(axis=1) != table["n"]).any():
            raise UserError(f"{path}: right, wrong and ungraded responses of a question are not n together.")
        self._check_scored(row, path)
        return table

    @cache  # noqa: B019
    def questions(self, row: Row, benchmark: str) -> pd.DataFrame:
        """The question scores of a row on one benchmark, questions in the order of their names."""
        table = self.scores(row)
        return table[table["benchmark"] == benchmark].sort_values("problem_id")

    def scores_metadata(self, row: Row) -> dict[str, Any]:
        return files.parquet_metadata(self.opened(self.paths.evaluation(row).scores))

    @cache  # noqa: B019
    def run(self, method: str, seed: int) -> dict[str, Any]:
        return files.read_json(self.opened(self.run_folder(method, seed).record))

    def run_folder(self, method: str, seed: int) -> RunFolder:
        return self.paths.run(self.study.row(method, seed))

    def invalid(self, method: str) -> str:
        """Why runs of a method are invalid; empty where all are sound."""
        reasons = {seed: self.run(method, seed)["invalid"] for seed in self.study.training.seeds}
        return "; ".join(f"seed {seed}: {reason}" for seed, reason in reasons.items() if reason)

    def metrics(self, method: str, columns: Sequence[str] = ()) -> pd.DataFrame:
        """``metrics.jsonl`` of all seeds of a method, one line per seed and step, none missing. Every seed must have ``columns``."""
        parts = []
        for seed in self.study.training.seeds:
            path = self._of_run(method, seed, RunFolder.metrics)
            part = pd.DataFrame(files.read_jsonl(path))
            missing = [name for name in columns if name not in part]
            if missing:
                raise UserError(
                    f"{path}: no step holds {', '.join(missing)}: an earlier version made this run. Train it again: "
                    f"snakemake --forcerun {path.with_name('run.json')}"
                )
            steps = self.study.training.steps
            if part["step"].tolist() != list(range(1, steps + 1)):
                raise UserError(
                    f"{path}: {len(part)} lines ({part['step'].nunique()} different steps); the study asks for {steps}, "
                    f"one of each step in order."
                )
            files.check_run_file(path)
            parts.append(part.assign(seed=seed))
        return pd.concat(parts, ignore_index=True)

    def tokens(self, table: FileName, method: str, columns: list[str] | None = None) -> pd.DataFrame:
        """A Parquet table of training, ``RunFolder.rollouts`` for example, over all seeds of a method, with a column ``seed``.

        Without ``columns`` it has all that are stored.
        """
        parts = []
        for seed in self.study.training.seeds:
            path = self._of_run(method, seed, table)
            part = files.read_parquet(path, columns)
            files.check_run_file(path)
            parts.append(part.assign(seed=seed))
        return pd.concat(parts, ignore_index=True)

    def _of_run(self, method: str, seed: int, file: FileName) -> Path:
        """A file of a run, which counts by the run's record."""
        folder = self.run_folder(method, seed)
        self.opened(folder.record)
        return self.opened(folder.folder / file.name)

    def seconds_of_steps(self, method: str, seed: int) -> float | None:
        """Seconds of all steps of a training run, the evaluations between them included; None where they are not kept."""
        path = self.run_folder(method, seed).timing
        if not self.present(path):
            return None
        return sum(
            value for line in files.read_jsonl(path) for name, value in line.items() if name.startswith("seconds_")
        )

    def seconds_of_job(self, usage: Path) -> float | None:
        """Seconds that the job took whose usage log is ``usage``; None where it is not kept."""
        return files.read_jsonl(usage)[-1]["s"] if self.present(usage) else None

    def oracle(self, row: Row) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The measured states of a policy and the tokens tried at them, of the same states."""
        key = ["problem_id", "cell", "sample", "position"]
        columns = {
            "states": [*key, "token_id", "token", "entropy", "tried", "reward", "quadrant"],
            "branches": [*key, "token_id", "probability", "right", "wrong", "ungraded"],
        }
        folder = self.paths.measurement(row)
        states, branches = (
            files.read_parquet(self.opened(path), columns[path.stem]) for path in (folder.states, folder.branches)
        )
        measured = pd.MultiIndex.from_frame(states[key])
        if not measured.is_unique or set(measured) != set(pd.MultiIndex.from_frame(branches[key])):
            raise UserError(f"{folder.branches}: its states are not those of states.parquet, each once.")
        return states, branches

    def attribution(self, table: FileName, columns: list[str]) -> pd.DataFrame:
        """A table of ``AttributionFolder`` over all training seeds, with a column ``seed``."""
        paths = {seed: self.paths.attribution(seed).folder / table.name for seed in self.study.training.seeds}
        parts = [files.read_parquet(self.opened(path), columns).assign(seed=seed) for seed, path in paths.items()]
        return pd.concat(parts, ignore_index=True)

    def search(self, name: str, seed: int) -> pd.DataFrame:
        """The history of a search for a data recipe: one line per evaluation, all of them, in order."""
        path, wanted = self.opened(self.paths.search(name, seed).history), self.study.data_recipe.evaluations
        columns = ["evaluation", "kind", "recipe", "rows", "state", "score", "right"]
        table = files.read_parquet(path, [*columns, *SEARCH_COSTS])
        if table["evaluation"].tolist() != list(range(wanted)):
            raise UserError(f"{path}: {len(table)} evaluations; the study asks for {wanted}, one after the other.")
        return table

    def tuned(self, line: str, seed: int) -> tuple[pd.DataFrame, dict[str, Any]]:
        """The question scores of a data recipe that was tested, complete by the count contract, and what it is."""
        path, study = self.opened(self.paths.tuned(line, seed).scores), self.study
        table = files.read_parquet(path, ["benchmark", "problem_id", "n", "right", "wrong", "ungraded"])
        expected = {study.data_recipe.validation.benchmark: study.validation, **study.benchmarks}
        for name, benchmark in expected.items():
            part = table[table["benchmark"] == name]
            if part["problem_id"].nunique() != benchmark.problems or not (part["n"] == benchmark.samples).all():
                raise UserError(
                    f"{path}: {name}: {part['problem_id'].nunique()} questions with {sorted(set(part['n']))} responses; the study asks for "
                    f"{benchmark.problems} with {benchmark.samples}."
                )
        if len(table) != sum(benchmark.problems for benchmark in expected.values()):
            raise UserError(
                f"{path}: {len(table)} lines, of which some are about no question of {', '.join(expected)}."
            )
        return table, files.parquet_metadata(path)

    def training_problems(self) -> dict[str, str]:
        """The texts of the problems of the study's training sets, by id."""
        paths = self.paths.training_problems
        table = pd.concat([files.read_parquet(self.opened(path), ["problem_id", "problem"]) for path in paths])
        return dict(zip(table["problem_id"], table["problem"], strict=True))

    @cached_property
    def overlaps(self) -> dict[str, list[dict[str, Any]]]:
        """The overlap reports that touch each benchmark, by benchmark."""
        return {
            name: [
                files.read_json(self.opened(self.paths.overlap(train, benchmark.dataset)))
                for train in self.study.training.datasets
            ]
            for name, benchmark in self.study.benchmarks.items()
        }

    @cached_property
    def audits(self) -> dict[str, dict[str, Any]]:
        return {name: files.read_json(self.opened(self.paths.audit(name))) for name in self.study.benchmarks}

    @cache  # noqa: B019
    def targets(self, name: str) -> pd.DataFrame:
        """Printed numbers: ``tables``, ``figure2``, ``figure3``, ``figure5`` or ``gsm8k`` of ``config/targets``."""
        return pd.read_csv(self.study.config.folder / "targets" / f"{name}.csv")

    def provenance(self, kind: Kind, name: str) -> dict[str, Any]:
        """Which files a table or figure was made from, with their digests."""
        entry = exhibit(kind, name)
        paths = [path for path in entry.inputs(self.paths) if path.is_file() or not entry.optional]
        return {self.paths.relative(path): files.sha256(path) for path in paths}

    def _check_scored(self, row: Row, scores: Path) -> None:
        """Responses and grades that are kept are those that were scored."""
        for name, entry in self.scores_metadata(row)["benchmarks"].items():
            answers = self.paths.evaluation(row).answers(name)
            for path in (answers.generations, answers.grades):
                if path.exists() and files.sha256(path) != entry[f"{path.stem}_sha256"]:
                    raise UserError(
                        f"{path}: has changed since {scores} was made from it. Score it again, and grade it before if the "
                        f"generations changed: snakemake {scores}"
                    )
