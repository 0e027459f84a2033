"""The files behind a table or figure, each with its digest as it was recorded when the number was made and as it is now.

Who records what: a table's or figure's ``.json`` its own files, scores, runs and overlap reports; ``scores.parquet`` the generations, the
grades, the problems and the model behind it; ``run.json`` the tables of the run, its base model and its problems. Nothing is computed but
digests. A base model that came from the Hub counts by the digest in its manifest, for its weights are not below the results.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from tokencredit import files
from tokencredit.errors import UserError


@dataclass(frozen=True)
class Link:
    """A file or folder, what recorded it, what it says of itself, and what it was made from.

    ``recorded``: the digest in what was made from it, None where nothing holds one; ``now``: its digest, None where it is not there.
    """

    path: Path
    recorded: str | None
    now: str | None
    facts: dict[str, str] = field(default_factory=dict)
    behind: tuple[Link, ...] = ()

    @property
    def state(self) -> str:
        """``missing``, ``not recorded``, ``changed`` or ``as recorded``."""
        if self.now is None:
            return "missing"
        if self.recorded is None:
            return "not recorded"
        return "as recorded" if self.now == self.recorded else "changed"

    @property
    def sentence(self) -> str:
        """What is wrong with it; empty where nothing is."""
        if self.state == "missing":
            return f"{self.path}: is not there" + (f"; sha256 {self.recorded} was recorded." if self.recorded else ".")
        if self.state == "changed":
            return f"{self.path}: has changed: sha256 {self.now} now, {self.recorded} when the number was made."
        return ""

    def all(self) -> Iterator[Link]:
        """This one and all behind it."""
        yield self
        for link in self.behind:
            yield from link.all()


class Chain:
    """The links below one folder of results. ``datasets``: the data set of each benchmark, which no record names."""

    def __init__(self, results: Path, datasets: dict[str, str]) -> None:
        self.results, self.datasets = results, datasets
        self.digest = cache(self._digest)

    def shown(self, path: Path, origin: dict[str, Any], names: Iterable[str], benchmarks: set[str]) -> Link:
        """A table's or figure's CSV, with ``names`` of the files in its ``origin`` behind it.

        ``benchmarks``: those whose responses are followed.
        """
        recorded = {name: origin["files"][name] for name in names}
        links, beneath = [], set()
        for name, digest in recorded.items():
            if name.endswith("/scores.parquet"):
                study, _, *row = Path(name).parent.parts
                run = Path(study, "runs", *row, "run.json").as_posix()
                links.append(self.scores(self.results / name, digest, origin["files"].get(run), benchmarks))
                beneath.add(run)
        runs = {name for name in recorded if name.endswith("/run.json")} | (beneath & origin["files"].keys())
        for name, digest in recorded.items():
            if name.endswith("/run.json") and name not in beneath:
                links.append(self.run(self.results / name, digest))
            elif not name.endswith(("/scores.parquet", "/run.json")):
                # Files of a run stand below its run.json, where that is followed.
                below = Path(name).with_name("run.json").as_posix() in runs
                links += [] if below else [self._link(self.results / name, digest)]
        facts = {"code": origin["code_digest"][:12]}
        return self._link(path, origin.get("made", {}).get(path.name), facts, links)

    def scores(self, path: Path, recorded: str | None, run: str | None, benchmarks: set[str]) -> Link:
        """The scores of a row; ``run``: the recorded digest of the ``run.json`` of its model, if it was trained."""
        metadata, facts = self._metadata(path)
        entries = metadata.get("benchmarks", {})
        study = path.parents[3]
        links = []
        for name, entry in entries.items():
            if name not in benchmarks:
                continue
            settings = {key: entry[key] for key in ("engine", "dtype", "evaluation_seed")}
            how = {"settings": _listed(settings | entry["sampling"]), **_about(entry)}
            grader = {"grader": f"{entry['grader']}, {_listed(entry['grading'])}"}
            links += [
                self._link(path.parent / name / "grades.parquet", entry["grades_sha256"], grader),
                self._link(path.parent / name / "generations.parquet", entry["generations_sha256"], how),
                # Those that were answered, and those that were graded by: the same, since scoring asks for it.
                *(
                    self._problems(self.datasets.get(name, name), digest)
                    for digest in dict.fromkeys(
                        [entry["data_sha256"], entry.get("problems_sha256", entry["data_sha256"])]
                    )
                ),
                self._link(study / "audit" / f"{name}.json", None),
            ]
        links += [self._model(path, next(iter(entries.values())), run)] if entries else []
        return self._link(path, recorded, facts, links)

    def run(self, path: Path, recorded: str | None) -> Link:
        """A training run, with its tables, its model's base, its teacher and its problems behind it."""
        run, facts = self._json(path)
        if not run:
            return self._link(path, recorded, facts)
        settings = {name: run[name] for name in ("method", "seed", "steps")}
        facts |= {"settings": _listed(settings | {"config": run["config_digest"][:12]}), **_about(run)}
        made = [self._link(path.parent / name, digest) for name, digest in run["files"].items()]
        bases = [(run["model"]["model"], run["digests"]["model"])]
        if teacher := run.get("teacher"):
            bases.append((teacher["model"], run["digests"]["teacher"]))
        read = [self._base(name, digest) for name, digest in bases]
        for name, digest in run["digests"].items():
            if name.startswith("data "):
                read.append(self._problems(name.removeprefix("data "), digest))
        return self._link(path, recorded, facts, [*made, *read])

    def _model(self, scores: Path, entry: dict[str, Any], run: str | None) -> Link:
        """What made the responses: the model of a training run with that run behind it, or a base model's folder."""
        trained = scores.parents[3] / "runs" / scores.parent.relative_to(scores.parents[2])
        if run is None and not trained.is_dir():
            return self._link(self.results / "models" / entry["model"], entry["model_sha256"])
        return self._link(trained / "model", entry["model_sha256"], behind=[self.run(trained / "run.json", run)])

    def _base(self, name: str, recorded: str) -> Link:
        folder = self.results / "models" / name
        weights = folder / "model.safetensors"
        if weights.is_file():
            return self._link(weights, recorded)
        manifest, facts = self._json(folder / "model.json")
        return Link(folder / "model.json", recorded, manifest.get("sha256"), facts)

    def _problems(self, dataset: str, recorded: str) -> Link:
        return self._link(self.results / "data" / dataset / "problems.parquet", recorded)

    def _link(
        self, path: Path, recorded: str | None, facts: dict[str, str] | None = None, behind: Iterable[Link] = ()
    ) -> Link:
        return Link(path, recorded, self.digest(path), facts or {}, tuple(behind))

    def _digest(self, path: Path) -> str | None:
        return files.sha256(path) if path.exists() else None

    def _metadata(self, path: Path) -> tuple[dict[str, Any], dict[str, str]]:
        return _read(files.parquet_metadata, path)

    def _json(self, path: Path) -> tuple[dict[str, Any], dict[str, str]]:
        return _read(files.read_json, path)


def _read(reader: Any, path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """What a file says; a file that cannot be read says nothing, and the reason is the fact about it."""
    try:
        return reader(path), {}
    except UserError as error:
        return {}, {"what it was made from": f"unknown: {error}"}


def _about(record: dict[str, Any]) -> dict[str, str]:
    return {"code": record["code_digest"][:12], "environment": _listed(record["environment"])}


def _listed(settings: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items())
