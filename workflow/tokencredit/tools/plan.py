"""``python -m tokencredit.tools.plan``: what a study needs, before it is launched."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from tokencredit import cli
from tokencredit.config import load_study
from tokencredit.cost import Options, Terms, estimate, read_measured
from tokencredit.cost.remaining import cost_of, only, over_budget, print_remaining
from tokencredit.cost.show import as_json, print_estimate, sentences
from tokencredit.errors import UserError
from tokencredit.study.jobs import jobs_of
from tokencredit.tools.dry_run import dry_run

app = cli.new_app("Memory, disk and GPU-hours of a study, before it is launched.")

CONFIG, RESULTS = Path("config"), Path("results")


@app.command()
def plan(
    study: Annotated[str, typer.Option(help="Name of the study, a file of <config>/studies.")],
    config: Annotated[Path, typer.Option(help="Folder of the configuration.")] = CONFIG,
    results: Annotated[
        Path, typer.Option(help="Folder of results: the speed of finished runs is measured there.")
    ] = RESULTS,
    response_tokens: Annotated[float | None, typer.Option(help="Mean length of responses.")] = None,
    prompt_tokens: Annotated[float | None, typer.Option(help="Mean length of prompts.")] = None,
    groups_sampled: Annotated[
        float | None, typer.Option(help="Groups sampled for each group trained on, under dynamic sampling.")
    ] = None,
    sampler_rows: Annotated[int | None, typer.Option(help="Responses decoded together.")] = None,
    tokens_per_second: Annotated[
        float | None, typer.Option(help="Response tokens trained on per second of a step, by the whole job.")
    ] = None,
    sampling_tokens_per_second: Annotated[
        float | None, typer.Option(help="Response tokens sampled per second by one process.")
    ] = None,
    utilisation: Annotated[float | None, typer.Option(help="Share of a GPU's peak that passes reach.")] = None,
    reserve: Annotated[float | None, typer.Option(help="Share of a GPU's memory that is left free.")] = None,
    remaining: Annotated[
        bool, typer.Option("--remaining", help="Only the jobs that Snakemake would run now, by rule and by row.")
    ] = False,
    as_data: Annotated[bool, typer.Option("--json", help="Print JSON: bytes, seconds, and the basis of each.")] = False,
) -> None:
    """Print what every job needs and what that rests on.

    Exit status 2 where a job cannot fit in the memory that there is, and where what would run exceeds the study's budget.
    """
    options = Options(
        response_tokens=response_tokens,
        prompt_tokens=prompt_tokens,
        groups_sampled=groups_sampled,
        sampler_rows=sampler_rows,
        tokens_per_second=tokens_per_second,
        sampling_tokens_per_second=sampling_tokens_per_second,
        utilisation=utilisation,
        reserve=reserve,
    )
    if remaining:
        _refuse_beside_remaining(config, results, as_data)
    resolved = load_study(config, study)
    would_run = {output for job in dry_run(study) for output in job.outputs} if remaining else None
    found = estimate(resolved, Terms(options, read_measured(resolved, results, would_run)))
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


if __name__ == "__main__":
    cli.run(app)
