"""The oracle: the credit of tokens as it is, measured by trying every plausible next token and continuing from it.

``responses`` reads what training stored, ``measure`` samples and counts, ``estimate`` is the arithmetic on counts, which only the analysis
needs. The command is ``python -m tokencredit.oracle measure``.
"""

from typing import Any

from tokencredit.config import Row, Study
from tokencredit.config.claim_keys import BASE
from tokencredit.engines import code_of_others
from tokencredit.provenance import code_digest


def measured_rows(study: Study) -> list[Row]:
    """What is measured in a study: each policy of its ``oracle`` under every training seed. ``cell`` is None for the base model."""
    if study.oracle is None:
        return []
    titles = {BASE: "Base model"} | {name: method.title for name, method in study.methods.items()}
    return [
        Row(name, seed, titles[name], study.model_name, None if name == BASE else name)
        for name in study.oracle.policies
        for seed in study.training.seeds
    ]


def source_runs(study: Study, row: Row) -> list[Row]:
    """The runs whose stored responses a policy is measured at: its own, or of the base model those of every cell with that seed."""
    return [run for run in study.rows if run.cell and run.seed == row.seed and row.cell in (None, run.cell)]


def oracle_config(study: Study) -> dict[str, Any]:
    """Everything in the configuration, beside what decides the runs and the models, that decides a measurement, as plain JSON."""
    training = study.training
    return {
        "oracle": study.oracle.model_dump(mode="json", exclude={"policies"}),
        "sampling": training.sampling.model_dump(mode="json"),
        "engine": training.engine,
        "mixed_precision": training.mixed_precision,
        "prompt": study.config.models[study.model_name].prompt,
    }


def oracle_code(engine: str) -> str:
    """The digest of the code behind a measurement, with its own engine and not the other. No credit is assigned in one."""
    return code_digest("oracle.measurement.measure_policy", without=(*code_of_others(engine), "credit"))
