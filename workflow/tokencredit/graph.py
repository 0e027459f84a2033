"""What the graph asks of the configuration: the targets of a study, and the inputs, parameters and resources of its jobs.

The rules of ``workflow/rules`` call the methods of ``Graph`` with their wildcards. Snakemake reads this at every start and again in every
job of a cluster: nothing heavy is imported.

A job runs again when what decides its result has changed: the configuration it reads (its ``config`` parameter), the code behind its stage
(its ``code`` parameter) or the content of its input files; and not when anything else has.
"""

from __future__ import annotations

from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from tokencredit.analysis import plan
from tokencredit.config import Config, EmbeddedModel, FileDataset, JobResources, Row, Study, TrainingResources
from tokencredit.config.claim_keys import BASE
from tokencredit.data import code_of_other_tasks
from tokencredit.errors import UserError
from tokencredit.evaluate import generation_code
from tokencredit.oracle import measured_rows, oracle_code, oracle_config, source_runs
from tokencredit.provenance import code_digest
from tokencredit.start import environment_of
from tokencredit.train import training_code
from tokencredit.units import units_of

# What jobs may ask for, by Snakemake's names.
REQUESTED = (
    *("gpu", "gpu_model", "nodes", "mem_mb", "runtime"),
    *("slurm_partition", "slurm_account", "constraint", "slurm_extra", "light"),
)


class Wildcards(Protocol):
    """The names in a rule's file patterns, as Snakemake hands them over."""

    study: str
    cell: str
    row: str
    policy: str
    seed: str
    benchmark: str
    dataset: str
    model: str
    shown: str


class Graph:
    """One configuration folder, seen from the rules. Raises ``UserError`` for names that the configuration does not hold."""

    def __init__(self, folder: str | Path, asked: str, results: str = "results") -> None:
        """``asked``: the study whose targets are built when none are named; shared stages take its resources where they can."""
        self.config = Config(folder)
        self.asked = asked
        self.results = results
        self.study = cache(self.config.study)

    # ---------------------------------------------------------------- targets

    def everything(self, study: str) -> list[str]:
        """Every file that is made for a study."""
        return [path for unit in units_of(self.study(study), self.results) for path in unit.outputs]

    def targets(self, study: str) -> list[str]:
        """What a study is made for: its tables, its figures and its page."""
        planned = plan.planned(self.study(study))
        tables = [f"tables/{name}.{kind}" for name in planned["tables"] for kind in ("csv", "tex")]
        figures = [f"figures/{name}.{kind}" for name in planned["figures"] for kind in ("pdf", "png", "csv")]
        return [f"{self.results}/{study}/{name}" for name in [*tables, *figures, "index.html"]]

    def runs(self, study: str) -> list[str]:
        """Every training run of a study."""
        chosen = self.study(study)
        return [f"{self.results}/{chosen.home}/runs/{row.path}/run.json" for row in chosen.rows if row.cell]

    def fetched(self, study: str) -> list[str]:
        """What a study takes from elsewhere: its data sets and the released models."""
        chosen = self.study(study)
        benchmarks = [*chosen.benchmarks, chosen.training.curve.benchmark]
        data = [*map(self._problems, chosen.training.datasets), *map(self._benchmark_problems, benchmarks)]
        released = [name for name in chosen.model_names if name in self.released_models()]
        return list(dict.fromkeys([*data, *map(self._model, released)]))

    def scores(self, study: str) -> list[str]:
        """The scores of every row of a study."""
        chosen = self.study(study)
        return [f"{self.results}/{chosen.home}/eval/{row.path}/scores.parquet" for row in chosen.rows]

    # ---------------------------------------------------------------- shared stages: data and base models

    def dataset_config(self, w: Wildcards) -> dict[str, Any]:
        """The pins of a data set, and whether it is a benchmark's: benchmarks keep their repeats."""
        chosen = self._one_of("data set", w.dataset, self.config.datasets)
        benchmarks = [name for name, benchmark in self.config.benchmarks.items() if benchmark.dataset == w.dataset]
        return {**chosen.model_dump(mode="json", exclude={"title", "licence", "grader"}), "benchmark": bool(benchmarks)}

    def dataset_code(self, w: Wildcards) -> str:
        chosen = self._one_of("data set", w.dataset, self.config.datasets)
        is_file = isinstance(chosen, FileDataset)
        return digest("data.prepare", without=("data.embedded",) if is_file else code_of_other_tasks(chosen.task))

    def model_config(self, w: Wildcards) -> dict[str, Any]:
        chosen = self._one_of("model", w.model, self.config.models)
        return chosen.model_dump(mode="json", exclude={"title", "privileged_prompt", "architecture"})

    def pretraining_code(self, w: Wildcards) -> str:
        """The code of a model trained here, with its own task and not the others."""
        chosen = self._one_of("model", w.model, self.config.models)
        return digest("base.pretrain", without=code_of_other_tasks(chosen.task))

    def embedded_models(self) -> list[str]:
        return [name for name, model in self.config.models.items() if isinstance(model, EmbeddedModel)]

    def released_models(self) -> list[str]:
        return [name for name in self.config.models if name not in self.embedded_models()]

    # ---------------------------------------------------------------- training

    def base_model(self, w: Wildcards) -> str:
        return self._model(self.study(w.study).model_name)

    def teacher_model(self, w: Wildcards) -> list[str]:
        """The teacher of the cell's method, where it has one."""
        teacher = self.study(w.study).methods[self._run(w).name].teacher
        return [self._model(teacher)] if teacher else []

    def training_data(self, w: Wildcards) -> list[str]:
        return [self._problems(name) for name in self.study(w.study).training.datasets]

    def curve_data(self, w: Wildcards) -> str:
        return self._benchmark_problems(self.study(w.study).training.curve.benchmark)

    def audits(self, w: Wildcards) -> list[str]:
        """The grader audits of all benchmarks of a study: none of its jobs on a model starts before they have passed."""
        return [f"{self.results}/{name}" for name in plan.audit_files(self.study(w.study))]

    def training_config(self, w: Wildcards) -> dict[str, Any]:
        self._run(w)
        return self.study(w.study).training_config(w.cell)

    def training_code(self, w: Wildcards) -> str:
        """The trainer with the study's engine and the file of the cell's own credit function, not of the others."""
        study = self.study(w.study)
        method = study.methods[self._run(w).name]
        return _training_code(study.training.engine, method.credit, method.control)

    # ---------------------------------------------------------------- evaluation

    def evaluated_model(self, w: Wildcards) -> str:
        """The file that says that a row's model is there: ``run.json`` of a trained cell, else the manifest of a base model."""
        row = self._row(w)
        return f"{self.results}/{w.study}/runs/{row.path}/run.json" if row.cell else self._model(row.model)

    def evaluated_folder(self, w: Wildcards) -> str:
        folder = Path(self.evaluated_model(w)).parent
        return str(folder / "model" if self._row(w).cell else folder)

    def benchmark_problems(self, w: Wildcards) -> str:
        benchmarks = self._whole(w).benchmarks
        if w.benchmark not in benchmarks:
            allowed = ", ".join(benchmarks)
            raise UserError(f"{w.benchmark} is not a benchmark of study {w.study}; allowed: {allowed}.")
        return self._benchmark_problems(w.benchmark)

    def grader(self, w: Wildcards) -> str:
        """The grader of a benchmark, as an option."""
        return f"--grader {self.study(w.study).grader_of(w.benchmark)}"

    def audit_options(self, w: Wildcards) -> str:
        """The grader of a benchmark and what its audit lets pass, as options."""
        bounds = self.study(w.study).benchmarks[w.benchmark].audit
        return f"{self.grader(w)} --mutants-right {bounds.mutants_right} --rewritings-not-right {bounds.rewritings_not_right}"

    def generation_code(self, w: Wildcards) -> str:
        """The generator with the study's engine, not the other one."""
        return _generation_code(self.study(w.study).evaluation.engine)

    def generation_config(self, w: Wildcards) -> dict[str, Any]:
        return self.study(w.study).evaluation_config(self._row(w), w.benchmark)

    def score_inputs(self, w: Wildcards) -> dict[str, list[str]]:
        """Problems, generations and grades of a row on every benchmark of its study."""
        folder = f"{self.results}/{w.study}/eval/{self._row(w).path}"
        benchmarks = self.study(w.study).benchmarks
        return {
            "problems": [self._benchmark_problems(name) for name in benchmarks],
            "generations": [f"{folder}/{name}/generations.parquet" for name in benchmarks],
            "grades": [f"{folder}/{name}/grades.parquet" for name in benchmarks],
        }

    def score_config(self, w: Wildcards) -> dict[str, Any]:
        study = self.study(w.study)
        return {name: study.evaluation_config(self._row(w), name) for name in study.benchmarks}

    # ---------------------------------------------------------------- oracle

    def oracle_runs(self, w: Wildcards) -> list[str]:
        """``run.json`` of the runs whose stored responses a policy is measured at; it stands for the files beside it."""
        study = self.study(w.study)
        return [
            f"{self.results}/{study.home}/runs/{run.path}/run.json" for run in source_runs(study, self._measured(w))
        ]

    def oracle_model(self, w: Wildcards) -> str:
        """The folder of the policy that is measured."""
        row, home = self._measured(w), self.study(w.study).home
        return f"{self.results}/{home}/runs/{row.path}/model" if row.cell else str(Path(self.base_model(w)).parent)

    def oracle_config(self, w: Wildcards) -> dict[str, Any]:
        self._measured(w)
        return oracle_config(self.study(w.study))

    def oracle_code(self, w: Wildcards) -> str:
        return _oracle_code(self.study(w.study).training.engine)

    # ---------------------------------------------------------------- analysis

    def shown(self, w: Wildcards) -> list[str]:
        """The files that a table or figure is made from. Of a training run, ``run.json`` stands for the files beside it."""
        planned = plan.planned(self.study(w.study))
        names = [name for kind in planned.values() for name in kind]
        if w.shown not in names:
            raise UserError(f"{w.shown} is not a table or figure of study {w.study}; allowed: {', '.join(names)}.")
        return [f"{self.results}/{name}" for name in plan.inputs(self.study(w.study), w.shown) if _declared(name)]

    def figure_code(self, w: Wildcards) -> str:
        return digest("analysis.style", f"analysis.figures.{w.shown}")

    def report_inputs(self, w: Wildcards) -> list[str]:
        study = self.study(w.study)
        shown = [name for name in self.targets(w.study) if not name.endswith("index.html")]
        origins = [
            f"{self.results}/{w.study}/{kind}/{name}.json"
            for kind, names in plan.planned(study).items()
            for name in names
        ]
        overlaps = [f"{self.results}/{name}" for name in plan.overlap_files(study)]
        # The problems that it quotes stand behind the runs; a bundle may not hold them.
        measured = [f"{self.results}/{name}" for name in plan.oracle_files(study, BASE)]
        return [*shown, *origins, *self.runs(w.study), *self.scores(w.study), *self.audits(w), *overlaps, *measured]

    def analysis_config(self, w: Wildcards) -> dict[str, Any]:
        """Everything in the configuration that the analysis may show."""
        study = self.study(w.study)
        return {
            "study": study.file.model_dump(mode="json", exclude={"resources"}),
            "methods": {name: method.model_dump(mode="json") for name, method in study.methods.items()},
            "rows": [asdict(row) for row in study.rows],
            "benchmarks": {name: benchmark.model_dump(mode="json") for name, benchmark in study.benchmarks.items()},
            "targets": study.targets_config(),
            "claims": study.config.claims.model_dump(mode="json") if study.config.claims else {},
        }

    def report_config(self, w: Wildcards) -> dict[str, Any]:
        """What the page may show: that, and what its jobs were to take, with all that the plan reckons it from."""
        study, config = self.study(w.study), self.config
        gpu = study.resources.gpu_model
        return {
            **self.analysis_config(w),
            "resources": study.resources.model_dump(mode="json"),
            "models": {name: config.models[name].model_dump(mode="json") for name in study.model_names},
            "gpu": config.gpus[gpu].model_dump(mode="json") if gpu else None,
        }

    # ---------------------------------------------------------------- environments

    def environment(self, rule: str, w: Wildcards) -> str:
        """The environment of ``envs/`` that holds what a study's training runs, or its responses, are made with."""
        return environment_of(rule, self.study(w.study))

    # ---------------------------------------------------------------- resources

    def needs(self, kind: str, w: Wildcards) -> JobResources:
        """What a job of ``kind`` asks of the scheduler. For what studies share the asked one decides, or the first that names the model."""
        return getattr(self.study(self._responsible(w)).resources, kind)

    def requested(self, kind: str, w: Wildcards, attempt: int) -> dict[str, int | str | None]:
        """What a job of ``kind`` asks for at its ``attempt`` (1, 2, …), each of ``REQUESTED``; None is left to the profile or the cluster.

        mem_mb in MB, runtime in minutes. Small jobs have one ``light`` each, so that a profile can say how many of a group run at a time.
        """
        needs = self.needs(kind, w)
        flags = [needs.slurm_extra] if needs.slurm_extra else []
        if isinstance(needs, TrainingResources):
            flags = [f"--signal=TERM@{needs.seconds_to_stop}", "--open-mode=append", *flags]
        return {
            "gpu": needs.gpu,
            "gpu_model": needs.gpu_type if needs.gpu else None,
            "nodes": 1 if needs.gpu else None,
            "mem_mb": _grown(needs.mem_mb, attempt, needs.max_mem_mb),
            "runtime": _grown(needs.runtime, attempt, needs.max_runtime),
            "slurm_partition": needs.partition,
            "slurm_account": needs.account,
            "constraint": needs.constraint,
            "slurm_extra": " ".join(flags) or None,
            "light": 1 if kind == "light" else None,
        }

    def training_processes(self, w: Wildcards) -> int:
        """The processes that a run trains in: one for each of its GPUs, or as many as the study says where it has none."""
        needs = self.study(w.study).resources.train
        return needs.gpu or needs.processes

    def _responsible(self, w: Wildcards) -> str:
        if hasattr(w, "study"):
            return w.study
        if not hasattr(w, "model"):
            return self.asked
        names = [self.asked, *self.config.study_names]
        return next((name for name in names if w.model in self.study(name).model_names), self.asked)

    # ---------------------------------------------------------------- names

    def _run(self, w: Wildcards) -> Row:
        row = self._whole(w).row(w.cell, int(w.seed))
        if row.cell is None:
            raise UserError(f"{w.cell} is evaluated only in study {w.study}; it has no training run.")
        return row

    def _row(self, w: Wildcards) -> Row:
        return self._whole(w).row(w.row, int(w.seed))

    def _whole(self, w: Wildcards) -> Study:
        """The study of a run, an evaluation or an audit; a part of another has none below its own folder."""
        study = self.study(w.study)
        if study.home != study.name:
            raise UserError(
                f"{w.study} is a part of study {study.home} and has its runs, evaluations and audits: "
                f"ask for them below {self.results}/{study.home}."
            )
        return study

    def _measured(self, w: Wildcards) -> Row:
        rows = {row.path: row for row in measured_rows(self.study(w.study))}
        if f"{w.policy}/seed{w.seed}" not in rows:
            raise UserError(
                f"{w.policy}/seed{w.seed} is not measured in study {w.study}; "
                f"allowed: {', '.join(rows) or 'none, for it has no `oracle`'}."
            )
        return rows[f"{w.policy}/seed{w.seed}"]

    def _benchmark_problems(self, benchmark: str) -> str:
        return self._problems(self.config.benchmarks[benchmark].dataset)

    def _problems(self, dataset: str) -> str:
        return f"{self.results}/data/{dataset}/problems.parquet"

    def _model(self, model: str) -> str:
        return f"{self.results}/models/{model}/model.json"

    def _one_of(self, kind: str, name: str, known: dict[str, Any]) -> Any:
        if name not in known:
            raise UserError(f"{name} is not a {kind} of {self.config.folder}; allowed: {', '.join(known)}.")
        return known[name]


def _grown(first: int, attempt: int, most: int | None) -> int:
    return attempt * first if most is None else min(attempt * first, most)


def _declared(name: str) -> bool:
    return "/runs/" not in name or name.endswith("/run.json")


_training_code, _generation_code, _oracle_code = map(cache, (training_code, generation_code, oracle_code))


@cache
def digest(*modules: str, without: tuple[str, ...] = ()) -> str:
    """``provenance.code_digest``, computed once for all jobs of a graph."""
    return code_digest(*modules, without=without)
