"""The files behind a table or figure, each with its digest as it was recorded when the number was made and as it is now.

Each file records the digests of the files that it was made from. The ``.json`` of a table or figure: its scores, runs, measured credit
and overlap reports. ``scores.parquet``: the generations, the grades, the problems and the model. The tables of measured credit: the
responses, the problems and the model. ``run.json``: the tables of the run, its base model and its problems. Nothing but digests is
computed here. For a base model from the Hub the digest in its manifest counts, because its weights are not below the results.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from tokencredit import files
from tokencredit.config.claim_keys import BASE
from tokencredit.errors import UserError
from tokencredit.study.acceptance import acceptances


@dataclass(frozen=True)
class Source:
    """A file or folder, what recorded it, what it says of itself, and what it was made from.

    ``recorded``: the digest in the file that was made from it, None if none was recorded; ``now``: its digest, None if it is missing.
    """

    path: Path
    recorded: str | None
    now: str | None
    facts: dict[str, str] = field(default_factory=dict)
    behind: tuple[Source, ...] = ()

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

    def all(self) -> Iterator[Source]:
        """This one and all behind it."""
        yield self
        for source in self.behind:
            yield from source.all()


class Lineage:
    """The sources of what is below one folder of results.

    ``datasets``: the data set of each benchmark; ``home``: the study below which the runs are. No record names these two.
    """

    def __init__(self, results: Path, datasets: dict[str, str], home: str) -> None:
        self.results, self.datasets, self.home = results, datasets, home
        self.digest = cache(self._digest)

    def shown(self, path: Path, origin: dict[str, Any], names: Iterable[str], benchmarks: set[str]) -> Source:
        """A table's or figure's CSV, with ``names`` of the files in its ``origin`` behind it.

        ``benchmarks``: those whose responses are followed.
        """
        recorded = {name: origin["files"][name] for name in names}
        sources, beneath, followed = [], set(), set()
        for name, digest in recorded.items():
            if name.endswith("/scores.parquet"):
                study, _, *row = Path(name).parent.parts
                run = Path(study, "runs", *row, "run.json").as_posix()
                sources.append(self.scores(self.results / name, digest, origin["files"].get(run), benchmarks))
                beneath.add(run)
        runs = {name for name in recorded if name.endswith("/run.json")} | (beneath & origin["files"].keys())
        for name, digest in recorded.items():
            if name.endswith("/run.json") and name not in beneath:
                sources.append(self.run(self.results / name, digest))
            elif _is_measurement(name):
                sources.append(self.measurement(self.results / name, digest, origin["files"], followed))
            elif not name.endswith(("/scores.parquet", "/run.json")):
                # Files of a run stand below its run.json, where that is followed.
                below = Path(name).with_name("run.json").as_posix() in runs
                sources += [] if below else [self._source(self.results / name, digest)]
        facts = {"code": origin["code_digest"][:12]}
        return self._source(path, origin.get("made", {}).get(path.name), facts, sources)

    def scores(self, path: Path, recorded: str | None, run: str | None, benchmarks: set[str]) -> Source:
        """The scores of a row; ``run``: the recorded digest of the ``run.json`` of its model, if it was trained."""
        metadata, facts = self._metadata(path)
        entries = metadata.get("benchmarks", {})
        study = path.parents[3]
        sources = []
        for name, entry in entries.items():
            if name not in benchmarks:
                continue
            settings = {key: entry[key] for key in ("engine", "dtype", "evaluation_seed")}
            how = {"settings": _listed(settings | entry["sampling"]), **_about(entry)}
            grader = {"grader": f"{entry['grader']}, {_listed(entry['grading'])}"}
            sources += [
                self._source(path.parent / name / "grades.parquet", entry["grades_sha256"], grader),
                self._source(path.parent / name / "generations.parquet", entry["generations_sha256"], how),
                # Those that were answered, and those that were graded by: the same, since scoring asks for it.
                *(
                    self._problems(self.datasets.get(name, name), digest)
                    for digest in dict.fromkeys(
                        [entry["data_sha256"], entry.get("problems_sha256", entry["data_sha256"])]
                    )
                ),
                self._source(study / "audit" / f"{name}.json", None),
            ]
        sources += [self._model(path, next(iter(entries.values())), run)] if entries else []
        return self._source(path, recorded, facts, sources)

    def measurement(self, path: Path, recorded: str | None, runs: dict[str, str], followed: set[str]) -> Source:
        """A table of measured credit or of attribution, with the responses behind it, their runs, the problems and the model.

        ``runs``: recorded digests, those of a ``run.json`` by its name among them. ``followed``: what was measured is added; both tables
        of a measurement say the same of themselves, and what is behind is followed once.
        """
        about, facts = self._metadata(path)
        if not about:
            return self._source(path, recorded, facts)
        settings = {"policy": about["policy"], "seed": about["seed"], "step": about["step"]}
        measured = {"oracle": _listed(about["oracle"])} if "oracle" in about else {}
        facts |= {"settings": _listed(settings), **measured, **_about(about)}
        same = files.digest_of(about)
        if same in followed:
            return self._source(path, recorded, facts)
        followed.add(same)
        sources = []
        for method, digest in about["rollouts_sha256"].items():
            run = Path(self.home, "runs", method, f"seed{about['seed']}", "run.json")
            behind = [self.run(self.results / run, runs.get(run.as_posix()))]
            sources.append(self._source(self.results / run.with_name("rollouts.parquet"), digest, behind=behind))
        sources += [self._problems(name, digest) for name, digest in about["data_sha256"].items()]
        return self._source(path, recorded, facts, [*sources, *self._measured_model(about)])

    def run(self, path: Path, recorded: str | None) -> Source:
        """A training run, with its tables, its model's base, its teacher and its problems behind it."""
        run, facts = self._json(path)
        if not run:
            return self._source(path, recorded, facts)
        settings = {name: run[name] for name in ("method", "seed", "steps")}
        facts |= {"settings": _listed(settings | {"config": run["config_digest"][:12]}), **_about(run)}
        made = [self._source(path.parent / name, digest) for name, digest in run["files"].items()]
        bases = [(run["model"], run["digests"]["model"])]
        if teacher := run.get("teacher"):
            bases.append((teacher, run["digests"]["teacher"]))
        read = [self._base(model, digest) for model, digest in bases]
        for name, digest in run["digests"].items():
            if name.startswith("data "):
                read.append(self._problems(name.removeprefix("data "), digest))
        return self._source(path, recorded, facts, [*made, *read])

    def _model(self, scores: Path, entry: dict[str, Any], run: str | None) -> Source:
        """What made the responses: the model of a training run with that run behind it, or a base model's folder."""
        trained = scores.parents[3] / "runs" / scores.parent.relative_to(scores.parents[2])
        if run is None and not trained.is_dir():
            return self._source(self.results / "models" / entry["model"], entry["model_sha256"])
        return self._source(trained / "model", entry["model_sha256"], behind=[self.run(trained / "run.json", run)])

    def _measured_model(self, about: dict[str, Any]) -> list[Source]:
        """The model whose credit was measured: of a trained method its run's, else the one that the measured runs say they began with."""
        runs, seed = self.results / self.home / "runs", f"seed{about['seed']}"
        if about["policy"] != BASE:
            return [self._source(runs / about["policy"] / seed / "model", about["model_sha256"])]
        began = [self._json(runs / method / seed / "run.json")[0] for method in about["rollouts_sha256"]]
        names = sorted({run["model"]["model"] for run in began if run})
        return [self._source(self.results / "models" / name, about["model_sha256"]) for name in names]

    def _base(self, model: dict[str, Any], recorded: str) -> Source:
        """A model that training began with or learnt from, by its manifest, which names the folder of one that is no base model."""
        folder = self.results / model.get("folder", f"models/{model['model']}")
        weights = folder / "model.safetensors"
        if weights.is_file():
            return self._source(weights, recorded)
        manifest, facts = self._json(folder / "model.json")
        return Source(folder / "model.json", recorded, manifest.get("sha256"), facts)

    def _problems(self, dataset: str, recorded: str) -> Source:
        return self._source(self.results / "data" / dataset / "problems.parquet", recorded)

    def _source(
        self, path: Path, recorded: str | None, facts: dict[str, str] | None = None, behind: Iterable[Source] = ()
    ) -> Source:
        accepted = [str(each) for each in acceptances(path, self.digest(path))]
        facts = (facts or {}) | ({"accepted": "; ".join(accepted)} if accepted else {})
        return Source(path, recorded, self.digest(path), facts, tuple(behind))

    def _digest(self, path: Path) -> str | None:
        return files.sha256(path) if path.exists() else None

    def _metadata(self, path: Path) -> tuple[dict[str, Any], dict[str, str]]:
        return _read(files.parquet_metadata, path)

    def _json(self, path: Path) -> tuple[dict[str, Any], dict[str, str]]:
        return _read(files.read_json, path)


def _is_measurement(name: str) -> bool:
    return Path(name).parts[1:2] in (("oracle",), ("attribution",))


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
