"""`snakemake plan` and `snakemake status` as typed: before, while and after a study runs, and where it failed."""

from __future__ import annotations

import json
import socket
import subprocess
from pathlib import Path

import pytest

from tests.workflow.project import ROOT, Project
from tokencredit.config import Config
from tokencredit.plan import estimate
from tokencredit.plan.remaining import cost_of, over_budget
from tokencredit.plan.show import marked
from tokencredit.status import State, last_word, standing
from tokencredit.units import RULES, Unit, units_of

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


def test_the_whole_study_costs_what_the_estimate_says() -> None:
    for name in CONFIG.study_names:
        study = CONFIG.study(name)
        found, units = estimate(study), units_of(study)
        cost = cost_of(study, found, units)
        assert cost.jobs == len(units)
        assert cost.gpu_hours.value == pytest.approx(found.gpu_hours.value)
        assert cost.kept_bytes.value == pytest.approx(found.disk_bytes.value)
        assert cost.unknown == found.unknown
        train = [unit for unit in units if unit.rule == "train"]
        halves = [cost_of(study, found, part).gpu_hours.value for part in (train[::2], train[1::2])]
        assert sum(halves) == pytest.approx(cost_of(study, found, train).gpu_hours.value)
        assert over_budget(study, cost) is None


def test_plan_says_what_would_run_and_makes_nothing(project: Project) -> None:
    told = answer(project, "plan", "--config", "study=paper-quadrants")
    lines = {line.split("│")[1].strip(): line.split("│")[2:-1] for line in told.splitlines() if line.startswith("│")}
    assert set(lines) >= {"prepare", "fetch", "train", "generate", "report", "dapo/seed0", "nlr/seed1", "base/seed0"}
    assert [lines[rule][0].strip() for rule in ("train", "generate", "grade")] == ["10", "66", "66"]
    in_all = marked(estimate(CONFIG.study("paper-quadrants")).gpu_hours)
    assert f"{in_all} GPU-hours on NVIDIA A800 80 GB; no budget is set" in told
    assert "Building DAG" not in told
    assert not (project.folder / "results").exists()


def test_status_of_a_study_that_never_ran(fresh: Project) -> None:
    found = counts(answer(fresh, "status", *SMOKE))
    assert found["train"] == {**dict.fromkeys(STATES, 0), "waiting": 4}
    assert set(found) == {"prepare", "overlap", "pretrain", *RULES[4:]}


def test_status_and_plan_of_a_finished_study(done: Project) -> None:
    found = counts(answer(done, "status", *SMOKE))
    assert all(numbers["done"] and sum(numbers.values()) == numbers["done"] for numbers in found.values())
    assert "everything is made; nothing would run" in answer(done, "plan", *SMOKE)

    done.append("workflow/tokencredit/analysis/figures/figure4.py", "\n# edited\n")
    told = answer(done, "status", *SMOKE)
    assert counts(told)["figure"] == {**dict.fromkeys(STATES, 0), "done": 6, "outdated": 1}
    assert "outdated figure, 1: Params have changed since last execution" in told
    planned = answer(done, "plan", *SMOKE)
    assert [line.split("│")[1].strip() for line in planned.splitlines() if line.startswith("│")] == ["figure", "report"]


def test_status_names_what_failed_its_reason_and_its_log(project: Project) -> None:
    project.replace("config/studies/smoke.yaml", "max_prompt_tokens: 64", "max_prompt_tokens: 2")
    failed = project.run("results/smoke/runs/eapo/seed0/run.json", *SMOKE)
    assert failed.returncode == 1
    told = answer(project, "status", *SMOKE)
    assert counts(told)["train"] == {**dict.fromkeys(STATES, 0), "failed": 1, "waiting": 3}
    (line,) = [line for line in told.splitlines() if line.startswith("failed")]
    log = "results/logs/train/smoke/eapo/seed0.log"
    assert line == f"failed train eapo/seed0: {last_word(project.folder / log)} ({log})"
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
    assert line.endswith(f" on {socket.gethostname()} (results/logs/train/smoke/grpo/seed0.log)")

    after = answer(done, "status", *SMOKE)
    assert counts(after)["train"]["stopped"] == 1
    assert "stopped train grpo/seed0: step " in after
    assert "its workflow is no more" in after


def test_a_run_that_its_own_records_call_invalid_is_done_with_a_note(tmp_path: Path) -> None:
    output = tmp_path / "run.json"
    output.write_text(json.dumps({"invalid": "the sampler's mismatch"}))
    unit = Unit("train", "eapo/seed0", (str(output),), str(tmp_path / "log"))
    found = standing(CONFIG.study("smoke"), unit, None)
    assert (found.state, found.note) == (State.DONE, "invalid: the sampler's mismatch")


def test_a_training_that_saved_and_stopped_is_not_called_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    log = Path("log")
    log.write_text("step 1\rstep 2\nstopped after a checkpoint under x; the same command goes on from there\n")
    unit = Unit("train", "eapo/seed0", ("run.json",), str(log))
    assert standing(CONFIG.study("smoke"), unit, "Missing output files").state == State.STOPPED
    log.write_text("loading\nTraceback (most recent call last):\n  File x\nRuntimeError: no room\nbye\n")
    found = standing(CONFIG.study("smoke"), unit, "Missing output files")
    assert (found.state, found.note) == (State.FAILED, "RuntimeError: no room")
    log.write_text("")
    assert standing(CONFIG.study("smoke"), unit, "Missing output files").note == "ended without a word"
