"""Checks before the first job starts, so that a study that cannot run is refused in one sentence, not found out hours later."""

from __future__ import annotations

import re
from collections.abc import Collection
from importlib.util import find_spec
from pathlib import Path

from tokencredit.config import Config, Study
from tokencredit.errors import UserError
from tokencredit.study.environments import ENVIRONMENTS, STAGES, environment_of
from tokencredit.study.jobs import Job, jobs_of

# What a part of a study's settings takes beside the package's own dependencies.
_TAKES = {("engine", "vllm"): ("vllm", "vLLM"), ("attention", "flash_attention_2"): ("flash-attn", "flash-attn")}


def check_start(
    config: Config,
    outputs: Collection[str],
    deployment: Collection[str],
    images: Collection[str] = (),
    results: str = "results",
) -> None:
    """Raise ``UserError`` if the jobs that make ``outputs`` cannot run in their environment, or exceed a study's budget.

    ``deployment``: how jobs get their environment, "conda" or "apptainer"; without either they run in the environment of snakemake.
    ``images``: the files of their containers.
    """
    if missing := sorted(image for image in images if not Path(image).exists()):
        image = missing[0]
        raise UserError(
            f"{', '.join(missing)}: no such file, and jobs that would run need {'them' if missing[1:] else 'it'}; "
            f"`apptainer build --build-arg name={Path(image).stem} {image} {ENVIRONMENTS}/environment.def` makes {Path(image).name}."
        )
    named = {Path(output).relative_to(results).parts[0] for output in outputs if Path(output).is_relative_to(results)}
    for name in sorted(named.intersection(config.study_names)):
        study = config.study(name)
        units = [unit for unit in jobs_of(study, results) if unit.outputs[0] in outputs]
        if (
            "apptainer" in deployment
            and study.resources.train.nodes > 1
            and any(unit.rule == "train" for unit in units)
        ):
            raise UserError(
                f"{study.config.folder / 'studies' / study.home}.yaml: resources.train.nodes = {study.resources.train.nodes}: "
                f"a container cannot start processes on other nodes; run without apptainer, or with nodes: 1."
            )
        for rule in STAGES:
            if any(unit.rule == rule for unit in units):
                _check_environment(study, rule, deployment)
        _check_budget(study, units, results)


def _check_environment(study: Study, rule: str, deployment: Collection[str]) -> None:
    environment = environment_of(rule, study)
    stage = STAGES[rule]
    for (key, value), (package, title) in _TAKES.items():
        if getattr(getattr(study, stage), key, None) != value or _holds(package, environment, deployment):
            continue
        where = f"{ENVIRONMENTS / environment}.yaml" if deployment else "the environment that snakemake runs in"
        remedies = ["install it there (docs/environments.md)"]
        if not deployment and _holds(package, environment, ["conda"]):
            remedies.append(f"add `--profile workflow/profiles/conda`, which takes {ENVIRONMENTS / environment}.yaml")
        raise UserError(
            f"{study.config.folder / 'studies' / study.home}.yaml: {stage}.{key} = {value!r}: {title} is not in {where}; "
            f"{', or '.join(remedies)}."
        )


def _holds(package: str, environment: str, deployment: Collection[str]) -> bool:
    if not deployment:
        return find_spec(package.replace("-", "_")) is not None
    if "conda" not in deployment:
        return True  # what an image or a module holds cannot be told from here
    # Of this project: where it is a module of another workflow, the working directory has none.
    pinned = (Path(__file__).parents[3] / ENVIRONMENTS / f"{environment}.yaml").read_text(encoding="utf-8")
    return re.search(rf"^ +- {re.escape(package)}==", pinned, flags=re.MULTILINE) is not None


def _check_budget(study: Study, units: Collection[Job], results: str) -> None:
    budget = study.resources.budget_gpu_hours
    if budget is None:
        return
    from tokencredit.cost import Terms, estimate, read_timings
    from tokencredit.cost.remaining import cost_of, over_budget

    made_again = {output for unit in units for output in unit.outputs}
    found = estimate(study, Terms(measured=read_timings(study, results, made_again)), results)
    if sentence := over_budget(study, cost_of(study, found, units)):
        raise UserError(sentence)
