"""`snakemake plan` and `snakemake status` as typed: before, while and after a study runs, and where it failed."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from base64 import urlsafe_b64encode
from pathlib import Path

import pytest

from tests.workflow.project import ROOT, Project
from tokencredit.config import Config
from tokencredit.cost import Options, Terms, estimate
from tokencredit.cost.remaining import cost_of
from tokencredit.cost.show import marked
from tokencredit.study.jobs import RULES, Job, jobs_of
from tokencredit.tools import archive
from tokencredit.tools.status import REMADE, State, last_word, standing

pytestmark = pytest.mark.workflow
SMOKE = ("--config", "study=smoke")
CONFIG = Config(ROOT / "config")
STATES = [state.value for state in State]


def answer(project: Project, *arguments: str) -> str:
    done = project.run(*arguments)
    assert done.returncode == 0, done.stdout
    return done.stdout


def counts(told: str) -> dict[str, dict[str, int]]:
    """Jobs by rule and state, of what `snakemake status` said."""
    lines = [line.split() for line in told.splitlines() if line.split()[0] in RULES]
    return {
        rule: dict(zip(STATES, [int(n.replace("·", "0")) for n in numbers], strict=True)) for rule, _, *numbers in lines
    }


def test_the_whole_study_costs_what_the_estimate_says(tmp_path: Path) -> None:
    for name in CONFIG.study_names:
        study = CONFIG.study(name)
        found, units = estimate(study), jobs_of(study, str(tmp_path))
        cost = cost_of(study, found, units)
        assert cost.jobs == len(units)
        assert cost.gpu_hours.value == pytest.approx(found.gpu_hours.value)
        assert cost.kept_bytes.value == pytest.approx(found.disk_bytes.value)
        assert cost.unknown == found.unknown
        train = [unit for unit in units if unit.rule == "train"]
        halves = [cost_of(study, found, part).gpu_hours.value for part in (train[::2], train[1::2])]
        assert sum(halves) == pytest.approx(cost_of(study, found, train).gpu_hours.value)


def test_plan_says_what_would_run_and_makes_nothing(project: Project) -> None:
    told = answer(project, "plan", "--config", "study=paper-quadrants")
    lines = {line.split("│")[1].strip(): line.split("│")[2:-1] for line in told.splitlines() if line.startswith("│")}
    assert set(lines) >= {"prepare", "fetch", "train", "generate", "report", "dapo/seed0", "nlr/seed1", "base/seed0"}
    assert [lines[rule][0].strip() for rule in ("train", "generate", "grade")] == ["10", "77", "77"]
    in_all = marked(estimate(CONFIG.study("paper-quadrants")).gpu_hours)
    assert f"{in_all} GPU-hours on NVIDIA A800 80 GB; no budget is set" in told
    assert "Building DAG" not in told
    assert not (project.folder / "results").exists()


def test_status_of_a_study_that_never_ran(fresh: Project) -> None:
    found = counts(answer(fresh, "status", *SMOKE))
    assert found["train"] == {**dict.fromkeys(STATES, 0), "waiting": 4}
    assert set(found) == {*RULES} - {"fetch", "start", "pool", "search", "tune"}


def test_status_and_plan_of_a_finished_study(done: Project) -> None:
    found = counts(answer(done, "status", *SMOKE))
    assert all(numbers["done"] and sum(numbers.values()) == numbers["done"] for numbers in found.values())
    assert "everything is made; nothing would run" in answer(done, "plan", *SMOKE)

    done.append("workflow/tokencredit/analysis/figures/figure4.py", "\n_EDITED = len('')\n")
    told = answer(done, "status", *SMOKE)
    assert counts(told)["figure"] == {**dict.fromkeys(STATES, 0), "done": found["figure"]["done"] - 1, "outdated": 1}
    assert "outdated figure, 1: Params have changed since last execution" in told
    planned = answer(done, "plan", *SMOKE)
    assert [line.split("│")[1].strip() for line in planned.splitlines() if line.startswith("│")] == ["figure", "report"]


def test_what_was_taken_away_is_made_again_although_what_was_made_from_it_stands(done: Project) -> None:
    """As by a rerun that was asked for and failed."""
    gone = {"results/smoke/eval/grpo/seed0/toy-tier1/generations.parquet", "results/smoke/audit/toy-tier1.json"}
    for path in gone:
        (done.folder / path).unlink()
    assert done.rerun(*SMOKE) >= gone
    found = counts(answer(done, "status", *SMOKE))
    assert [found[rule]["waiting"] for rule in ("generate", "audit", "train")] == [1, 1, 0]


def test_status_names_what_failed_its_reason_and_its_log(done: Project) -> None:
    shutil.rmtree(done.folder / "results/smoke/runs")
    done.replace("config/studies/smoke.yaml", "max_prompt_tokens: 64", "max_prompt_tokens: 2")
    failed = done.run("results/smoke/runs/eapo/seed0/run.json", *SMOKE)
    assert failed.returncode == 1
    told = answer(done, "status", *SMOKE)
    assert counts(told)["train"] == {**dict.fromkeys(STATES, 0), "failed": 1, "waiting": 3}
    (line,) = [line for line in told.splitlines() if line.startswith("failed")]
    log = "results/logs/train/smoke/eapo/seed0.log"
    assert line == f"failed train eapo/seed0: {last_word(done.folder / log)} ({log})"
    assert "error: " in line


def test_status_while_it_runs_and_after_it_was_killed(done: Project) -> None:
    """Asking takes no lock and leaves the running workflow's alone."""
    run = done.folder / "results/smoke/runs/grpo/seed0"
    subprocess.run(["rm", "-r", str(run)], check=True)
    told = []

    def asked() -> bool:
        if not list(run.glob("work/*/processes/*.json")):
            return False
        told.append(answer(done, "status", *SMOKE))
        assert list((done.folder / ".snakemake/locks").iterdir())
        return True

    slow = done.folder / "config/studies/smoke.yaml"
    slow.write_text(slow.read_text().replace("  steps: 3", "  steps: 300"))
    done.kill("results/smoke/runs/grpo/seed0/run.json", *SMOKE, once=asked)
    assert counts(told[0])["train"]["running"] == 1
    (line,) = [line for line in told[0].splitlines() if line.startswith("running")]
    assert line.startswith("running train grpo/seed0: step ")
    assert " of 300, " in line
    assert f" on {socket.gethostname()} since " in line
    assert line.endswith(" (results/logs/train/smoke/grpo/seed0.log)")

    killed = answer(done, "status", *SMOKE)
    assert counts(killed)["train"]["started"] == 1
    assert "if its workflow was killed, `snakemake --unlock` lets the same command go on" in killed
    answer(done, "--unlock", *SMOKE)
    after = answer(done, "status", *SMOKE)
    assert counts(after)["train"]["stopped"] == 1
    assert "--unlock" not in after
    assert "stopped train grpo/seed0: step " in after
    assert "its workflow is no more" in after


MISSING = "Missing output files: run.json"


@pytest.fixture
def unit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    """A training run of the smoke study in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return next(unit for unit in jobs_of(CONFIG.study("smoke")) if str(unit) == "train eapo/seed0")


def write(path: str | Path, text: str, seconds_ago: float = 0) -> Path:
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    then = time.time() - seconds_ago
    os.utime(path, (then, then))
    return path


def marked_as_started(unit: Job, locked: bool) -> None:
    """As Snakemake does it."""
    write(Path(".snakemake/incomplete", urlsafe_b64encode(unit.outputs[0].encode()).decode()), "{}")
    if locked:
        write(".snakemake/locks/0.output.lock", f"results/other\n{unit.outputs[0]}\n")


def owned(unit: Job, pid: int, host: str = socket.gethostname(), since: str = "2026-01-01 12:00:00") -> None:
    owner = {"host": host, "pid": pid, "slurm_job": "42", "since": since}
    write(Path(unit.outputs[0]).parent / ".lock", json.dumps(owner))


def beat(unit: Job, rank: int, step: int, at: str) -> None:
    record = {"rank": rank, "step": step, "phase": "update", "time": at, "host": "here", "pid": 1}
    write(Path(unit.outputs[0]).parent / f"work/0123/processes/{rank}.json", json.dumps(record))


def found(unit: Job, reason: str | None = MISSING) -> tuple[State, str]:
    seen = standing(CONFIG.study("smoke"), unit, reason)
    return seen.state, seen.note


def test_a_run_whose_process_is_there_runs_whatever_snakemake_remembers(unit: Job) -> None:
    """Its workflow may have been killed and unlocked; processes of an earlier attempt count no more."""
    owned(unit, os.getpid())
    assert found(unit) == (
        State.RUNNING,
        f"process {os.getpid()} on {socket.gethostname()} (Slurm job 42) since 2026-01-01 12:00:00",
    )
    beat(unit, 0, 2, "2026-01-01T12:00:09+0000")
    beat(unit, 7, 1, "2026-01-01T11:00:00+0000")
    marked_as_started(unit, locked=True)
    state, note = found(unit)
    assert state == State.RUNNING
    assert note.startswith("step 2 of 3, update since 2026-01-01T12:00:09+0000; process ")
    owned(unit, 1, host="elsewhere")
    assert found(unit)[0] == State.RUNNING


def test_a_run_whose_process_is_gone_does_not_run(unit: Job) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    owned(unit, gone.pid)
    beat(unit, 0, 2, "2026-01-01T12:00:09+0000")
    marked_as_started(unit, locked=True)
    assert found(unit) == (State.STARTED, "step 2 of 3, update since 2026-01-01T12:00:09+0000")
    Path(".snakemake/locks/0.output.lock").write_text("results/other\n", encoding="utf-8")
    assert found(unit)[0] == State.STOPPED
    assert found(unit)[1].endswith("; its workflow is no more")


def test_a_job_that_has_started_says_what_its_own_log_says(unit: Job) -> None:
    write(unit.log, "of an earlier attempt\n", seconds_ago=60)
    marked_as_started(unit, locked=True)
    assert found(unit) == (State.STARTED, "it has said nothing yet")
    write(unit.log, "loading\n")
    assert found(unit) == (State.STARTED, "loading")


def test_what_was_made_and_deleted_is_to_be_made_again_and_has_not_failed(unit: Job) -> None:
    write(unit.log, "step 3\n", seconds_ago=9)
    assert found(unit) == (State.FAILED, "step 3")
    write(unit.usage, "{}\n", seconds_ago=8)
    assert found(unit) == (State.WAITING, "")
    write(unit.log, "error: no room\n")
    assert found(unit) == (State.FAILED, "error: no room")


def test_only_what_is_there_is_done(unit: Job) -> None:
    assert found(unit, None)[0] == State.WAITING
    write(unit.outputs[0], "{}")
    assert found(unit, None)[0] == State.DONE
    assert found(unit)[0] == State.DONE  # made since Snakemake was asked
    assert found(unit, "Params have changed: x") == (State.OUTDATED, "Params have changed")
    marked_as_started(unit, locked=True)
    assert found(unit, None)[0] == State.STARTED


def test_records_of_a_bundle_are_stored_and_not_outdated(unit: Job) -> None:
    """Nothing is wrong with them, nor with what was made from them: their models are not here."""
    run, model = write(unit.outputs[0], "{}"), "results/models/embedded-tiny/model.json"
    assert found(unit, f"{REMADE}{model}") == (State.OUTDATED, "Input files updated by another job")
    os.utime(run, (archive.TIME, archive.TIME))
    assert found(unit, f"{REMADE}{model}") == (State.STORED, "")
    assert found(unit, f"{REMADE}{model}; Code has changed since last execution")[0] == State.OUTDATED
    assert found(unit, f"Updated input files: {model}")[0] == State.OUTDATED
    assert found(unit, None)[0] == State.DONE

    page = next(each for each in jobs_of(CONFIG.study("smoke")) if each.rule == "report")
    write(page.outputs[0], "")
    for reads, state in (([unit], State.STORED), ([unit, page], State.OUTDATED)):
        reason = REMADE + ", ".join(each.outputs[0] for each in reads)
        assert standing(CONFIG.study("smoke"), page, reason, stored=unit.outputs).state == state


@pytest.mark.parametrize("path", ["rule_train/smoke_eapo_0/12.log", "group_checks/13.log", "group_checks/ab/13.log"])
def test_a_slurm_job_that_died_before_its_stage_has_failed(unit: Job, path: str) -> None:
    write(f"results/logs/slurm/{path}", f"output: {unit.outputs[0]}\nslurmstepd: error: Exceeded memory\n", 9)
    write("results/logs/slurm/rule_train/smoke_eapo_1/14.log", "of another run\n")
    write("results/logs/slurm/group_checks/15.log", "of others\n")
    seen = standing(CONFIG.study("smoke"), unit, MISSING)
    assert str(seen) == (f"failed train eapo/seed0: slurmstepd: error: Exceeded memory (results/logs/slurm/{path})")


def test_plan_counts_what_a_checkpoint_leaves(unit: Job) -> None:
    study = CONFIG.study("smoke")
    terms = Terms(Options(tokens_per_second=100.0))
    whole = cost_of(study, estimate(study, terms), [unit]).seconds.value
    Path(unit.outputs[0]).parent.joinpath("work/0123/checkpoints/step-000002").mkdir(parents=True)
    assert cost_of(study, estimate(study, terms), [unit]).seconds.value == pytest.approx(whole / 3)


def test_a_run_that_its_own_records_call_invalid_is_done_with_a_note(unit: Job) -> None:
    write(unit.outputs[0], json.dumps({"invalid": "the sampler's mismatch"}))
    assert found(unit, None) == (State.DONE, "invalid: the sampler's mismatch")


def test_a_training_that_saved_and_stopped_is_not_called_failed(unit: Job) -> None:
    write(unit.log, "step 1\rstep 2\nstopped after a checkpoint under x; the same command goes on from there\n")
    assert found(unit)[0] == State.STOPPED
    write(unit.log, "loading\nTraceback (most recent call last):\n  File x\nRuntimeError: no room\nbye\n")
    assert found(unit) == (State.FAILED, "RuntimeError: no room")
    write(unit.log, "")
    state, note = found(unit)
    assert (state, "or never ran and was touched (`snakemake --touch`)" in note) == (State.FAILED, True)
