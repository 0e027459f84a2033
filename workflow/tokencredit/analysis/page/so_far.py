"""What of a study is there while it runs: the runs that are done, and the tables and figures that can be made of them.

A table or figure whose files are all there is made of the whole study. Of the others most can be made of less: of the study *cut* to
methods and seeds whose runs are done, or are scored. What all runs decide together, an experiment, a claim or a verdict, waits for them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any

from tokencredit import files
from tokencredit.analysis import figures, tables
from tokencredit.analysis.store import Store
from tokencredit.config import Row, Study
from tokencredit.config.claim_keys import BASE
from tokencredit.config.study_keys import Oracle
from tokencredit.errors import UserError
from tokencredit.study import code
from tokencredit.study.exhibits import Exhibit, Kind, exhibits_of
from tokencredit.study.measurements import measured_rows
from tokencredit.study.paths import Paths

FOLDER = "so-far"  # below that of the study: the page, and the tables and figures that it is made of
POINTS = 100  # of the curve of a run, at most
_MAKERS = {"table": tables.make, "figure": figures.make}


@dataclass(frozen=True)
class RunLine:
    """A training run that began. ``learned``: its solve rate by step; ``curve``: the same as the points of a line in a box of 100 by 20.

    ``solve_rate`` (a share), ``entropy`` (nats) and ``tokens_per_second`` of its last step, ``left`` (seconds): None where not known.
    """

    name: str
    state: str
    step: int
    learned: Mapping[int, float]
    curve: str
    solve_rate: float | None
    entropy: float | None
    tokens_per_second: float | None
    left: float | None
    note: str


def some_points(rates: Mapping[int, float]) -> list[tuple[int, float]]:
    """As many points of a curve as a line needs, the last among them."""
    points = list(rates.items())
    apart = -(-len(points) // POINTS) or 1
    return points[::-apart][::-1]


@dataclass(frozen=True)
class SoFar:
    """``said``: in one sentence what is there and what is missing; ``runs`` that began; ``cut``: the runs that parts of the page are about.

    ``waiting``: the title of each table and figure that is missing, and why.
    """

    said: str
    runs: Sequence[RunLine]
    cut: Sequence[str]
    waiting: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Available:
    """What a page is made from. ``made``: each table and figure with the store that it was made from.

    ``trained``: the store of the runs that are done, None where none is. ``so_far``: None of a finished study.
    """

    whole: Store
    made: dict[tuple[Kind, str], Store]
    trained: Store | None
    so_far: SoFar | None = None

    @classmethod
    def everything(cls, store: Store) -> Available:
        """All of a finished study."""
        return cls(store, {(entry.kind, entry.name): store for entry in exhibits_of(store.study)}, store)


def folder_of(paths: Paths) -> Path:
    """Where the page of a study that runs is, with its tables and figures."""
    return paths.own / FOLDER


def available(study: Study, results: Path, said: str, runs: Sequence[RunLine]) -> Available:
    """What is there of a study that runs; tables and figures are made where the files that they are made from have changed.

    ``said``: how far training is, the beginning of ``SoFar.said``.
    """
    whole = _StoreSoFar(study, results)
    done = [row for row in study.rows if row.method and whole.paths.run(row).record.is_file()]
    scored = [row for row in study.rows if whole.paths.evaluation(row).scores.is_file()]
    trained, evaluated = (_cut(whole, rows, scored) for rows in (done, [row for row in done if row in scored]))
    made: dict[tuple[Kind, str], Store] = {}
    waiting: list[tuple[str, str]] = []
    for entry in exhibits_of(study):
        stores = [whole, *(store for store in (trained, evaluated) if store and not entry.optional)]
        store = next((store for store in stores if _can_be_made(entry, store)), None)
        try:
            if store is None:
                raise UserError(_missing(entry, whole.paths))
            if not _is_made(entry, store):
                _MAKERS[entry.kind](store, entry.name, store.paths.origin(entry.kind, entry.name).parent)
            made[entry.kind, entry.name] = store
        except UserError as error:
            waiting.append((entry.title, str(error)))
    said += f", {len(scored)} of {len(study.rows)} models scored"
    said += f", {len(made)} of {len(made) + len(waiting)} tables and figures made."
    cut = [
        f"{what}: {_in_words(store.study, among)}."
        for what, store, among in (("Training", trained, done), ("Scores", evaluated, scored))
        if store and store.study.rows != study.rows
    ]
    return Available(whole, made, trained, SoFar(said, runs, cut, waiting))


def grid(rows: Collection[Row]) -> tuple[list[str], list[int]]:
    """Methods and seeds of which each has a row with each: as many rows as there are for seeds that two methods share, or one has."""
    seeds: dict[str, list[int]] = {}
    for row in rows:
        seeds.setdefault(row.name, []).append(row.seed)
    grids = []
    for one, other in combinations_with_replacement(seeds.values(), 2):
        if shared := [seed for seed in one if seed in other]:
            grids.append(([name for name, own in seeds.items() if {*shared} <= {*own}], shared))
    return max(grids, key=lambda grid: (len(grid[0]) * len(grid[1]), len(grid[0])), default=([], []))


class _StoreSoFar(Store):
    """A store of a study that runs: tables and figures are in a folder apart, audits and overlaps are those that are there."""

    def __init__(self, study: Study, results: Path) -> None:
        super().__init__(study, results)
        self.paths = _PathsSoFar(study, results)

    @cached_property
    def audits(self) -> dict[str, dict[str, Any]]:
        paths = {name: self.paths.audit(name) for name in self.study.benchmarks}
        return {name: files.read_json(path) for name, path in paths.items() if path.is_file()}

    @cached_property
    def overlaps(self) -> dict[str, list[dict[str, Any]]]:
        return {
            name: [
                files.read_json(path)
                for train in self.study.training.datasets
                if (path := self.paths.overlap(train, benchmark.dataset)).is_file()
            ]
            for name, benchmark in self.study.benchmarks.items()
        }


class _PathsSoFar(Paths):
    def table(self, name: str, suffix: str = "csv") -> Path:
        return folder_of(self) / "tables" / f"{name}.{suffix}"

    def figure(self, name: str, suffix: str = "csv") -> Path:
        return folder_of(self) / "figures" / f"{name}.{suffix}"


def _cut(whole: Store, rows: Collection[Row], scored: Collection[Row]) -> Store | None:
    """The study with methods and seeds of which each has one of ``rows`` with each, and with the untrained models that are scored."""
    study, file = whole.study, whole.study.file
    methods, seeds = grid([row for row in rows if row.method])
    if not methods:
        return None
    names = {row.name for row in scored}
    beside = [row for row in study.evaluation.rows if row.name in names]
    changed = {
        "reference": study.reference if study.reference in methods else methods[0],
        "training": study.training.model_copy(update={"methods": methods, "seeds": seeds}),
        "evaluation": study.evaluation.model_copy(update={"rows": beside}),
        "experiments": {},
    }
    cut = file.measured_by(_measured(whole, methods, seeds)).model_copy(update=changed)
    return _StoreSoFar(Study(study.name, cut, study.config, study.whole), whole.results)


def _measured(whole: Store, methods: list[str], seeds: list[int]) -> Oracle | None:
    """The study's measurement of those policies that are measured under all of ``seeds``."""
    there: dict[str, bool] = {}
    for row in measured_rows(whole.study):
        if row.seed in seeds and row.name in (BASE, *methods):
            is_there = all(path.is_file() for path in whole.paths.measurement(row).tables)
            there[row.name] = there.get(row.name, True) and is_there
    policies = [name for name, all_there in there.items() if all_there]
    return whole.study.oracle.model_copy(update={"policies": policies}) if policies else None


def _can_be_made(entry: Exhibit, store: Store) -> bool:
    return entry.when(store.study) and all(path.is_file() for path in entry.inputs(store.paths))


def _is_made(entry: Exhibit, store: Store) -> bool:
    """Whether a table or figure is there, made by this code of these files as they are."""
    origin, inputs = store.paths.origin(entry.kind, entry.name), entry.inputs(store.paths)
    if not origin.is_file() or any(path.stat().st_mtime > origin.stat().st_mtime for path in inputs):
        return False
    record = files.read_json(origin)
    same_files = record["files"].keys() == {store.paths.relative(path) for path in inputs}
    return same_files and record["code_digest"] == code.exhibit(store.study, entry.kind, entry.name)


def _missing(entry: Exhibit, paths: Paths) -> str:
    inputs = entry.inputs(paths)
    missing = [paths.relative(path) for path in inputs if not path.is_file()]
    return f"{len(missing)} of {len(inputs)} files are missing, the first of them {missing[0]}"


def _in_words(study: Study, among: Collection[Row]) -> str:
    """The rows of a study that are ``among`` others, and its seeds."""
    seeds = study.training.seeds
    titles = ", ".join(dict.fromkeys(row.title for row in study.rows if row in among))
    return f"{titles}; training {'seed' if len(seeds) == 1 else 'seeds'} {', '.join(map(str, seeds))}"
