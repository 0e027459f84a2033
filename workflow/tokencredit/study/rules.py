"""What the rules of ``workflow/rules`` ask of the configuration: targets, and the inputs, parameters and resources of their jobs.

Snakemake reads this at every start and again in every job of a cluster: nothing heavy is imported.

A job runs again when what decides its result has changed: the settings that it reads (its ``config`` parameter), the code behind its stage
(its ``code`` parameter) or the content of its input files; and not when anything else has.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from tokencredit.config import Config, JobResources, Row, Study, TrainingResources
from tokencredit.errors import UserError
from tokencredit.study import code, settings
from tokencredit.study.environments import environment_of
from tokencredit.study.exhibits import planned
from tokencredit.study.jobs import Job, jobs_of
from tokencredit.study.paths import Paths, files_here

# What jobs may ask for, by Snakemake's names.
REQUESTED = (
    *("gpu", "gpu_model", "nodes", "mpi", "tasks", "cpus_per_task", "mem_mb", "runtime"),
    *("slurm_partition", "slurm_account", "qos", "constraint", "slurm_extra", "light"),
)

# The key of a study's file by which a job asks for it, where there is one that few studies have.
_ASKED_BY = {
    "gpu_model": "gpu_type",
    **dict.fromkeys(("mpi", "tasks", "cpus_per_task"), "nodes"),
    "slurm_partition": "partition",
    "slurm_account": "account",
    "qos": "qos",
    "constraint": "constraint",
    "slurm_extra": "slurm_extra",
}


class Wildcards(Protocol):
    """The names in a rule's file patterns, as Snakemake hands them over."""

    study: str
    method: str
    row: str
    policy: str
    search: str
    line: str
    seed: str
    benchmark: str
    dataset: str
    model: str
    exhibit: str


class Later(str):
    """A value that is worked out when somebody looks at it: by its ``repr``, as Snakemake compares and records parameters."""

    def __new__(cls, value: Callable[[], Any]) -> Later:
        text = super().__new__(cls)
        text._value = value
        return text

    def __repr__(self) -> str:
        return repr(self._value())


class Graph:
    """One configuration folder, seen from the rules. Raises ``UserError`` for names that the configuration does not hold."""

    def __init__(self, config: Config | str | Path, asked: str) -> None:
        """``asked``: the study whose targets are built when none are named; shared stages take its resources where they can."""
        self.config = config if isinstance(config, Config) else Config(config)
        self.asked = asked
        self.study = cache(self.config.study)
        self._requested = cache(self._requested_of)
        self._jobs = cache(lambda study: {(job.rule, job.name): job for job in jobs_of(self.study(study))})

    # ---------------------------------------------------------------- targets

    def everything(self, study: str) -> list[str]:
        """Every file that is made for a study."""
        return [path for job in self._jobs(study).values() for path in job.outputs]

    def runs(self, study: str) -> list[str]:
        """Every training run of a study."""
        return self._made(study, "train")

    def scores(self, study: str) -> list[str]:
        """The scores of every row of a study."""
        return self._made(study, "score")

    def fetched(self, study: str) -> list[str]:
        """What a study takes from elsewhere: its data sets and the released models."""
        return [
            *(job.outputs[0] for job in self._jobs(study).values() if job.rule == "prepare"),
            *self._made(study, "fetch"),
        ]

    def _made(self, study: str, rule: str) -> list[str]:
        return [path for job in self.jobs(study, rule) for path in job.outputs]

    # ---------------------------------------------------------------- jobs of a study

    def jobs(self, study: str, rule: str) -> list[Job]:
        return [job for job in self._jobs(study).values() if job.rule == rule]

    def audits(self, study: str) -> list[str]:
        """The files of the audits of a study, or of its whole."""
        return self._made(study, "audit")

    def job(self, rule: str, w: Wildcards) -> Job:
        """The job of ``rule`` that the wildcards name."""
        return self._jobs(w.study)[rule, _NAMES[rule](self, w)]

    def _run(self, w: Wildcards) -> str:
        row = self._whole(w).row_at(f"{w.method}/seed{w.seed}")
        if row.method is None:
            raise UserError(f"{w.method} is evaluated only in study {w.study}; it has no training run.")
        return row.path

    def _row(self, w: Wildcards) -> Row:
        return self._whole(w).row_at(f"{w.row}/seed{w.seed}")

    def _benchmark(self, w: Wildcards) -> str:
        benchmarks = self._whole(w).benchmarks
        if w.benchmark not in benchmarks:
            raise UserError(f"{w.benchmark} is not a benchmark of study {w.study}; allowed: {', '.join(benchmarks)}.")
        return w.benchmark

    def _answers(self, w: Wildcards) -> str:
        return f"{self._row(w).path}/{self._benchmark(w)}"

    def _whole(self, w: Wildcards) -> Study:
        """The study of a run, an evaluation or an audit; a part of another has none below its own folder."""
        study = self.study(w.study)
        if study.home != study.name:
            raise UserError(
                f"{w.study} is a part of study {study.home} and has its runs, evaluations and audits: "
                f"ask for them below {Paths(study).home}."
            )
        return study

    def _measured(self, w: Wildcards) -> str:
        return self._one_of_jobs(
            "oracle", w.study, f"{w.policy}/seed{w.seed}", f"is not measured in study {w.study}", "it has no `oracle`"
        )

    def _attributed(self, w: Wildcards) -> str:
        return self._one_of_jobs(
            "attribute", w.study, f"seed{w.seed}", f"has no attribution in study {w.study}", "`attribution` is off"
        )

    def _pool(self, w: Wildcards) -> str:
        self._one_job("pool", w, w.study)
        return w.study

    def _search(self, w: Wildcards) -> str:
        return self._one_job("search", w, f"{w.search}/seed{w.seed}")

    def _tuned(self, w: Wildcards) -> str:
        return self._one_job("tune", w, f"{w.line}/seed{w.seed}")

    def _one_job(self, rule: str, w: Wildcards, name: str) -> str:
        """``name``, which must be that of a job of ``rule`` in the study below whose folder it is."""
        return self._one_of_jobs(
            rule, self._whole(w).name, name, f"is not a {rule} job of study {w.study}", "it has no `data_recipe`"
        )

    def _one_of_jobs(self, rule: str, study: str, name: str, is_not: str, why_none: str) -> str:
        """``name``, which must be that of a job of ``rule`` in the study."""
        names = [own for of, own in self._jobs(study) if of == rule]
        if name not in names:
            raise UserError(f"{name} {is_not}; allowed: {', '.join(names) or f'none, for {why_none}'}.")
        return name

    def _exhibit(self, kind: str, w: Wildcards) -> str:
        names = planned(self.study(w.study))[f"{kind}s"]
        if w.exhibit not in names:
            raise UserError(f"{w.exhibit} is not a {kind} of study {w.study}; allowed: {', '.join(names)}.")
        return w.exhibit

    # ---------------------------------------------------------------- data and models, which studies share

    def dataset_config(self, w: Wildcards) -> dict[str, Any]:
        self._one_of("data set", w.dataset, self.config.datasets)
        return settings.dataset(self.config, w.dataset)

    def dataset_code(self, w: Wildcards) -> str:
        self._one_of("data set", w.dataset, self.config.datasets)
        return code.dataset(self.config, w.dataset)

    def model_config(self, w: Wildcards) -> dict[str, Any]:
        self._one_of("model", w.model, self.config.models)
        return settings.model(self.config, w.model)

    def pretraining_code(self, w: Wildcards) -> str:
        self._one_of("model", w.model, self.config.models)
        return code.pretraining(self.config.models[w.model])

    def fetching_code(self, w: Wildcards) -> str:
        self._one_of("model", w.model, self.config.models)
        return code.fetching(self.config.models[w.model].kind)

    def files_of_model(self, w: Wildcards) -> list[str]:
        self._one_of("model", w.model, self.config.models)
        return [str(file) for file in files_here(self.config.models[w.model])]

    def embedded_models(self) -> list[str]:
        return [name for name in self.config.models if self.config.is_embedded(name)]

    def released_models(self) -> list[str]:
        return [name for name in self.config.models if not self.config.is_embedded(name)]

    def _one_of(self, kind: str, name: str, known: dict[str, Any]) -> None:
        if name not in known:
            raise UserError(f"{name} is not a {kind} of {self.config.folder}; allowed: {', '.join(known)}.")

    # ---------------------------------------------------------------- environments and resources

    def environment(self, rule: str, w: Wildcards) -> str:
        """The environment of ``envs/`` that holds what a study's training runs, or its responses, are made with."""
        return environment_of(rule, self.study(w.study))

    def needs(self, kind: str, w: Wildcards) -> JobResources:
        """What a job of ``kind`` asks of the scheduler.

        Jobs shared by studies (data, base models) take the resources of the requested study, or of the first study that uses the model.
        """
        return getattr(self.study(self._responsible(w)).resources, kind)

    def requestable(self, kind: str) -> list[str]:
        """Those of ``REQUESTED`` that a job of ``kind`` may ask for. Snakemake works out each of them for every job of a graph.

        What no study's file has the key of is left out. Only small jobs are ``light``, and a training run has flags in any case.
        """
        paths = self.config.study_paths
        said = "".join(path.read_text(encoding="utf-8", errors="replace") for path in paths)
        unasked = {name for name, key in _ASKED_BY.items() if key not in said}
        unasked -= {"slurm_extra"} if kind == "train" else set()
        return [name for name in REQUESTED if name not in unasked and (name != "light" or kind == "light")]

    def requested(self, kind: str, w: Wildcards, attempt: int) -> dict[str, int | str | None]:
        """What a job of ``kind`` asks for at its ``attempt`` (1, 2, …), each of ``REQUESTED``; None is left to the profile or the cluster.

        mem_mb in MB, runtime in minutes. Small jobs have one ``light`` each, so that a profile can say how many of a group run at a time.
        """
        return self._requested(self._responsible(w), kind, attempt)

    def _requested_of(self, study: str, kind: str, attempt: int) -> dict[str, int | str | None]:
        needs = getattr(self.study(study).resources, kind)
        flags = [needs.slurm_extra] if needs.slurm_extra else []
        placed: dict[str, int | str | None] = {
            "gpu": needs.gpu,
            "gpu_model": needs.gpu_type if needs.gpu else None,
            "nodes": 1 if needs.gpu else None,
            **dict.fromkeys(("mpi", "tasks", "cpus_per_task")),
        }
        if isinstance(needs, TrainingResources):
            flags = [f"--signal=TERM@{needs.seconds_to_stop}", "--open-mode=append", *flags]
            if needs.nodes > 1:
                # By its own resources the plugin cannot say how many GPUs and tasks each node is to have.
                model = f"{needs.gpu_type}:" if needs.gpu_type else ""
                gpus = [f"--gpus-per-node={model}{needs.gpu}"] if needs.gpu else []
                flags = [f"--ntasks-per-node={needs.on_a_node}", *gpus, *flags]
                placed |= {"gpu": None, "gpu_model": None, "nodes": needs.nodes}
                placed |= {"mpi": "srun", "tasks": needs.all_processes, "cpus_per_task": _threads_each(needs)}
        return {
            **placed,
            "mem_mb": _grown(needs.mem_mb, attempt, needs.max_mem_mb),
            "runtime": _grown(needs.runtime, attempt, needs.max_runtime),
            "slurm_partition": needs.partition,
            "slurm_account": needs.account,
            "qos": needs.qos,
            "constraint": needs.constraint,
            "slurm_extra": " ".join(flags) or None,
            "light": 1 if kind == "light" else None,
        }

    def training_processes(self, w: Wildcards) -> int:
        """The processes that a run trains in, on all of its nodes."""
        return self.study(w.study).resources.train.all_processes

    def training_start(self, w: Wildcards) -> str:
        """What starts a run's processes on several nodes, in its Slurm job: ``srun``, one task for each. Without it the run starts them."""
        needs = self.study(w.study).resources.train
        if needs.nodes == 1:
            return ""
        tasks = f"--nodes={needs.nodes} --ntasks={needs.all_processes} --ntasks-per-node={needs.on_a_node}"
        threads = f"--cpus-per-task={_threads_each(needs)}"
        return f"${{SLURM_JOB_ID:+srun {tasks} {threads} --mpi=none --input=none --kill-on-bad-exit=1}}"

    def _responsible(self, w: Wildcards) -> str:
        if hasattr(w, "study"):
            return w.study
        if not hasattr(w, "model"):
            return self.asked
        names = [self.asked, *self.config.study_names]
        return next((name for name in names if w.model in self.study(name).model_names), self.asked)


# By which of a rule's wildcards its jobs are told apart.
_NAMES: dict[str, Callable[[Graph, Wildcards], str]] = {
    "audit": Graph._benchmark,
    "start": lambda graph, w: graph._whole(w).name,
    "train": Graph._run,
    "generate": Graph._answers,
    "grade": Graph._answers,
    "score": lambda graph, w: graph._row(w).path,
    "oracle": Graph._measured,
    "attribute": Graph._attributed,
    "pool": Graph._pool,
    "search": Graph._search,
    "tune": Graph._tuned,
    "table": lambda graph, w: graph._exhibit("table", w),
    "figure": lambda graph, w: graph._exhibit("figure", w),
    "report": lambda graph, w: w.study,
}


def _threads_each(needs: TrainingResources) -> int:
    """CPU threads of each process on a node."""
    return max(1, needs.threads // needs.on_a_node)


def _grown(first: int, attempt: int, most: int | None) -> int:
    return attempt * first if most is None else min(attempt * first, most)
