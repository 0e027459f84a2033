"""What jobs ask of a scheduler: as the study says, more at each retry, and nothing that the study leaves to the cluster."""

from __future__ import annotations

import re
import subprocess
from types import SimpleNamespace

import pytest

from tests.config.conftest import Spoil
from tokencredit.errors import UserError
from tokencredit.study.rules import REQUESTED, Graph

STUDY = "studies/one.yaml"
RUN = SimpleNamespace(study="one", method="eapo", seed="0")


def requested(graph: Graph, kind: str, attempt: int = 1) -> dict[str, int | str]:
    """What is asked for, without what is left open."""
    every = graph.requested(kind, RUN, attempt)
    assert tuple(every) == REQUESTED
    return {name: value for name, value in every.items() if value is not None}


def test_a_study_need_not_know_its_cluster(spoil: Spoil) -> None:
    graph = Graph(spoil(), asked="one")
    assert requested(graph, "generate") == {"gpu": 0, "mem_mb": 1000, "runtime": 10}
    assert requested(graph, "light") == {"gpu": 0, "mem_mb": 1000, "runtime": 10, "light": 1}


def test_a_retry_asks_for_more_up_to_what_there_is(spoil: Spoil) -> None:
    bounds = {"mem_mb": 1000, "runtime": 10, "max_mem_mb": 2500, "max_runtime": 20}
    graph = Graph(spoil(STUDY, "resources.generate", bounds), asked="one")
    asked = [requested(graph, "generate", attempt) for attempt in (1, 2, 3)]
    assert [job["mem_mb"] for job in asked] == [1000, 2000, 2500]
    assert [job["runtime"] for job in asked] == [10, 20, 20]
    unbounded = requested(graph, "train", 3)
    assert (unbounded["mem_mb"], unbounded["runtime"]) == (3000, 30)


def test_everything_that_slurm_is_told(spoil: Spoil) -> None:
    words = {
        "partition": "long",
        "account": "maths",
        "qos": "high",
        "constraint": "a800&nvlink",
        "slurm_extra": "--exclusive",
    }
    needs = {"mem_mb": 1000, "runtime": 100, "gpu": 8, "gpu_type": "a800", "stop_minutes": 1.5, **words}
    assert requested(Graph(spoil(STUDY, "resources.train", needs), asked="one"), "train") == {
        "gpu": 8,
        "gpu_model": "a800",
        "nodes": 1,
        "mem_mb": 1000,
        "runtime": 100,
        "slurm_partition": "long",
        "slurm_account": "maths",
        "qos": "high",
        "constraint": "a800&nvlink",
        "slurm_extra": "--signal=TERM@90 --open-mode=append --exclusive",
    }


def test_a_run_over_several_nodes_is_as_many_tasks_on_each_as_it_has_gpus(spoil: Spoil) -> None:
    """``srun`` starts them in the job, and nothing outside Slurm."""
    needs = {"mem_mb": 1000, "runtime": 100, "gpu": 8, "gpu_type": "a800", "nodes": 2, "threads": 20}
    graph = Graph(spoil(STUDY, "resources.train", needs), asked="one")
    assert requested(graph, "train") == {
        "nodes": 2,
        "mpi": "srun",
        "tasks": 16,
        "cpus_per_task": 2,
        "mem_mb": 1000,
        "runtime": 100,
        "slurm_extra": "--ntasks-per-node=8 --gpus-per-node=a800:8 --signal=TERM@600 --open-mode=append",
    }
    assert graph.training_processes(RUN) == 16
    start = ["bash", "-c", f"echo {graph.training_start(RUN)} python"]
    inside, outside = (
        subprocess.run(start, env=environment, capture_output=True, text=True, check=True).stdout.split()
        for environment in ({"SLURM_JOB_ID": "7"}, {})
    )
    assert {"srun", "--nodes=2", "--ntasks=16", "--ntasks-per-node=8", "--cpus-per-task=2"} <= {*inside}
    assert (inside[-1], outside) == ("python", ["python"])

    without = Graph(spoil(STUDY, "resources.train", {"mem_mb": 1, "runtime": 1, "nodes": 3, "processes": 2}), "one")
    assert (requested(without, "train")["tasks"], without.training_processes(RUN)) == (6, 6)
    assert "--ntasks-per-node=2 --signal" in requested(without, "train")["slurm_extra"]
    assert without.job("train", RUN).config() == Graph(spoil(), asked="one").job("train", RUN).config()


@pytest.mark.parametrize(("runtime", "seconds"), [(10, 150), (1000, 600)])
def test_a_run_is_told_to_save_before_its_time_is_over(spoil: Spoil, runtime: int, seconds: int) -> None:
    graph = Graph(spoil(STUDY, "resources.train", {"mem_mb": 1000, "runtime": runtime}), asked="one")
    assert f"--signal=TERM@{seconds} " in requested(graph, "train")["slurm_extra"]


def test_what_no_study_asks_for_is_not_worked_out(spoil: Spoil) -> None:
    always = ["gpu", "nodes", "mem_mb", "runtime"]
    assert Graph(spoil(), asked="one").requestable("generate") == always
    assert Graph(spoil(), asked="one").requestable("light") == [*always, "light"]
    assert Graph(spoil(), asked="one").requestable("train") == [*always, "slurm_extra"]
    words = {"partition": "long", "account": "maths", "qos": "high", "constraint": "a800", "slurm_extra": "--exclusive"}
    asking = spoil(
        STUDY, "resources.train", {"mem_mb": 1000, "runtime": 10, "gpu": 8, "nodes": 2, "gpu_type": "a800", **words}
    )
    assert Graph(asking, asked="one").requestable("light") == [*REQUESTED]


def test_nothing_of_it_is_part_of_a_run(spoil: Spoil) -> None:
    needs = {"mem_mb": 1, "runtime": 7, "partition": "long", "slurm_extra": "--exclusive", "stop_minutes": 1.0}
    changed, plain = Graph(spoil(STUDY, "resources.train", needs), asked="one"), Graph(spoil(), asked="one")
    assert changed.job("train", RUN).config() == plain.job("train", RUN).config()


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("max_mem_mb", 500, "max_mem_mb = 500 must not be less than mem_mb = 1000"),
        ("max_runtime", 5, "max_runtime = 5 must not be less than runtime = 10"),
        ("stop_minutes", 10.0, "stop_minutes = 10 must be less than runtime = 10"),
        ("partition", "long; reboot", "must be made of letters, digits, dots, hyphens and underscores"),
        ("gpu_type", "a800-80gb", "must be made of letters, digits, dots and underscores"),
        ("gpu_type", "a800", "gpu_type = 'a800' has no effect without gpu"),
        ("constraint", "a'b", "must be features of Slurm's nodes"),
        ("slurm_extra", "--exclusive --qos=gpu", "--qos is not allowed: the key `qos` says it"),
        ("slurm_extra", "--time 10", "--time is not allowed: the key `runtime` says it"),
        ("slurm_extra", "-pgpu", "-p is not allowed: the key `partition` says it"),
        ("slurm_extra", "--array=1-3", "--array is not allowed: the workflow sets it"),
        ("slurm_extra", "qos=high", "must be flags of sbatch, which begin with a hyphen; 'qos=high' does not"),
        ("slurm_extra", "--mail-user='me", "cannot be read as flags: no closing quotation"),
    ],
)
def test_what_slurm_would_refuse_is_one_sentence(spoil: Spoil, key: str, value: object, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        Graph(spoil(STUDY, "resources.train", {"mem_mb": 1000, "runtime": 10, key: value}), asked="one").study("one")


@pytest.mark.slow
def test_what_the_plugin_refuses_is_refused_before(spoil: Spoil) -> None:
    """By its own list of flags, which is long: each is refused when the study is read."""
    from snakemake_executor_plugin_slurm.validation import get_forbidden_slurm_options

    flags = [flag for pattern in get_forbidden_slurm_options() for flag in re.findall(r"--?[\w-]*\w", pattern)]
    assert len(flags) > 30
    for flag in flags:
        train = {"mem_mb": 1000, "runtime": 10, "slurm_extra": f"{flag} 1"}
        with pytest.raises(UserError, match=f"slurm_extra.*{flag} is not allowed"):
            Graph(spoil(STUDY, "resources.train", train), asked="one").study("one")


def test_what_a_study_takes_from_elsewhere_is_no_model_that_it_trains() -> None:
    fetched = Graph("config", asked="toy").fetched("paper-7b")
    assert "results/models/qwen2.5-math-7b/model.json" in fetched
    assert "results/data/deepscaler/problems.parquet" in fetched
    assert not any("/models/" in path for path in Graph("config", asked="toy").fetched("toy"))
