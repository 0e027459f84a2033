"""Finished results that stand after a change of code, and what is not accepted."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from tests.workflow.project import Project
from tokencredit import files
from tokencredit.study.acceptance import Acceptance, accepted_codes, record_of

SMOKE = ("--config", "study=smoke")
RUN = "results/smoke/runs/eapo/seed0/run.json"
GENERATIONS = "results/smoke/eval/base/seed0/toy-tier1/generations.parquet"


def refactor(project: Project) -> None:
    """A change in what trains and in what samples, so that jobs behind jobs have another code."""
    for path in ("train/update.py", "evaluate/generate.py"):
        project.append(f"workflow/tokencredit/{path}", "\n_EDITED = len('')\n")


def accept(project: Project, *options: str) -> tuple[int, str]:
    told = ("--study", "smoke", "--reason", "A name was added.", "--by", "A. Tester", *options)
    done = project.python("-m", "tokencredit", "accept", *told)
    return done.returncode, done.stdout


def records(project: Project) -> list[Path]:
    return sorted((project.folder / "results").rglob("*.accepted.jsonl"))


def test_what_was_accepted_stands_and_says_so(done: Project) -> None:
    before = {name: files.sha256(done.folder / name) for name in (RUN, GENERATIONS)}
    refactor(done)
    assert {"train", "generate", "grade"} <= {job.rule for job in done.jobs(*SMOKE)}

    status, said = accept(done)
    assert status == 0, said
    assert re.search(r"\d of train: code \w{12} → \w{12}", said)
    assert {job.rule for job in done.jobs(*SMOKE)} == {"report"}
    assert {name: files.sha256(done.folder / name) for name in before} == before
    line = json.loads(record_of(done.folder / RUN).read_text())
    assert line["sha256"] == before[RUN]
    assert line["before"] == files.read_json(done.folder / RUN)["code_digest"] != line["now"]
    assert (line["by"], line["reason"]) == ("A. Tester", "A name was added.")

    traced = done.python("-m", "tokencredit", "trace", "results/smoke/tables/table1.csv", "eapo", "toy-tier1")
    assert "by A. Tester: code" in traced.stdout
    assert accept(done)[1].startswith("nothing to accept")
    done.make(*SMOKE)
    assert "A name was added." in (done.folder / "results/smoke/index.html").read_text()
    assert done.rerun(*SMOKE) == set()


def test_another_configuration_is_not_accepted(done: Project) -> None:
    """It shows when the audits have been accepted, behind which Snakemake does not look; that is undone."""
    refactor(done)
    done.append("workflow/tokencredit/grading/extract.py", "\n_EDITED = len('')\n")
    done.replace("config/studies/smoke.yaml", "  seed: 0\n", "  seed: 1\n")
    status, said = accept(done)
    assert status == 2
    assert "more than code has changed: results/smoke/eval/" in said
    assert records(done) == []
    assert "audit" in {job.rule for job in done.jobs(*SMOKE)}


def rewrite(path: Path) -> None:
    """Other bytes under the time of before, which Snakemake does not look into."""
    times = path.stat()
    path.write_bytes(path.read_bytes() + b"\n")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (GENERATIONS, f"{GENERATIONS}: is not the file that was recorded"),
        ("results/smoke/runs/eapo/seed0/model/config.json", "runs/eapo/seed0/model: is not the file that was recorded"),
        ("results/data/toy-train/problems.parquet", "was made from another results/data/toy-train/problems.parquet"),
    ],
)
def test_a_file_that_is_not_what_was_recorded_is_not_accepted(name: str, said: str, done: Project) -> None:
    refactor(done)
    rewrite(done.folder / name)
    status, told = accept(done)
    assert status == 2, told
    assert said in told
    assert records(done) == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--rule", "figure"), "--rule: figure: nothing is accepted of it; allowed: prepare, "),
        (("--reason", " "), "--reason: is empty"),
    ],
)
def test_what_is_asked_wrongly_is_refused_in_a_sentence(options: tuple[str, str], said: str, fresh: Project) -> None:
    status, told = accept(fresh, *options)
    assert status == 2
    assert said in told


def test_nothing_is_accepted_beside_a_workflow(project: Project) -> None:
    (project.folder / ".snakemake/locks").mkdir(parents=True)
    (project.folder / ".snakemake/locks/0.output.lock").write_text(RUN)
    assert "a workflow runs, or was killed" in accept(project)[1]


@pytest.mark.parametrize(
    ("steps", "codes"),
    [([], "a"), ([("a", "b"), ("b", "c")], "abc"), ([("b", "c"), ("a", "b")], "ab"), ([("x", "y")], "a")],
)
def test_codes_are_accepted_one_after_the_other(steps: list[tuple[str, str]], codes: str) -> None:
    accepted = [Acceptance("0" * 64, before, now, "somebody", "then", "why") for before, now in steps]
    assert accepted_codes("a", accepted) == set(codes)
