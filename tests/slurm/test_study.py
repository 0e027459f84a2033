"""The smoke study on a real Slurm, and what its users meet: queues, failures, Ctrl-C, a node that is drained."""

from __future__ import annotations

import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.slurm.submitted import (
    COMMAND,
    RUN,
    USER,
    Submitted,
    can_run_python,
    goes_on_from,
    metrics,
    occupy,
    restarts,
    said_of,
    saved,
    scontrol,
    to_be_trained,
)
from tests.workflow.project import Project
from tokencredit.study.rules import Graph


def test_the_study_is_made_from_data_to_report(studied: Submitted, finished: Project) -> None:
    for target in Graph(finished.folder / "config", asked="smoke").everything("smoke"):
        assert (studied.project.folder / target).stat().st_size > 0
    assert finished.rerun("--config", "study=smoke") == set()


def test_the_profile_can_be_named_by_the_environment(studied: Submitted) -> None:
    """Which does not bind the jobs to the cores of this machine."""
    assert "Using profiles slurm" in studied.said
    assert {"CPUs/Task=3", "NumCPUs=3"} <= said_of(studied.jobs("generate")[0].id)


def test_results_may_lie_on_another_file_system(studied: Submitted) -> None:
    results = studied.project.folder / "results"
    assert results.is_symlink()
    assert results.stat().st_dev != studied.project.folder.stat().st_dev


def test_a_user_who_is_not_root_runs_it_for_a_group(studied: Submitted) -> None:
    if not can_run_python(USER):
        pytest.skip(f"{sys.executable} is out of reach for users other than root")
    command = ["sacct", "--noheader", "--allocations", "--parsable2", "--format=User,Account,State", f"--user={USER}"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert listed == [f"{USER}|lab|COMPLETED"] * len(studied.jobs())
    for path in (studied.project.folder / "results").resolve().rglob("*"):
        status = path.lstat()
        assert path.owner() == USER
        assert stat.filemode(status.st_mode)[1:] == ("rwxrwxr-x" if path.is_dir() else "rw-rw-r--"), path


def test_jobs_say_what_they_are_and_small_ones_go_together(studied: Submitted) -> None:
    comments = [job.comment for job in studied.jobs()]
    assert "rule_train_wildcards_smoke_eapo-without-nhr_0" in comments
    assert "rule_generate_wildcards_smoke_base_0_toy-tier1" in comments
    assert comments.count("rule_checks_audit_overlap") == 1
    assert comments.count("rule_graded_grade_score") == 3
    assert "rule_report_wildcards_smoke" in comments
    (checks,) = studied.jobs("checks")
    assert checks.memory == "2000M"


def test_a_job_waits_for_a_gpu_and_gets_it(done: Project) -> None:
    taken = occupy("--gpus=2")
    try:
        submitted = Submitted(to_be_trained(done, steps=20, gpu=1), f"{RUN}/run.json")
        submitted.until(lambda: [job for job in submitted.jobs("train") if job.reason == "Resources"])
        assert not (done.folder / RUN / ".lock").exists()
    finally:
        subprocess.run(["scancel", taken], check=True)
    job = submitted.held()
    assert "GRES=gpu:fake:1(IDX:" in scontrol("show", "job", "--details", job.id)
    environment = Path(f"/proc/{submitted.trainer()}/environ").read_bytes().split(b"\0")
    assert b"CUDA_VISIBLE_DEVICES=0" in environment
    submitted.go_on()
    submitted.wait()


def test_a_failing_job_is_tried_again_and_then_shown_with_its_log(failing: Submitted) -> None:
    said, tries, folder = failing.wait(status=1), failing.jobs("train"), failing.project.folder
    assert [(job.state, job.memory, job.limit) for job in tries] == [
        ("FAILED", "1500M", "10:00"),
        ("FAILED", "3000M", "20:00"),
        ("FAILED", "4500M", "30:00"),
    ]
    assert "log: results/logs/train/smoke/grpo/seed0.log" in said
    assert (folder / "results/logs/train/smoke/grpo/seed0.log").read_text(encoding="utf-8").strip() in said
    kept = folder / "results/logs/slurm/rule_train/smoke_grpo_0"
    assert sorted(path.stem for path in kept.iterdir()) == [job.id for job in tries]


def test_ctrl_c_leaves_nothing_behind_and_the_next_goes_on(done: Project) -> None:
    first = Submitted(to_be_trained(done, steps=20), f"{RUN}/run.json")
    job = first.held()
    second = subprocess.run(
        [*COMMAND, "--", f"{RUN}/run.json"], cwd=done.folder, text=True, capture_output=True, check=False
    )
    assert second.returncode == 1
    assert "Directory cannot be locked" in second.stdout + second.stderr

    trainer = first.trainer()
    first.interrupt()
    first.wait(status=1)
    deadline = time.monotonic() + 60
    while Path(f"/proc/{trainer}").exists() or "JobState=CANCELLED" not in scontrol("show", "job", job.id):
        assert time.monotonic() < deadline, scontrol("show", "job", job.id)
        time.sleep(0.2)
    kept = saved(done)
    assert not (done.folder / RUN / "run.json").exists()

    next_one = Submitted(done, f"{RUN}/run.json")
    next_one.wait()
    assert [job.state for job in next_one.jobs("train")] == ["CANCELLED", "COMPLETED"]
    assert goes_on_from(kept, done)
    assert metrics(done).count(b"\n") == 20


def test_a_run_that_outlives_its_snakemake_is_not_made_twice(done: Project) -> None:
    """Whether the next one's job meets the run at work or finished, which is when Snakemake deletes the run.json that it finds."""
    first = Submitted(to_be_trained(done, steps=20), f"{RUN}/run.json")
    first.held()
    first.process.kill()
    first.process.wait()
    subprocess.run([*COMMAND, "--unlock", "--", f"{RUN}/run.json"], cwd=done.folder, capture_output=True, check=True)
    waiting = Submitted(done, f"{RUN}/run.json")
    log = done.folder / "results/logs/train/smoke/grpo/seed0.log"
    waiting.until(lambda: log.exists() and "waiting for process" in log.read_text(encoding="utf-8"))
    waiting.go_on()
    waiting.wait()
    timing = (done.folder / RUN / "timing.jsonl").read_bytes()
    assert [job.state for job in waiting.jobs("train")] == ["COMPLETED", "COMPLETED"]

    (done.folder / RUN / "run.json").unlink()
    Submitted(done, f"{RUN}/run.json").wait()
    assert (done.folder / RUN / "timing.jsonl").read_bytes() == timing


def test_a_node_that_is_drained_and_resumed_loses_nothing(done: Project) -> None:
    """The job that runs there ends, the next waits until the node is back."""
    node = f"NodeName={socket.gethostname().split('.')[0]}"
    target = "results/smoke/eval/grpo/seed0/toy-tier1/generations.parquet"
    submitted = Submitted(to_be_trained(done, steps=20), target)
    submitted.held()
    scontrol("update", node, "State=DRAIN", "Reason=test")
    try:
        submitted.go_on()
        (waiting,) = submitted.until(lambda: submitted.jobs("generate"))
        submitted.until(lambda: submitted.jobs("generate")[0].reason not in ("None", "Priority"))
        assert submitted.jobs("generate")[0].state == "PENDING"
    finally:
        scontrol("update", node, "State=RESUME")
    submitted.wait()
    (trained,) = submitted.jobs("train")
    assert (trained.state, restarts(trained.id)) == ("COMPLETED", 0)
    assert [job.id for job in submitted.jobs("generate")] == [waiting.id]
