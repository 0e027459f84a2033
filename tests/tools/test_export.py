"""``tokencredit export``: what it writes is what the runs' files say, while they are written too."""

from __future__ import annotations

import csv
import json
import struct
import sys
from pathlib import Path

import numpy as np
import pytest

from tokencredit import files
from tokencredit.config import Study, load_study
from tokencredit.errors import UserError
from tokencredit.study.paths import Paths, RunFolder
from tokencredit.tools import export as tool
from tokencredit.tools.export import export, steps_of

RUN = "eapo/seed0"


@pytest.fixture
def study() -> Study:
    return load_study(Path("config"), "smoke")


@pytest.fixture
def run(study: Study, tmp_path: Path) -> RunFolder:
    return Paths(study, tmp_path / "results").run(study.row("eapo", 0))


def write(folder: Path, steps: int, more: str = "") -> None:
    """``steps`` lines of metrics and timings, and what is being written."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = [None if step == 2 else 0.1 / step for step in range(1, steps + 1)]
    metrics = [{"step": step, "solve_rate": step / 7, "kept": value} for step, value in enumerate(kept, 1)]
    timing = [{"step": line["step"], "seconds_sample": 2.0, "seconds_update": 0.5} for line in metrics]
    for name, lines in (("metrics", metrics), ("timing", timing)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + more)


def exported(tmp_path: Path, to: str) -> Path:
    export("smoke", to, tmp_path / "out", Path("config"), tmp_path / "results", None)
    return tmp_path / "out" / RUN


def events(run: Path) -> list[tuple[str, int, float, float]]:
    """Tag, step, value and time of every scalar of a run: its files are records with their length before them."""
    from tensorboardX.proto.event_pb2 import Event

    found = []
    for path in sorted(run.glob("events.out.tfevents.*")):
        data, start = path.read_bytes(), 0
        while start < len(data):
            (length,) = struct.unpack("<Q", data[start : start + 8])
            event = Event.FromString(data[start + 12 : start + 12 + length])
            found += [(each.tag, event.step, each.simple_value, event.wall_time) for each in event.summary.value]
            start += length + 16
    return found


def finish(run: RunFolder) -> None:
    files.write_json(run.record, {"files": {"metrics.jsonl": files.sha256(run.metrics)}})


def test_a_table_holds_every_number_as_it_was_stored(run: RunFolder, tmp_path: Path) -> None:
    write(run.folder, 3)
    finish(run)
    path = exported(tmp_path, "csv").with_suffix(".csv")
    with path.open(newline="") as file:
        read = list(csv.DictReader(file))
    stored = [files.read_jsonl(path) for path in (run.metrics, run.timing)]
    expected = [{**metrics, **timing} for metrics, timing in zip(*stored, strict=True)]
    assert [{key: float(value) if value else None for key, value in line.items()} for line in read] == expected


def test_event_files_hold_the_same_numbers_and_how_long_each_step_took(run: RunFolder, tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX")
    write(run.work / "abc", 3, more='{"step": 4, "solve')
    found = events(exported(tmp_path, "tensorboard"))
    expected = {
        (name, step["step"], float(np.float32(value)))
        for step in steps_of(run)
        for name, value in step.items()
        if name not in ("step", "ended") and value is not None
    }
    assert {(tag, step, value) for tag, step, value, _ in found} == expected
    assert len(found) == len(expected) == 3 * 4 - 1
    times = {step: time for _, step, _, time in found}
    assert [times[2] - times[1], times[3] - times[2]] == pytest.approx([2.5, 2.5])


def test_a_run_is_followed_to_its_end_through_a_kill_and_a_change_of_its_settings(
    study: Study, run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each look finds another state; a step is never written twice, and what a run of other settings left is gone."""
    pytest.importorskip("tensorboardX")
    held = []

    def wait(seconds: float) -> None:
        held.append([step for tag, step, *_ in events(tmp_path / "out" / RUN) if tag == "solve_rate"])
        states[len(held) - 1]()

    def done() -> None:
        for row in study.rows:
            if row.method:
                folder = Paths(study, tmp_path / "results").run(row)
                write(folder.folder, 3)
                finish(folder)

    other = run.work / "of other settings"
    states = [
        lambda: write(run.work / "abc", 2),
        lambda: write(run.work / "abc", 1),
        lambda: write(run.work / "abc", 3),
        lambda: (write(other, 1), (other / "metrics.jsonl").write_text('{"step": 1, "solve_rate": 0.9}\n')),
        done,
    ]
    monkeypatch.setattr(tool.time, "sleep", wait)
    write(run.work / "abc", 1)
    export("smoke", "tensorboard", tmp_path / "out", Path("config"), tmp_path / "results", 1.0)
    assert held == [[1], [1, 2], [1, 2], [1, 2, 3], [1]]
    assert sorted(path.parent.name for path in (tmp_path / "out").glob("*/*")) == sorted(study.methods)
    assert [step for tag, step, *_ in events(tmp_path / "out" / RUN) if tag == "solve_rate"] == [1, 2, 3]


def test_another_export_takes_the_place_of_the_first_and_leaves_files_of_others(run: RunFolder, tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX")
    write(run.work / "abc", 1)
    made = exported(tmp_path, "tensorboard")
    (made / "events.out.tfevents.1.other").write_bytes(b"")
    write(run.work / "abc", 2)
    exported(tmp_path, "tensorboard")
    assert [step for tag, step, *_ in events(made) if tag == "solve_rate"] == [1, 2]
    assert (made / "events.out.tfevents.1.other").exists()


def test_what_cannot_be_exported_is_one_sentence(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match="no run of study smoke has a step yet; train first"):
        exported(tmp_path, "csv")
    write(run.folder, 2)
    finish(run)
    write(run.folder, 3)
    with pytest.raises(UserError, match=r"is not the file that .* was written with"):
        exported(tmp_path, "csv")
    monkeypatch.setitem(sys.modules, "tensorboardX.event_file_writer", None)
    with pytest.raises(UserError, match="the package tensorboardX is not installed: pip install tensorboardX"):
        exported(tmp_path, "tensorboard")
    assert not (tmp_path / "out").exists()
