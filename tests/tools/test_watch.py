"""``tokencredit watch``: what it says of a run is what the run's files say, while they are written too."""

from __future__ import annotations

import io
import json
import socket
from pathlib import Path

import pytest
from rich.console import Console

from tokencredit import files
from tokencredit.config import Study, load_study
from tokencredit.study.paths import Paths, RunFolder
from tokencredit.tools.status import State
from tokencredit.tools.watch import runs_of, table
from tokencredit.train.lock import exclusive


@pytest.fixture
def study() -> Study:
    return load_study(Path("config"), "smoke")


def begin(study: Study, results: Path, method: str, steps: int) -> RunFolder:
    folder = Paths(study, results).run(study.row(method, 0))
    work = folder.folder / "work" / "abc"
    work.mkdir(parents=True)
    lines = [{"step": step, "solve_rate": step / 10, "entropy": 0.5} for step in range(1, steps + 1)]
    (work / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"step": 9, "solve')
    times = [
        {"step": line["step"], "seconds_sample": 2.0, "seconds_update": 3.0, "tokens_per_second": 1234.5}
        for line in lines
    ]
    (work / "timing.jsonl").write_text("".join(json.dumps(line) + "\n" for line in times))
    return folder


def log_of(study: Study, results: Path, method: str) -> Path:
    path = Paths(study, results).log("train", f"smoke/{method}/seed0")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def shown(study: Study, results: Path) -> str:
    console = Console(file=io.StringIO(), width=140, color_system=None)
    console.print(table(study, runs_of(study, results)))
    return console.file.getvalue()


def test_a_study_that_never_ran(study: Study, tmp_path: Path) -> None:
    found = runs_of(study, tmp_path)
    assert [each.state for each in found] == [State.WAITING] * len(study.methods)
    assert f"{len(found)} waiting" in shown(study, tmp_path)


def test_a_run_at_work_says_how_long_the_rest_takes(study: Study, tmp_path: Path) -> None:
    folder = begin(study, tmp_path, "eapo", 2)
    with exclusive(folder.folder):
        first = runs_of(study, tmp_path)[0]
        text = shown(study, tmp_path)
    assert (first.run, first.state, first.step, first.node) == ("eapo/seed0", State.RUNNING, 2, socket.gethostname())
    assert first.left == pytest.approx(5.0 * (study.training.steps - 2))
    line = next(line for line in text.splitlines() if "eapo/seed0" in line)
    assert all(
        word in line for word in ("running", f"2/{study.training.steps}", "20 %", "0.500", "1,234", "0 min 05 s")
    )


def test_a_run_that_begins_has_not_failed(study: Study, tmp_path: Path) -> None:
    log_of(study, tmp_path, "eapo").write_text("")
    assert runs_of(study, tmp_path)[0].state == State.STARTED


def test_what_stopped_and_what_failed_say_why(study: Study, tmp_path: Path) -> None:
    begin(study, tmp_path, "eapo", 1)
    log_of(study, tmp_path, "eapo").write_text(
        "stopped after a checkpoint under x; the same command goes on from there\n"
    )
    begin(study, tmp_path, "grpo", 1)
    log_of(study, tmp_path, "grpo").write_text("50%|\rtorch.OutOfMemoryError: no [memory] left\n")
    states = {each.run: (each.state, each.note, each.left) for each in runs_of(study, tmp_path)}
    assert states["grpo/seed0"] == (State.FAILED, "torch.OutOfMemoryError: no [memory] left", None)
    assert states["eapo/seed0"][:2] == (
        State.STOPPED,
        "stopped after a checkpoint under x; the same command goes on from there",
    )
    assert "no [memory] left" in shown(study, tmp_path)


def test_what_is_done_is_read_from_its_own_files(study: Study, tmp_path: Path) -> None:
    folder = begin(study, tmp_path, "eapo", 1)
    (folder.folder / "metrics.jsonl").write_text('{"step": 3, "solve_rate": 0.7, "entropy": 0.1}\n')
    files.write_json(folder.record, {"invalid": "the sampler is another model"})
    (done,) = [each for each in runs_of(study, tmp_path) if each.state == State.DONE]
    assert (done.step, done.solve_rate, done.note) == (3, 0.7, "invalid: the sampler is another model")
