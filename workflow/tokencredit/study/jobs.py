"""The jobs of a study as the configuration has them, without Snakemake: what each makes, and where it logs.

``dry-run`` compares the graph with this list, ``plan`` estimates its jobs, and ``status`` looks them up.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from tokencredit.config import EmbeddedModel, Row, Study
from tokencredit.study import exhibits
from tokencredit.study.measurements import measured_rows

# In the order in which a study goes through them.
RULES = (
    "prepare",
    "overlap",
    "pretrain",
    "fetch",
    "audit",
    "train",
    "oracle",
    "generate",
    "grade",
    "score",
    "table",
    "figure",
    "report",
)
_MADE = {"table": ("csv", "tex", "json"), "figure": ("pdf", "png", "csv", "json")}


@dataclass(frozen=True)
class Unit:
    """One job. ``name``: its name among the jobs of its rule; ``row``, ``benchmark``: what the job is about, None if not about one."""

    rule: str
    name: str
    outputs: tuple[str, ...]
    log: str
    row: Row | None = None
    benchmark: str | None = None

    def __str__(self) -> str:
        return f"{self.rule} {self.name}"

    @property
    def usage(self) -> str:
        """Where Snakemake writes what the job took, once it has ended well."""
        return f"{self.log.removesuffix('.log')}.usage.jsonl"

    def below(self, results: str) -> Unit:
        """The same with its files below the results folder."""
        outputs = tuple(f"{results}/{path}" for path in self.outputs)
        return replace(self, outputs=outputs, log=f"{results}/logs/{self.rule}/{self.log}.log")


def units_of(study: Study, results: str = "results") -> list[Unit]:
    """Every job of ``study``, those that it shares with other studies too, in the order of ``RULES``."""
    units = [unit.below(results) for unit in [*_shared(study), *_of_rows(study), *_measured(study), *_shown(study)]]
    return sorted(units, key=lambda unit: RULES.index(unit.rule))


def _shared(study: Study) -> list[Unit]:
    """What is made of problems and models alone; audits are a study's own, or its whole's."""
    config = study.config
    tested = [benchmark.dataset for benchmark in study.benchmarks.values()]
    watched = config.benchmarks[study.training.curve.benchmark].dataset
    datasets = dict.fromkeys([*study.training.datasets, *tested, watched])
    overlaps = {PurePosixPath(path).stem: path for path in exhibits.overlap_files(study)}
    return [
        *(
            Unit("prepare", name, (f"data/{name}/problems.parquet", f"data/{name}/manifest.json"), name)
            for name in datasets
        ),
        *(Unit("overlap", name, (path,), name) for name, path in overlaps.items()),
        *(Unit(_maker(study, name), name, (f"models/{name}/model.json",), name) for name in study.model_names),
        *(
            Unit("audit", name, (f"{study.home}/audit/{name}.json",), f"{study.home}/{name}", benchmark=name)
            for name in study.benchmarks
        ),
    ]


def _maker(study: Study, model: str) -> str:
    return "pretrain" if isinstance(study.config.models[model], EmbeddedModel) else "fetch"


def _of_rows(study: Study) -> list[Unit]:
    """Runs, responses, grades and scores."""
    found = []
    for row in study.rows:
        own, evaluated = f"{study.home}/{row.path}", f"{study.home}/eval/{row.path}"
        if row.cell:
            found.append(Unit("train", row.path, (f"{study.home}/runs/{row.path}/run.json",), own, row))
        for name in study.benchmarks:
            for rule, made in (("generate", "generations"), ("grade", "grades")):
                output = f"{evaluated}/{name}/{made}.parquet"
                found.append(Unit(rule, f"{row.path}/{name}", (output,), f"{own}/{name}", row, name))
        found.append(Unit("score", row.path, (f"{evaluated}/scores.parquet",), own, row))
    return found


def _measured(study: Study) -> list[Unit]:
    """The credit of tokens, measured."""
    return [
        Unit(
            "oracle",
            row.path,
            tuple(f"{study.name}/oracle/{row.path}/{made}.parquet" for made in ("states", "branches")),
            f"{study.name}/{row.path}",
            row,
        )
        for row in measured_rows(study)
    ]


def _shown(study: Study) -> list[Unit]:
    """Tables, figures and the page."""
    found = [
        Unit(rule, name, tuple(f"{study.name}/{rule}s/{name}.{kind}" for kind in kinds), f"{study.name}/{name}")
        for rule, kinds in _MADE.items()
        for name in exhibits.planned(study)[f"{rule}s"]
    ]
    return [*found, Unit("report", study.name, (f"{study.name}/index.html",), study.name)]
