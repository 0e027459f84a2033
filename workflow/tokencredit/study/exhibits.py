"""What the analysis of a study makes and what it reads, decided from the configuration alone. Imported by the graph: keep it light."""

from __future__ import annotations

from tokencredit.config import CreditContrast, EmbeddedModel, Row, Study
from tokencredit.config.claim_keys import BASE
from tokencredit.credit import METHODS, QUADRANTS
from tokencredit.data.tasks import TASKS
from tokencredit.study.measurements import measured_rows


def planned(study: Study) -> dict[str, list[str]]:
    """The names of the tables and figures of a study: {"tables": [...], "figures": [...]}. Numbers are the paper's."""
    tables, figures = ["table1"], [f"figure{number}" for number in (1, 4, 6, 8, 9, 10, 11)]
    if study.training.curve.benchmark in study.benchmarks:
        figures += ["figure3"]
    if alpha_sweep(study):
        figures += ["figure7"]
    if quadrant_runs(study):
        figures += ["figure2", "figure5"]
    if quadrant_runs(study) or ablations(study):
        tables += ["table3"]
    figures.sort(key=lambda name: int(name.removeprefix("figure")))
    if study.targets:
        tables += ["verdicts"]
    if study.config.claims:
        tables += ["claims"]
    if study.oracle:
        tables += ["oracle"]
        figures += ["credit", "policies"] if len(study.oracle.policies) > 1 else ["credit"]
        if BASE in study.oracle.policies:
            tables += ["scoreboard"]
            figures += ["scoreboard"]
    return {"tables": [*tables, "diagnostics"], "figures": [*figures, "diagnostics"]}


def inputs(study: Study, name: str) -> list[str]:
    """The files that a table or figure is made from, relative to the results folder."""
    if name == "claims":
        return claims_files(study)
    if name in ("oracle", "policies"):
        return oracle_files(study)
    if name == "credit":
        return oracle_files(study, study.oracle.policies[0])
    runs = {
        "table1": list(study.methods),
        "table3": [row.name for row in table3_rows(study) if row.cell],
        "figure1": [study.reference],
        "figure2": figure2_methods(study),
        "figure3": list(study.methods),
        "figure4": [study.reference],
        "figure5": [row.name for row in figure5_rows(study) if row.cell],
        "figure6": list(study.methods),
        "figure7": [row.name for row in figure7_rows(study)],
        "figure8": list(study.methods),
        "figure9": [study.reference],
        "figure10": [study.reference],
        "figure11": [heat_map_method(study)],
        "diagnostics": list(study.methods),
        "verdicts": list(study.methods),
        "scoreboard": list(study.methods),
    }
    cells = [row for row in study.rows if row.cell in runs.get(name, [])]
    made = {
        "figure1": ["metrics.jsonl"],
        "figure2": ["metrics.jsonl", "evaluations.parquet"],
        "figure3": ["evaluations.parquet"],
        "figure4": ["rollouts.parquet"],
        "figure6": ["metrics.jsonl", "probe.parquet"],
        "figure7": ["evaluations.parquet"],
        "figure8": ["rollouts.parquet"],
        "figure9": ["rollouts.parquet"],
        "figure10": ["rollouts.parquet"],
        "figure11": ["rollouts.parquet"],
        "diagnostics": ["metrics.jsonl"],
        "verdicts": ["metrics.jsonl", "evaluations.parquet"] if "figure2" in study.targets else [],
        "scoreboard": ["rollouts.parquet"],
    }.get(name, [])
    files = [f"{study.home}/runs/{row.path}/{file}" for row in cells for file in ["run.json", *made]]
    scored = {
        "table1": study.rows,
        "table3": table3_rows(study),
        "figure3": study.rows,
        "figure5": figure5_rows(study),
        "figure7": figure7_rows(study),
        "verdicts": study.rows,
        "scoreboard": [row for row in study.rows if row.cell],
    }.get(name, [])
    files += [f"{study.home}/eval/{row.path}/scores.parquet" for row in scored]
    files += oracle_files(study, BASE) if name == "scoreboard" else []
    return files + (overlap_files(study) if name.startswith("table") else [])


def claims_files(study: Study) -> list[str]:
    """What the contrasts of ``config/claims.yaml`` compare, as far as the study has it, relative to the results folder."""
    base = base_row(study)
    named: dict[str, set[str]] = {}
    for claim in study.config.claims.claims.values() if study.config.claims else ():
        for contrast in claim.contrasts:
            for name in [] if isinstance(contrast, CreditContrast) else [contrast.method, *contrast.against]:
                named.setdefault(base.name if name == BASE and base else name, set()).add(contrast.kind)
    files = []
    for row in study.rows:
        kinds = named.get(row.name, set())
        if row.cell and kinds:
            of_kind = {"entropy": "metrics.jsonl", "steps": "evaluations.parquet"}
            made = [file for kind, file in of_kind.items() if kind in kinds]
            files += [f"{study.home}/runs/{row.path}/{file}" for file in ["run.json", *made]]
        if "score" in kinds:
            files.append(f"{study.home}/eval/{row.path}/scores.parquet")
    claims = study.config.claims.claims.values() if study.config.claims else ()
    on_credit = any(isinstance(contrast, CreditContrast) for claim in claims for contrast in claim.contrasts)
    return files + (oracle_files(study, BASE) if on_credit else [])


def oracle_files(study: Study, policy: str | None = None) -> list[str]:
    """The measured credit of tokens under one policy or under all, and the problems where these tell what a token does.

    Relative to the results folder.
    """
    rows = [row for row in measured_rows(study) if policy in (None, row.name)]
    measured = [f"{study.name}/oracle/{row.path}/{name}.parquet" for row in rows for name in ("states", "branches")]
    model = study.config.models[study.model_name]
    read = rows and isinstance(model, EmbeddedModel) and TASKS[model.task].KINDS_NEED_PROBLEM
    return measured + ([f"data/{name}/problems.parquet" for name in study.training.datasets] if read else [])


def overlap_files(study: Study) -> list[str]:
    """The overlap reports of the training sets against the benchmarks' data sets, relative to the results folder."""
    datasets = dict.fromkeys(benchmark.dataset for benchmark in study.benchmarks.values())
    return [f"data/overlap/{train}--{dataset}.json" for train in study.training.datasets for dataset in datasets]


def audit_files(study: Study) -> list[str]:
    """The grader audits, relative to the results folder."""
    return [f"{study.home}/audit/{benchmark}.json" for benchmark in study.benchmarks]


def quadrant_runs(study: Study) -> list[str]:
    return [name for name in QUADRANTS if name in study.methods]


def ablations(study: Study) -> list[str]:
    return [name for name in study.methods if name.startswith("eapo-without-")]


def base_row(study: Study) -> Row | None:
    """The evaluation-only row of the model that training starts from; None if the study does not evaluate it."""
    return next((row for row in study.rows if row.cell is None and row.model == study.model_name), None)


def figure2_methods(study: Study) -> list[str]:
    return [study.reference, *(name for name in quadrant_runs(study) if name != study.reference)]


def heat_map_method(study: Study) -> str:
    """EAPO where it is trained, for its credit differs from token to token; else the reference."""
    return "eapo" if "eapo" in study.methods else study.reference


def table3_rows(study: Study) -> list[Row]:
    names = {study.reference, "eapo", *ablations(study), *quadrant_runs(study)}
    return [row for row in study.rows if row.cell in names or row == base_row(study)]


def figure5_rows(study: Study) -> list[Row]:
    names = {study.reference, *quadrant_runs(study)}
    return [row for row in study.rows if row.cell in names or row == base_row(study)]


def alpha_sweep(study: Study) -> dict[str, float]:
    """The methods that are EAPO with one alpha or another and nothing else different, each with its alpha, in its order.

    Empty where the study trains fewer than two; of several such families the largest.
    """
    families: dict[tuple, dict[str, float]] = {}
    for name, method in study.methods.items():
        if method.credit == "eapo" and method.control is None:
            rest = dict(METHODS["eapo"].resolved(method.params))
            alpha = rest.pop("alpha")
            families.setdefault((method.base, *sorted(rest.items())), {})[name] = alpha
    largest = max(families.values(), key=len, default={})
    return dict(sorted(largest.items(), key=lambda entry: entry[1])) if len(set(largest.values())) > 1 else {}


def without_entropy_term(study: Study) -> str | None:
    """What EAPO is at alpha = 0: the plain group advantage, on the base of the sweep if a method trains with that, else on another."""
    base = study.methods[next(iter(alpha_sweep(study)))].base
    plain = [
        name for name, method in study.methods.items() if method.credit in ("grpo", "dapo") and method.control is None
    ]
    return min(plain, key=lambda name: study.methods[name].base != base, default=None)


def figure7_rows(study: Study) -> list[Row]:
    sweep = alpha_sweep(study)
    return [row for row in study.rows if row.cell in sweep or (sweep and row.cell == without_entropy_term(study))]
