"""``tokencredit export``: the steps of every training run of a study, for tools that show training: TensorBoard's event files, or CSV.

Each run is one file or folder, named as its row. Names are those of metrics.jsonl and timing.jsonl. No service is asked.
"""

from __future__ import annotations

import contextlib
import csv
import io
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokencredit import cli, files
from tokencredit.config import load_study
from tokencredit.errors import UserError
from tokencredit.study.paths import Paths, RunFolder
from tokencredit.tools.status import changed
from tokencredit.tools.steps import lines, step_files

if TYPE_CHECKING:
    from tensorboardX.event_file_writer import EventsWriter
    from tensorboardX.proto.event_pb2 import Event

OURS = ".tokencredit"  # how the event files made here end; those of others are left alone

Steps = list[dict[str, Any]]


def export(name: str, to: str, out: Path, config: Path, results: Path, every: float | None) -> None:
    """Write the runs of a study below ``out``; with ``every``, again after so many seconds until Ctrl-C or the last run is done."""
    study = load_study(config, name)
    paths, kind = Paths(study, results), {"tensorboard": EventFile, "csv": Table}[to]
    runs = {row.path: (paths.run(row), kind(out / row.path)) for row in study.rows if row.method}
    counts: dict[str, int] = {}
    with contextlib.ExitStack() as open_files, contextlib.suppress(KeyboardInterrupt):
        for _, exported in runs.values():
            open_files.callback(exported.close)
        while True:
            done = all(folder.record.exists() for folder, _ in runs.values())
            for run, (folder, exported) in runs.items():
                if steps := steps_of(folder):
                    exported.update(steps)
                    counts[run] = len(steps)
            if done or every is None:
                break
            time.sleep(every)
    if not counts:
        raise UserError(
            f"{paths.home / 'runs'}: no run of study {name} has a step yet; train first: snakemake --config study={name}"
        )
    print(f"{sum(counts.values())} steps of {len(counts)} of {len(runs)} runs")
    cli.made([out])


def steps_of(folder: RunFolder) -> Steps:
    """The steps of a run in order, each with what was measured, the seconds that it took, and ``ended`` (seconds since the epoch).

    A run that nobody began has none. Raises ``UserError`` for a finished run whose metrics are not those that its record names.
    """
    found = step_files(folder)
    if found is None:
        return []
    metrics, timing = found
    if metrics == folder.metrics:
        files.check_run_file(metrics)
    times = {line["step"]: line for line in lines(timing)}
    steps = [line | times.get(line["step"], {}) for line in lines(metrics)]
    ended = changed(metrics)  # when the last step did; records hold durations alone
    for step in reversed(steps):
        step["ended"] = ended
        ended -= sum(value for name, value in step.items() if name.startswith("seconds_"))
    return steps


class Table:
    """A CSV: a line for each step, a column for each number, empty where it was not measured."""

    def __init__(self, run: Path) -> None:
        self._path, self._steps = run.with_name(f"{run.name}.csv"), []

    def update(self, steps: Steps) -> None:
        """Write the file anew, where the run is further."""
        steps = [{name: value for name, value in step.items() if name != "ended"} for step in steps]
        if steps == self._steps:
            return
        text = io.StringIO()
        table = csv.DictWriter(text, dict.fromkeys(name for step in steps for name in step), lineterminator="\n")
        table.writeheader()
        table.writerows(steps)
        files.write_text(self._path, text.getvalue())
        self._steps = steps

    def close(self) -> None:
        """Nothing is open."""


class EventFile:
    """TensorBoard's scalars of a run in single precision, a tag for each number."""

    def __init__(self, run: Path) -> None:
        """Raises ``UserError`` where the package that writes the file is not installed."""
        self._run, self._held = run, []
        self._new, self._event = _writer_and_event()
        self._writer: EventsWriter | None = None

    def update(self, steps: Steps) -> None:
        """Append the steps that are new, or begin anew where others came in the place of those that were written."""
        numbers = [_numbers(step) for step in steps]
        if numbers == self._held[: len(numbers)]:  # after a kill the steps since the checkpoint are missing for a while
            return
        if self._writer is None or numbers[: len(self._held)] != self._held:
            self._begin()
        for step, values in list(zip(steps, numbers, strict=True))[len(self._held) :]:
            scalars = [{"tag": name, "simple_value": value} for name, value in values.items()]
            event = self._event(wall_time=step["ended"], step=step["step"], summary={"value": scalars})
            self._writer.write_event(event)
        self._writer.flush()
        self._held = numbers

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()

    def _begin(self) -> None:
        """A new file, in the place of an earlier export, beside which TensorBoard would show every step twice."""
        self.close()
        self._run.mkdir(parents=True, exist_ok=True)
        for path in self._run.glob(f"events.out.tfevents.*{OURS}"):
            path.unlink()
        self._writer, self._held = self._new(str(self._run / "events"), OURS), []


def _writer_and_event() -> tuple[type[EventsWriter], type[Event]]:
    try:
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto.event_pb2 import Event
    except ImportError as error:
        raise UserError(
            "--to tensorboard: the package tensorboardX is not installed: pip install tensorboardX, or take --to csv, which needs none."
        ) from error
    return EventsWriter, Event


def _numbers(step: dict[str, Any]) -> dict[str, float]:
    return {
        name: value for name, value in step.items() if name not in ("step", "ended") and isinstance(value, int | float)
    }
