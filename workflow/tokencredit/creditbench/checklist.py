"""The reporting checklist of the survey arXiv 2604.09459 for each method, filled by the records as far as they tell."""

from __future__ import annotations

import pandas as pd

from tokencredit.analysis.store import Store
from tokencredit.config import Config, Method, Study
from tokencredit.credit import METHODS
from tokencredit.credit.columns import MEASURED
from tokencredit.creditbench import learning
from tokencredit.creditbench.signals import OF_A_PASS

ITEMS = {
    "model": "Model",
    "data": "Training data",
    "granularity": "Granularity of credit",
    "method": "Method",
    "baseline": "Baseline of the same compute with one credit per response",
    "ablation": "Ablation of credit",
    "splits": "Splits",
    "metric": "Metric",
    "seeds": "Three training seeds or more, and intervals",
    "hours": "Hours of compute",
    "overhead": "What credit takes beside training",
    "length": "Length of responses",
}
FEWEST_SEEDS = 3


def records(config: Config, methods: dict[str, Method], stores: list[Store], learned: pd.DataFrame) -> pd.DataFrame:
    """One record per method and item: what the records say, empty where they say nothing, and of which study.

    A method is described by the first of the ``stores`` whose study trained it; what no training tells is said of every method.
    """
    lines = []
    for name, method in methods.items():
        store = next((store for store in stores if name in store.study.methods), None)
        said = _of_method(method)
        if store is not None:
            of_study = learned[learned["study"] == store.study.name]
            said |= _of_study(store, name) | _of_runs(of_study, store.study, name, said)
        trained = store.study.name if store is not None else ""
        lines += [{"method": name, "study": trained, "item": item, "says": said.get(item, "")} for item in ITEMS]
    return pd.DataFrame(lines)


def overhead(credit: str) -> str:
    """What a credit function takes beside sampling and training."""
    method = METHODS[credit]
    if {*MEASURED} & {*method.columns}:
        return "continuations of the policy at every state"
    passes = sum(column in OF_A_PASS for column in method.columns) + (method.stage == "update")
    return f"{passes} more {'pass' if passes == 1 else 'passes'} over the responses" if passes else "none"


def _of_method(method: Method) -> dict[str, str]:
    credit = METHODS[method.credit]
    step = "response_step" in credit.columns
    granularity = "step" if step else "token" if credit.per_token else "response"
    return {"granularity": granularity, "method": credit.source, "overhead": overhead(method.credit)}


def _of_study(store: Store, name: str) -> dict[str, str]:
    study = store.study
    model, training = store.run(name, study.training.seeds[0])["model"], study.training
    reports = [report for each in store.overlaps.values() for report in each]
    near, problems, same = (
        sum(report[key] for report in reports) for key in ("overlapping", "benchmark_problems", "same_answer")
    )
    return {
        "model": f"{study.config.models[study.model_name].title}, {model['parameters']:,} parameters",
        "data": f"{', '.join(training.datasets)}: {training.steps} steps of {training.prompts_per_step} groups of {training.group_size}",
        "splits": f"trained on {', '.join(training.datasets)}, tested on {', '.join(study.benchmarks)}; {near} of {problems} test problems "
        f"resemble one of training, {same} with its answer",
        "metric": ", ".join(f"Avg@{benchmark.samples} of {title}" for title, benchmark in study.benchmarks.items()),
    }


def _of_runs(learned: pd.DataFrame, study: Study, name: str, said: dict[str, str]) -> dict[str, str]:
    own = learned[(learned["method"] == name) & (learned["role"] == learning.OWN)].set_index("metric")
    found = {}
    if len(study.training.seeds) >= FEWEST_SEEDS:
        found["seeds"] = f"{len(study.training.seeds)} training seeds; 95 % intervals over questions, and over seeds"
    if "hours" in own.index:
        found["hours"] = f"{own.loc['hours', 'value']:.2f} hours a run on one process"
    other = learning.baseline(study, name)
    if other is None and METHODS[study.methods[name].credit].plain:
        found["baseline"] = "is one itself"
    else:
        of_other = learned[(learned["method"] == other) & (learned["metric"] == "sampled_tokens")]
        if len(of_other):
            ratio = own.loc["sampled_tokens", "value"] / of_other["value"].iloc[0]
            found["baseline"] = (
                f"{other}, of the same recipe and steps; the method sampled {ratio:.2f} times its tokens"
            )
    controls = sorted(set(learned.loc[(learned["method"] == name) & (learned["role"] == learning.CONTROL), "against"]))
    if controls:
        found["ablation"] = f"the same weights elsewhere: {', '.join(controls)}"
    if measured := own.loc["measured_tokens", "value"]:
        found["overhead"] = f"{said['overhead']}: {measured:,.0f} tokens a run"
    found["length"] = f"{own.loc[learning.LENGTH, 'value']:.1f} tokens after the last step"
    return found
