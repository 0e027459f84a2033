"""Where a study measures the credit of tokens: which policies, and at which stored responses."""

from __future__ import annotations

from tokencredit.config import Row, Study
from tokencredit.config.claim_keys import BASE


def measured_rows(study: Study) -> list[Row]:
    """The measurements of a study: each policy of its ``oracle`` under every training seed. ``method`` is None for the base model."""
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
    return [run for run in study.rows if run.method and run.seed == row.seed and row.method in (None, run.method)]
