"""The smoke study with vLLM as its sampler: from nothing to its report, and killed on the way."""

from __future__ import annotations

import random
import shutil
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.workflow.project import ROOT, Project, new_project
from tokencredit import files
from tokencredit.study.rules import Graph

if find_spec("vllm") is None:
    pytest.skip(
        "vLLM is not installed here: make test-vllm runs these in an environment of its own", allow_module_level=True
    )

pytestmark = pytest.mark.workflow
STUDY = ("--config", "study=smoke-vllm")
RUN = "results/smoke-vllm/runs/eapo/seed0"


@pytest.fixture(scope="module")
def sampled_by_vllm(tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = new_project(tmp_path_factory.mktemp("vllm") / "project")
    made.make(*STUDY)
    return made


def test_vllm_trains_and_evaluates_the_study(sampled_by_vllm: Project) -> None:
    folder = sampled_by_vllm.folder
    for target in Graph(ROOT / "config", asked="smoke-vllm").everything("smoke-vllm"):
        assert (folder / target).stat().st_size > 0
    for line in files.read_jsonl(folder / RUN / "metrics.jsonl"):
        assert line["canary_max"] < 1e-4
        assert line["mismatch_kl"] < 1e-8
    assert files.read_json(folder / RUN / "run.json")["invalid"] is None
    evaluated = files.parquet_metadata(folder / "results/smoke-vllm/eval/eapo/seed0/toy-tier1/generations.parquet")
    assert evaluated["engine"] == "vllm"
    assert sampled_by_vllm.rerun(*STUDY) == set()


def test_a_run_that_is_killed_at_any_moment_ends_as_if_it_had_not_been(
    sampled_by_vllm: Project, tmp_path: Path
) -> None:
    project = sampled_by_vllm.copy(tmp_path / "project")
    run = project.folder / RUN
    expected = (run / "metrics.jsonl").read_bytes()
    shutil.rmtree(run)
    lines, more = random.choice([0, 1, 2]), random.uniform(0, 0.5)

    def so_far() -> bool:
        metrics = list(run.glob("work/*/metrics.jsonl"))
        if not metrics or metrics[0].read_bytes().count(b"\n") < lines:
            return False
        time.sleep(more)
        return True

    project.kill(f"{RUN}/run.json", once=so_far, seconds=300)
    project.make("--unlock", f"{RUN}/run.json")
    project.make(f"{RUN}/run.json")
    assert (run / "metrics.jsonl").read_bytes() == expected, f"killed {more:.3f} s after line {lines}"
