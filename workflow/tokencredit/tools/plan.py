"""``tokencredit plan``: what a study needs, before it is launched."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from tokencredit.config import load_study
from tokencredit.cost import Options, Terms, estimate, read_timings
from tokencredit.cost.node import read_node
from tokencredit.cost.remaining import cost_of, only, over_budget, print_remaining
from tokencredit.cost.show import as_json, print_estimate, sentences
from tokencredit.errors import UserError
from tokencredit.study.jobs import jobs_of
from tokencredit.tools.dry_run import dry_run

CONFIG, RESULTS = Path("config"), Path("results")


def print_plan(
    study: str,
    options: Options,
    config: Path = CONFIG,
    results: Path = RESULTS,
    remaining: bool = False,
    as_data: bool = False,
    node: Path | None = None,
) -> None:
    """Print what every job needs and what that rests on; with ``remaining``, of the jobs that Snakemake would run now.

    ``node``: what ``tokencredit check-gpu`` wrote, for what no finished run tells.

    Raises ``UserError`` where a job cannot fit in the memory that there is, and where what would run exceeds the study's budget.
    """
    if remaining:
        _refuse_beside_remaining(config, results, as_data)
    resolved = load_study(config, study)
    would_run = {output for job in dry_run(study) for output in job.outputs} if remaining else None
    timings = read_timings(resolved, results, would_run)
    if node is not None:
        timings = replace(timings, node=read_node(node, resolved, results))
    found = estimate(resolved, Terms(options, timings), results)
    refused = []
    if would_run is not None:
        units = [unit for unit in jobs_of(resolved) if would_run.intersection(unit.outputs)]
        print_remaining(resolved, found, units)
        if sentence := over_budget(resolved, cost_of(resolved, found, units)):
            refused.append(sentence)
        found = only(found, units)
    elif as_data:
        print(json.dumps(as_json(found), indent=1, ensure_ascii=False))
    else:
        print_estimate(found)
    if too_large := sentences(found):
        more = f" ({len(too_large) - 1} more)" if too_large[1:] else ""
        refused.append(f"{study} cannot run as it is configured: {too_large[0]}{more}")
    if refused:
        raise UserError("; ".join(refused))


def _refuse_beside_remaining(config: Path, results: Path, as_data: bool) -> None:
    """Snakemake is asked about the folder it is in, and what it answers is printed as tables."""
    given = {"--config": config != CONFIG, "--results": results != RESULTS, "--json": as_data}
    for option, wanted in given.items():
        if wanted:
            raise UserError(
                f"{option}: does not go with --remaining, which prints tables of what is left in {RESULTS} by {CONFIG}."
            )
