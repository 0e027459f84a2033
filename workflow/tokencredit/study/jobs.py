"""The jobs of a study: what each reads and makes, where it logs, and which settings and code decide its result.

This list is decided from the configuration alone. The graph takes the inputs and parameters of its rules from it (``rules``), a dry run is
held against it, and what would run, what has run and what it took are looked up by it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from tokencredit.config import Row, Study
from tokencredit.config.claim_keys import BASE
from tokencredit.study import code, data_recipes, reads, settings
from tokencredit.study.acceptance import record_of
from tokencredit.study.exhibits import exhibits_of
from tokencredit.study.measurements import measured_rows, source_runs
from tokencredit.study.paths import FIGURE_FILES, RESULTS, TABLE_FILES, Paths, Shared, files_here, usage_of

# In the order in which a study goes through them.
RULES = (
    *("prepare", "overlap", "pretrain", "fetch", "audit", "start", "pool", "search", "tune"),
    *("train", "oracle", "attribute", "generate", "grade", "score", "table", "figure", "report"),
)
Inputs = dict[str, Path | list[Path]]


@dataclass(frozen=True)
class Job:
    """One job.

    ``name`` tells it from others of its rule; ``row`` and ``benchmark`` are what it works on. ``inputs`` are files
    by their role. ``config`` gives the settings, ``code`` the digest of the code, that decide the result beside the inputs. ``model``
    is the folder of the model that the job works with. ``options``: what of its command line the configuration decides.
    """

    rule: str
    name: str
    outputs: tuple[str, ...]
    log: str
    inputs: Inputs = field(default_factory=dict)
    config: Callable[[], dict[str, Any]] = field(default=dict, compare=False)
    code: Callable[[], str] = field(default=str, compare=False)
    row: Row | None = None
    benchmark: str | None = None
    model: Path | None = None
    options: str = ""

    def __str__(self) -> str:
        return f"{self.rule} {self.name}"

    @property
    def files(self) -> set[str]:
        """Its inputs, whatever their roles."""
        return {str(path) for given in self.inputs.values() for path in (given if isinstance(given, list) else [given])}

    def decided(self) -> set[str]:
        """What decides its result beside the inputs, as Snakemake records parameters."""
        return {repr(each) for each in (self.config(), self.code(), self.options) if each}

    @property
    def usage(self) -> str:
        """Where Snakemake writes what the job took, once it has ended well."""
        return str(usage_of(self.log))


def jobs_of(study: Study, results: str | Path = RESULTS) -> list[Job]:
    """Every job of ``study``, those that it shares with other studies too, in the order of ``RULES``."""
    paths = Paths(study, results)
    computed = [job for maker in _COMPUTING for job in maker(paths)]
    shown = list(_exhibits(paths, {output for job in computed for output in job.outputs}))
    return sorted([*computed, *shown, _page(paths, computed, shown)], key=lambda job: RULES.index(job.rule))


def _job(paths: Paths, rule: str, name: str, log: str, outputs: list[Path], **more: Any) -> Job:
    return Job(rule, name, tuple(map(str, outputs)), str(paths.log(rule, log)), **more)


def _datasets(paths: Paths) -> Iterator[Job]:
    study = paths.study
    tested = [benchmark.dataset for benchmark in study.benchmarks.values()]
    watched = study.config.benchmarks[study.training.curve.benchmark].dataset
    learned = [study.start.dataset] if study.start else []
    searched = [study.validation.dataset] if study.validation else []
    for name in dict.fromkeys([*learned, *study.training.datasets, *tested, watched, *searched]):
        folder = paths.dataset(name)
        yield _job(
            paths,
            "prepare",
            name,
            name,
            [folder.problems, folder.manifest],
            config=partial(settings.dataset, study.config, name),
            code=partial(code.dataset, study.config, name),
        )


def _overlaps(paths: Paths) -> Iterator[Job]:
    for path in paths.overlaps:
        sides = dict(zip(("train", "benchmark"), map(paths.dataset, path.stem.split("--")), strict=True))
        inputs = {side: folder.problems for side, folder in sides.items()}
        inputs |= {f"{side}_manifest": folder.manifest for side, folder in sides.items()}
        yield _job(paths, "overlap", path.stem, path.stem, [path], inputs=inputs, code=code.overlap)


def _models(paths: Paths) -> Iterator[Job]:
    config = paths.study.config
    for name in paths.study.model_names:
        embedded = config.is_embedded(name)
        yield _job(
            paths,
            "pretrain" if embedded else "fetch",
            name,
            name,
            [Shared(paths.results).model(name).manifest],
            inputs={} if embedded else {"files": files_here(config.models[name])},
            config=partial(settings.model, config, name),
            code=partial(code.pretraining, config.models[name])
            if embedded
            else partial(code.fetching, config.models[name].kind),
        )


def _audits(paths: Paths) -> Iterator[Job]:
    """Audits are a study's own, or its whole's: none of its jobs on a model starts before all have passed."""
    for name, benchmark in paths.study.benchmarks.items():
        passes = benchmark.audit
        yield _job(
            paths,
            "audit",
            name,
            f"{paths.study.home}/{name}",
            [paths.audit(name)],
            inputs={"problems": paths.benchmark_problems(name)},
            code=code.audit,
            benchmark=name,
            options=f"{_grader(paths, name)} --mutants-right {passes.mutants_right}"
            f" --rewritings-not-right {passes.rewritings_not_right}",
        )


def _starts(paths: Paths) -> Iterator[Job]:
    """The supervised start is a study's own, or its whole's."""
    study = paths.study
    if study.start is None:
        return
    released = Shared(paths.results).model(study.model_name)
    yield _job(
        paths,
        "start",
        study.home,
        study.home,
        [paths.start.manifest],
        inputs={
            "audits": paths.audits,
            "model": released.manifest,
            "data": paths.dataset(study.start.dataset).problems,
        },
        config=study.start_config,
        code=code.starting,
        model=released.folder,
    )


def _rows(paths: Paths) -> Iterator[Job]:
    """Runs, responses, grades and scores."""
    for row in paths.study.rows:
        if row.method:
            yield _training(paths, row)
        for name in paths.study.benchmarks:
            yield _generation(paths, row, name)
            yield _grading(paths, row, name)
        yield _scoring(paths, row)


def _training(paths: Paths, row: Row) -> Job:
    study = paths.study
    method = study.methods[row.method]
    return _job(
        paths,
        "train",
        row.path,
        f"{study.home}/{row.path}",
        [paths.run(row).record],
        inputs={
            "audits": paths.audits,
            "model": paths.trained.manifest,
            "teacher": [paths.model(method.teacher).manifest] if method.teacher else [],
            "data": paths.training_problems,
            "curve_data": paths.benchmark_problems(study.training.curve.benchmark),
        },
        config=partial(study.training_config, row.method),
        code=partial(code.training, study.training.engine, method.credit, method.control, study.model_task),
        row=row,
        model=paths.trained.folder,
    )


def _generation(paths: Paths, row: Row, benchmark: str) -> Job:
    study = paths.study
    return _job(
        paths,
        "generate",
        f"{row.path}/{benchmark}",
        f"{study.home}/{row.path}/{benchmark}",
        [paths.evaluation(row).answers(benchmark).generations],
        inputs={
            "audits": paths.audits,
            # What says that the model is there: the record of a run, or the manifest of a base model.
            "model": paths.run(row).record if row.method else paths.model(row.model).manifest,
            "problems": paths.benchmark_problems(benchmark),
        },
        config=partial(study.evaluation_config, row, benchmark),
        code=partial(code.generation, study.evaluation.engine),
        row=row,
        benchmark=benchmark,
        model=paths.model_of(row),
    )


def _grading(paths: Paths, row: Row, benchmark: str) -> Job:
    answers = paths.evaluation(row).answers(benchmark)
    return _job(
        paths,
        "grade",
        f"{row.path}/{benchmark}",
        f"{paths.study.home}/{row.path}/{benchmark}",
        [answers.grades],
        inputs={"generations": answers.generations, "problems": paths.benchmark_problems(benchmark)},
        code=code.grading,
        row=row,
        benchmark=benchmark,
        options=_grader(paths, benchmark),
    )


def _grader(paths: Paths, benchmark: str) -> str:
    return f"--grader {paths.study.grader_of(benchmark)}"


def _scoring(paths: Paths, row: Row) -> Job:
    study, folder = paths.study, paths.evaluation(row)
    answers = [folder.answers(name) for name in study.benchmarks]
    return _job(
        paths,
        "score",
        row.path,
        f"{study.home}/{row.path}",
        [folder.scores],
        inputs={
            "problems": [paths.benchmark_problems(name) for name in study.benchmarks],
            "generations": [each.generations for each in answers],
            "grades": [each.grades for each in answers],
        },
        config=partial(settings.scores, study, row),
        code=code.scoring,
        row=row,
    )


def _measurements(paths: Paths) -> Iterator[Job]:
    """The measured credit of tokens, and what the base model's weights say of the same tokens."""
    study = paths.study
    for row in measured_rows(study):
        inputs: Inputs = {
            "audits": paths.audits,
            "base": paths.trained.manifest,
            "runs": [paths.run(run).record for run in source_runs(study, row)],
            "data": paths.training_problems,
        }
        yield _job(
            paths,
            "oracle",
            row.path,
            f"{study.name}/{row.path}",
            list(paths.measurement(row).tables),
            inputs=inputs,
            config=partial(settings.measurement, study),
            code=partial(code.oracle, study.training.engine),
            row=row,
            model=paths.model_of(row),
        )
        if study.attribution and row.method is None:
            yield _job(
                paths,
                "attribute",
                f"seed{row.seed}",
                f"{study.name}/seed{row.seed}",
                list(paths.attribution(row.seed).tables),
                inputs=inputs,
                config=partial(settings.attribution, study),
                code=code.attribution,
                row=row,
                model=paths.model_of(row),
            )


def _data_recipes(paths: Paths) -> Iterator[Job]:
    """The pool, the searches, and the models that are trained on what a recipe keeps. No search reads a test."""
    study = paths.study
    if study.data_recipe is None:
        return
    model = paths.model(study.model_name)
    validation = paths.benchmark_problems(study.data_recipe.validation.benchmark)
    tests = [paths.benchmark_problems(name) for name in study.benchmarks]
    own = {"model": model.manifest, "validation": validation}
    rows = list(paths.pool.tables)
    yield _job(
        paths,
        "pool",
        study.home,
        study.home,
        rows,
        inputs={"audits": paths.audits, **own, "tests": tests},
        config=partial(settings.pool, study),
        code=partial(code.pool, study),
        model=model.folder,
    )
    for name, seed in data_recipes.searches(study):
        yield _job(
            paths,
            "search",
            f"{name}/seed{seed}",
            f"{study.home}/{name}/seed{seed}",
            [paths.search(name, seed).history],
            inputs={"pool": rows, **own},
            config=partial(settings.search, study, name),
            code=partial(code.search, study),
            model=model.folder,
        )
    for each in data_recipes.tuned(study):
        folder = paths.tuned(each.line, each.seed)
        yield _job(
            paths,
            "tune",
            each.path,
            f"{study.home}/{each.path}",
            [folder.manifest, folder.scores],
            inputs={
                "pool": rows,
                **own,
                "tests": tests,
                "found": [paths.search(name, each.seed).history for name in each.searches],
            },
            config=partial(settings.tuning, study, each.line),
            code=partial(code.tuning, study),
            model=model.folder,
        )


def _exhibits(paths: Paths, declared: set[str]) -> Iterator[Job]:
    """Tables and figures, with those inputs that jobs declare as outputs: the record of a run stands for the files beside it."""
    study = paths.study
    for exhibit in exhibits_of(study):
        made = {"table": (paths.table, TABLE_FILES), "figure": (paths.figure, FIGURE_FILES)}
        place, suffixes = made[exhibit.kind]
        yield _job(
            paths,
            exhibit.kind,
            exhibit.name,
            f"{study.name}/{exhibit.name}",
            [place(exhibit.name, suffix) for suffix in suffixes],
            inputs={"records": [path for path in exhibit.inputs(paths) if str(path) in declared]},
            config=partial(settings.analysis, study),
            code=partial(code.exhibit, study, exhibit.kind, exhibit.name),
        )


def _page(paths: Paths, computed: list[Job], shown: list[Job]) -> Job:
    """The page of a study; what was accepted of its results, and what people wrote of it, are among what it shows."""
    study = paths.study
    made = [Path(path) for job in shown for path in job.outputs]
    runs = [paths.run(row).record for row in study.rows if row.method]
    scores = list(reads.scores(paths, study.rows))
    # The problems that the page quotes stand behind the runs; a bundle may not hold them.
    measured = list(reads.measured(paths, BASE))
    accepted = [record for job in computed for path in job.outputs if (record := record_of(path)).is_file()]
    notes = [paths.notes] if paths.notes.is_file() else []
    return _job(
        paths,
        "report",
        study.name,
        study.name,
        [paths.page],
        inputs={"records": [*made, *runs, *scores, *paths.audits, *paths.overlaps, *measured, *accepted, *notes]},
        config=partial(settings.page, study),
        code=partial(code.page, study),
    )


_COMPUTING = (_datasets, _overlaps, _models, _audits, _starts, _data_recipes, _rows, _measurements)
