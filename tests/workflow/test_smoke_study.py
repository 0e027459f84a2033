"""The smoke study from nothing to its report; what runs again after a change, and what does not."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from tests.workflow.project import ROOT, Project
from tokencredit.oracle.measure import REST
from tokencredit.study.jobs import RULES
from tokencredit.study.rules import Graph

pytestmark = pytest.mark.workflow
SMOKE = ("--config", "study=smoke")
CELLS = ("grpo", "eapo", "phr", "eapo-without-nhr")


def run_of(method: str) -> str:
    return f"results/smoke/runs/{method}/seed0/run.json"


def trainings(jobs: set[str]) -> set[str]:
    return {output for output in jobs if output.endswith("/run.json")}


def test_everything_is_made_and_then_nothing_is_left_to_do(finished: Project) -> None:
    for target in Graph(ROOT / "config", asked="smoke").everything("smoke"):
        assert (finished.folder / target).stat().st_size > 0
    assert (finished.folder / "results/smoke/index.html").stat().st_size < 2_000_000
    assert finished.rerun(*SMOKE) == set()


def test_the_oracle_measured_the_base_at_its_own_responses(finished: Project) -> None:
    """Every state is a place of a response that the first step stored, with the entropy that training saw there."""
    results = finished.folder / "results/smoke"
    states, branches = (
        pd.read_parquet(results / f"oracle/base/seed0/{name}.parquet") for name in ("states", "branches")
    )
    key = ["problem_id", "sample", "position"]
    for method in CELLS:
        rollouts = pd.read_parquet(results / f"runs/{method}/seed0/rollouts.parquet")
        both = rollouts[rollouts["step"] == 1].merge(states, on=key, suffixes=("", "_measured"))
        assert len(both) == (rollouts["step"] == 1).sum() > 0
        assert (both["token_id"] == both["token_id_measured"]).all()
        assert both["entropy"].to_numpy() == pytest.approx(both["entropy_measured"].to_numpy(), abs=1e-4)
    assert states[key].duplicated().sum() == 0
    tried = branches.groupby([*key, "cell"])
    trials = branches[["right", "wrong", "ungraded"]].sum(axis=1)
    several = tried["token_id"].transform("size") > 1
    rest = branches["token_id"] == REST
    assert rest.any()
    assert (trials[several & ~rest] >= 3).all()
    assert (trials[rest] == 2).all()
    assert (trials[~several] == 0).all()
    assert (trials.groupby([branches[name] for name in [*key, "cell"]]).sum()[tried.size() > 1] >= 8).all()
    assert not (results / "oracle/base/seed0/work").exists()


def test_the_base_model_was_asked_about_the_tokens_that_were_measured(finished: Project) -> None:
    results = finished.folder / "results/smoke"
    folder, key = results / "attribution/seed0", ["problem_id", "cell", "sample", "position", "token_id"]
    states = pd.read_parquet(results / "oracle/base/seed0/states.parquet")
    told, gradients, groups = (
        pd.read_parquet(folder / f"{name}.parquet") for name in ("hindsight", "gradients", "groups")
    )
    both = states.merge(told, on=key, suffixes=("_measured", ""), validate="one_to_one")
    assert len(both) == len(states) == len(told)
    assert both["logprob"].to_numpy() == pytest.approx(both["logprob_measured"].to_numpy(), abs=1e-4)
    assert (told["told_logprob"] - told["logprob"]).abs().max() > 0.01, "the answer changes nothing"
    assert gradients.groupby("method")["share"].sum().to_numpy() == pytest.approx(1, abs=1e-3)
    assert set(groups["method"]) == set(gradients["method"]) <= set(CELLS)
    assert groups["rank"].between(1, groups["responses"] + 1e-9).all()
    for method in set(gradients["method"]):
        stored = pd.read_parquet(results / f"runs/{method}/seed0/rollouts.parquet")
        left_out = stored[(stored["step"] == 1) & ~(stored["keep"] & (stored["advantage"] != 0))]
        own = gradients[gradients["method"] == method].merge(left_out, on=["problem_id", "sample", "position"])
        assert (own["share"] == 0).all()


def test_every_job_left_a_log_and_its_usage(finished: Project) -> None:
    logs = finished.folder / "results/logs"
    assert sorted(path.name for path in (logs / "train/smoke/eapo").iterdir()) == ["seed0.log", "seed0.usage.jsonl"]
    assert all(Path(f"{str(log)[: -len('.log')]}.usage.jsonl").exists() for log in logs.rglob("*.log"))


def test_an_unchanged_file_that_was_touched_runs_nothing(done: Project) -> None:
    for path in ("data/toy-train/problems.parquet", "models/embedded-smoke/model.json", "smoke/audit/toy-tier1.json"):
        (done.folder / "results" / path).touch()
    (done.folder / run_of("eapo")).touch()
    assert done.rerun(*SMOKE) == set()


def test_editing_a_figure_draws_it_again_and_trains_nothing(done: Project) -> None:
    done.append("workflow/tokencredit/analysis/figures/figure4.py", "\n_EDITED = len('')\n")
    assert done.rerun(*SMOKE) == {"results/smoke/figures/figure4.pdf", "results/smoke/index.html"}


def test_a_new_note_makes_the_page_again_and_nothing_else(done: Project) -> None:
    """The first one, which was no input of the page before, one more, and none where all are gone."""
    page = {"results/smoke/index.html"}
    for text in ("first", "second"):
        said = done.python("-m", "tokencredit", "note", "--study", "smoke", "--step", "2", "--by", "A person", text)
        assert "the page shows it when it is made again: snakemake results/smoke/index.html" in said.stdout
        assert done.rerun(*SMOKE) == page
        done.make(*SMOKE)
        assert text in (done.folder / "results/smoke/index.html").read_text(encoding="utf-8")
        assert done.rerun(*SMOKE) == set()
    (done.folder / "results/smoke/notes.jsonl").unlink()
    assert done.rerun(*SMOKE) == page


def test_editing_the_loss_trains_every_cell_again_from_the_same_base(done: Project) -> None:
    done.append("workflow/tokencredit/policy/loss.py", "\n_EDITED = len('')\n")
    jobs = done.jobs(*SMOKE)
    assert trainings({job.outputs[0] for job in jobs}) == {run_of(method) for method in CELLS}
    assert not {"prepare", "pretrain", "audit", "overlap"} & {job.rule for job in jobs}
    assert not any("/eval/base/" in job.outputs[0] for job in jobs)


def test_editing_one_credit_function_trains_its_cells_only(done: Project) -> None:
    done.append("workflow/tokencredit/credit/eapo.py", "\n_EDITED = len('')\n")
    assert trainings(done.rerun(*SMOKE)) == {run_of("eapo"), run_of("eapo-without-nhr")}


def test_changing_a_method_trains_its_cells_only(done: Project) -> None:
    done.replace("config/methods.yaml", "params: {alpha: 0.2, phi: 2.0}", "params: {alpha: 0.25, phi: 2.0}")
    assert trainings(done.rerun(*SMOKE)) == {run_of("eapo"), run_of("eapo-without-nhr")}


def test_changing_the_sampling_of_the_evaluation_trains_nothing(done: Project) -> None:
    done.replace("config/studies/smoke.yaml", "  seed: 0\n", "  seed: 1\n")
    rules = {job.rule for job in done.jobs(*SMOKE)}
    assert "generate" in rules
    assert not {"train", "pretrain", "prepare", "audit"} & rules


def test_changing_a_title_trains_nothing(done: Project) -> None:
    done.replace("config/methods.yaml", "title: EAPO\n", "title: EAPO (v1)\n")
    assert {job.rule for job in done.jobs(*SMOKE)} == {"table", "figure", "report"}


def test_forcing_one_cell_runs_it_and_what_depends_on_it(done: Project) -> None:
    forced = ("--forcerun", run_of("eapo"))
    jobs = done.jobs(*SMOKE, *forced)
    assert trainings({job.outputs[0] for job in jobs}) == {run_of("eapo")}
    assert {job.rule for job in jobs} == {
        *("train", "oracle", "attribute"),
        *("generate", "grade", "score", "table", "figure", "report"),
    }
    evaluated = [job.outputs[0] for job in jobs if job.rule in ("generate", "grade", "score")]
    assert all(output.startswith("results/smoke/eval/eapo/seed0/") for output in evaluated)


def test_the_readme_lists_the_jobs_of_an_ablation_cell(done: Project) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    ((run, arguments, listed),) = re.findall(
        r"    rm -r (.*eapo-without-nhr/.*); snakemake (.*)\n\n((?:    \w+ +results/.*\n)+)", readme
    )
    shutil.rmtree(done.folder / run)
    jobs = done.jobs(*arguments.split())
    assert [tuple(line.split()) for line in listed.splitlines()] == sorted(
        ((job.rule, job.outputs[0]) for job in jobs), key=lambda job: (RULES.index(job[0]), job[1])
    )
    assert f"These {len(jobs)} jobs and no other" in readme


def test_a_run_that_was_lost_is_made_again_though_its_tables_stand(done: Project) -> None:
    """A run that was forced and then killed has no run.json, and everything made from the one before is still there."""
    (done.folder / run_of("eapo")).unlink()
    assert trainings(done.rerun(*SMOKE)) == {run_of("eapo")}


def test_a_killed_run_goes_on_and_ends_as_if_it_had_not_been_killed(finished: Project, done: Project) -> None:
    target = run_of("grpo")
    run = (done.folder / target).parent
    expected = (run / "metrics.jsonl").read_bytes()
    subprocess.run(["rm", "-r", str(run)], check=True)
    done.kill(target, once=lambda: list(run.glob("work/*/checkpoints/step-*")))
    assert not (done.folder / target).exists()
    kept = sorted(path.name for path in run.glob("work/*/checkpoints/step-*"))

    done.make("--unlock", target)
    done.make(target)
    assert kept
    assert (run / "metrics.jsonl").read_bytes() == expected
    assert not (run / "work").exists()
