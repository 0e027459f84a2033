"""Every key of a study's ``resources``: what its jobs ask of the scheduler."""

from __future__ import annotations

import shlex
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from tokencredit.config.keys import (
    FEATURES,
    GPU_TYPE,
    SLURM_WORD,
    Count,
    Name,
    NonNegative,
    Positive,
    Rate,
    Strict,
)

# Flags of sbatch that jobs get in any case, with the key that decides them; None where no key does. Snakemake's plugin refuses most of
# them, but only when it submits.
_FLAGS: dict[str, str | None] = {
    **dict.fromkeys(("--time", "-t"), "runtime"),
    **dict.fromkeys(("--mem", "--mem-per-cpu", "--mem-per-gpu"), "mem_mb"),
    **dict.fromkeys(("--cpus-per-task", "--cpus-per-gpu", "-c"), "threads"),
    **dict.fromkeys(("--gpus", "--gpus-per-node", "--gpus-per-task", "--gres", "-G"), "gpu"),
    **dict.fromkeys(("--partition", "-p"), "partition"),
    **dict.fromkeys(("--account", "-A"), "account"),
    **dict.fromkeys(("--qos", "-q"), "qos"),
    **dict.fromkeys(("--constraint", "-C"), "constraint"),
    **dict.fromkeys(("--nodes", "-N", "--ntasks", "--ntasks-per-gpu", "-n", "--clusters", "-M", "--export", "--wrap")),
    **dict.fromkeys(("--job-name", "-J", "--output", "-o", "--error", "-e", "--comment", "--chdir", "--workdir", "-D")),
    **dict.fromkeys(
        ("--array", "-a", "--signal", "--open-mode", "--parsable")
    ),  # a run that queues its own job again needs these
}


def _flags(text: str) -> str:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ValueError(f"cannot be read as flags: {str(error).lower()}") from error
    if words and not words[0].startswith("-"):
        raise ValueError(f"must be flags of sbatch, which begin with a hyphen; {words[0]!r} does not")
    for word in words:
        flag = word.partition("=")[0] if word.startswith("--") else word[:2]
        if flag in _FLAGS:
            decided = f"the key `{key}` says it" if (key := _FLAGS[flag]) else "the workflow sets it"
            raise ValueError(f"{flag} is not allowed: {decided}")
    return text


SlurmWord = Annotated[str, Field(pattern=SLURM_WORD)]
GpuType = Annotated[str, Field(pattern=GPU_TYPE)]
Flags = Annotated[str, AfterValidator(_flags)]
Features = Annotated[str, Field(pattern=FEATURES)]


class JobResources(Strict):
    """What one job of a kind asks of the scheduler."""

    gpu: Count = Field(0, description="GPUs, all on one machine; of a training run those on each of its `nodes`.")
    mem_mb: Positive = Field(description="Memory in MB; a job that is tried again asks for as much again.")
    runtime: Positive = Field(description="Minutes; a job that is tried again asks for as many again.")
    threads: Positive = Field(1, description="CPU threads.")
    max_mem_mb: Positive | None = Field(None, description="Most memory in MB, that of a node; without it no bound.")
    max_runtime: Positive | None = Field(None, description="Most minutes, those of the partition; without it no bound.")
    gpu_type: GpuType | None = Field(None, description="Slurm's name of the kind of GPU, where a cluster has several.")
    partition: SlurmWord | None = Field(None, description="Slurm partition; without it the profile's or the cluster's.")
    account: SlurmWord | None = Field(None, description="Slurm account; without it the profile's or the user's.")
    qos: SlurmWord | None = Field(
        None, description="Slurm quality of service; without it the profile's or the account's."
    )
    constraint: Features | None = Field(None, description="Slurm constraint, features that a node must have.")
    slurm_extra: Flags | None = Field(
        None,
        description="Further flags of sbatch, as `--exclusive --reservation=night`; none that another key says, and no `--array`.",
    )

    @property
    def all_gpus(self) -> int:
        """GPUs of the whole job."""
        return self.gpu

    @model_validator(mode="after")
    def _bounds(self) -> JobResources:
        for name in ("mem_mb", "runtime"):
            least, most = getattr(self, name), getattr(self, f"max_{name}")
            if most is not None and most < least:
                raise ValueError(f"max_{name} = {most} must not be less than {name} = {least}")
        if self.gpu_type is not None and not self.gpu:
            raise ValueError(f"gpu_type = {self.gpu_type!r} has no effect without gpu, the number of GPUs")
        return self


class TrainingResources(JobResources):
    """What a training run asks of the scheduler. It trains in one process for each GPU."""

    nodes: Positive = Field(
        1,
        description="Nodes that a run is spread over, each with `gpu` GPUs, `mem_mb` and `threads`; several on Slurm only.",
    )
    processes: Positive = Field(1, description="Processes of a run without GPUs, on each node.")
    stop_minutes: Rate | None = Field(
        None,
        description="Minutes before the time limit at which Slurm tells a run to save and to queue again, more than a step takes; "
        "without it 10, or a quarter of `runtime` where that is less.",
    )

    @model_validator(mode="after")
    def _time_to_stop(self) -> TrainingResources:
        if self.stop_minutes is not None and self.stop_minutes >= self.runtime:
            raise ValueError(f"stop_minutes = {self.stop_minutes:g} must be less than runtime = {self.runtime}")
        return self

    @property
    def on_a_node(self) -> int:
        """Processes on each node: one for each of its GPUs, or as many as the study says where it has none."""
        return self.gpu or self.processes

    @property
    def all_processes(self) -> int:
        return self.nodes * self.on_a_node

    @property
    def all_gpus(self) -> int:
        return self.nodes * self.gpu

    @property
    def seconds_to_stop(self) -> int:
        """Seconds before the time limit at which a run is told to save."""
        return round(60 * (self.stop_minutes or min(10, self.runtime / 4)))


class Resources(Strict):
    """What jobs ask of the scheduler; nothing here changes a result."""

    pretrain: JobResources | None = Field(
        None,
        description="Making a base model, or a supervised start; needed where the study has an embedded model or a `start`.",
    )
    train: TrainingResources = Field(description="One training run.")
    generate: JobResources = Field(description="The responses of one row to one benchmark.")
    light: JobResources = Field(description="Everything else: data, grading, scores, tables, figures.")
    gpu_model: Name | None = Field(
        None,
        description="The GPU, one of gpus.yaml, for the estimate of memory and cost; no job is sent anywhere by it.",
    )
    budget_gpu_hours: NonNegative | None = Field(
        None,
        description="GPU-hours, by the estimate of what would run, above which nothing is started; no bound without it.",
    )
