"""Where a study measures the credit of tokens: which policies, at which stored responses, with which settings."""

from __future__ import annotations

from typing import Any

from tokencredit.config import Row, Study
from tokencredit.config.claim_keys import BASE


def measured_rows(study: Study) -> list[Row]:
    """The measurements of a study: each policy of its ``oracle`` under every training seed. ``cell`` is None for the base model."""
    if study.oracle is None:
        return []
    titles = {BASE: "Base model"} | {name: method.title for name, method in study.methods.items()}
    return [
        Row(name, seed, titles[name], study.model_name, None if name == BASE else name)
        for name in study.oracle.policies
        for seed in study.training.seeds
    ]


def source_runs(study: Study, row: Row) -> list[Row]:
    """The runs whose stored responses a policy is measured at: a method's own run; for the base model every run with that seed."""
    return [run for run in study.rows if run.cell and run.seed == row.seed and row.cell in (None, run.cell)]


def oracle_config(study: Study) -> dict[str, Any]:
    """Everything in the configuration that decides a measurement, apart from what decides its runs and models, as plain JSON."""
    training = study.training
    return {
        "oracle": study.oracle.model_dump(mode="json", exclude={"policies"}),
        "sampling": training.sampling.model_dump(mode="json"),
        "engine": training.engine,
        "mixed_precision": training.mixed_precision,
        "prompt": study.config.models[study.model_name].prompt,
    }
