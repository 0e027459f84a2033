"""``python -m tokencredit.plan``: what a study needs, before it is launched."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from tokencredit import cli
from tokencredit.config import load_study
from tokencredit.dry_run import dry_run
from tokencredit.errors import UserError
from tokencredit.plan import Options, Terms, estimate, read_measured
from tokencredit.plan.remaining import cost_of, over_budget, print_remaining
from tokencredit.plan.show import as_json, print_estimate, sentences
from tokencredit.units import units_of

app = cli.new_app("Memory, disk and GPU-hours of a study, before it is launched.")


@app.command()
def plan(
    study: Annotated[str, typer.Option(help="Name of the study, a file of <config>/studies.")],
    config: Annotated[Path, typer.Option(help="Folder of the configuration.")] = Path("config"),
    results: Annotated[
        Path, typer.Option(help="Folder of results: the speed of finished runs is measured there.")
    ] = Path("results"),
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
    resolved = load_study(config, study)
    found = estimate(resolved, Terms(options, read_measured(resolved, results)))
    if remaining:
        would_run = {output for job in dry_run(study) for output in job.outputs}
        units = [unit for unit in units_of(resolved, str(results)) if would_run.intersection(unit.outputs)]
        print_remaining(resolved, found, units)
        if sentence := over_budget(resolved, cost_of(resolved, found, units)):
            raise UserError(sentence)
    elif as_data:
        print(json.dumps(as_json(found), indent=1, ensure_ascii=False))
    else:
        print_estimate(found)
    refused = sentences(found)
    if refused:
        more = f" ({len(refused) - 1} more in all that was printed)" if len(refused) > 1 else ""
        raise UserError(f"{study} cannot run as it is configured: {refused[0]}{more}")


if __name__ == "__main__":
    cli.run(app)
