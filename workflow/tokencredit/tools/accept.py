"""``tokencredit accept``: keep finished results although their code has changed, because somebody vouches that no number has.

A refactoring can change a code digest and no result. Snakemake's record of each result is then given the new digest, and nothing else of
it is touched, so that another configuration or another input is seen as before. Who vouched, when and why is written beside the result,
with both digests. The results themselves stay as they are and keep the digest of the code that made them.
"""

from __future__ import annotations

import contextlib
import getpass
import json
import re
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from tokencredit import files
from tokencredit.config import Config
from tokencredit.errors import UserError
from tokencredit.study.acceptance import Acceptance, record_of
from tokencredit.study.jobs import RULES, Job, jobs_of
from tokencredit.tools.dry_run import dry_run

if TYPE_CHECKING:
    from snakemake.persistence.file import FilePersistence

SNAKEMAKE = Path(".snakemake")
# Made again in seconds, so that nobody has to vouch for them.
SHOWN = ("table", "figure", "report")
# How Snakemake says that one parameter alone has changed, and that this is a digest.
_CODE_CHANGED = re.compile(
    r"Params have changed since last execution: .* before: '([0-9a-f]{64})'\s+now: '([0-9a-f]{64})'\s*"
)
_NOT_MADE, _NOT_YET = "Missing output files", "Input files updated by another job"
_NAMED = 5  # files that an error lists


def accept(study: str, reason: str, by: str | None = None, rules: list[str] | None = None) -> None:
    """Accept every finished result of a study whose code digest changed and nothing else; refuse all where anything else did.

    ``reason``: why the change of code changes no number. ``by``: who vouches for that, else the user. ``rules``: whose results, else all.
    """
    allowed = [name for name in RULES if name not in SHOWN]
    rules = rules or allowed
    if unknown := sorted(set(rules) - set(allowed)):
        raise UserError(f"--rule: {', '.join(unknown)}: nothing is accepted of it; allowed: {', '.join(allowed)}.")
    if not reason.strip():
        raise UserError("--reason: is empty; say why the change of code changes no number.")
    if locks := sorted(SNAKEMAKE.glob("locks/*.lock")):
        raise UserError(
            f"{locks[0]}: a workflow runs, or was killed (then: snakemake --unlock); nothing is accepted beside it."
        )
    every = jobs_of(Config("config").study(study))
    accepted = _accept(study, every, rules, reason.strip(), by or getpass.getuser())
    for (name, before, now), count in sorted(Counter(accepted).items()):
        print(f"{count} of {name}: code {before[:12]} → {now[:12]}")
    print(
        f"{len(accepted)} results accepted"
        if accepted
        else "nothing to accept: no finished result waits for its code alone"
    )


def _accept(study: str, every: list[Job], rules: list[str], reason: str, by: str) -> list[tuple[str, str, str]]:
    """Accept in rounds, for of a job behind one that is to run Snakemake says nothing more; the rule and both digests of each result."""
    from snakemake.persistence.file import FilePersistence

    persistence = FilePersistence(path=SNAKEMAKE.absolute(), nolock=True)
    recorded = _recorded(persistence, every)
    audits = {output for unit in every if unit.rule == "audit" for output in unit.outputs}
    accepted: list[tuple[str, str, str]] = []
    at = time.strftime("%Y-%m-%dT%H:%M:%S%z")
    with _all_or_nothing(persistence) as stamp:
        while found := _changed(study, [unit for unit in every if unit.rule in rules]):
            for unit, _, _ in found:
                _check_inputs(persistence, unit, audits)
                _check_outputs(persistence, unit, recorded)
            for unit, before, now in found:
                for output in unit.outputs:
                    stamp(output, Acceptance(files.sha256(output), before, now, by, at, reason))
                accepted.append((unit.rule, before, now))
    return accepted


def _changed(study: str, units: list[Job]) -> list[tuple[Job, str, str]]:
    """The finished jobs of ``units`` that Snakemake would run for their code alone, with the digest before and now.

    Raises ``UserError`` where it would run one for another reason.
    """
    by_output = {unit.outputs[0]: unit for unit in units}
    found, others = [], []
    for job in dry_run(study):
        unit = by_output.get(job.outputs[0])
        if unit is None or job.reason.startswith((_NOT_MADE, _NOT_YET)):
            continue
        if change := _CODE_CHANGED.fullmatch(job.reason):
            found.append((unit, *change.groups()))
        else:
            others.append(f"{unit.outputs[0]} ({job.reason.partition(':')[0]})")
    if others:
        more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
        raise UserError(
            f"more than code has changed: {', '.join(others[:_NAMED])}{more}. Nothing was accepted: what has another configuration or "
            f"other inputs is made again, by snakemake; --rule accepts of some rules alone."
        )
    return found


def _recorded(persistence: FilePersistence, every: list[Job]) -> dict[str, set[str]]:
    """The digests of files as Snakemake noted them when something was made of them."""
    found: dict[str, set[str]] = {}
    for unit in every:
        for output in unit.outputs:
            record = persistence._read_record(output)
            for name, checksum in (record.input_checksums or {}).items() if record else ():
                found.setdefault(name, set()).add(checksum.removeprefix("sha256:"))
    return found


def _check_inputs(persistence: FilePersistence, unit: Job, gates: set[str]) -> None:
    """Every input has the content that it had: Snakemake compares only those that are newer. A gate decides whether, not what."""
    for output in unit.outputs:
        record = persistence._read_record(output)
        for name, checksum in (record.input_checksums or {}).items() if record else ():
            if name not in gates and checksum.removeprefix("sha256:") != files.sha256(name):
                raise UserError(f"{output}: was made from another {name} than is there now; nothing was accepted.")


def _check_outputs(persistence: FilePersistence, unit: Job, recorded: dict[str, set[str]]) -> None:
    """Every output is the one that was made: by the digest that is recorded of it, or by its time where none is."""
    expected = {output: recorded[output] for output in unit.outputs if output in recorded}
    first = Path(unit.outputs[0])
    if unit.rule == "train":
        run = files.read_json(first)
        expected |= {str(first.with_name(name)): {digest} for name, digest in run["files"].items()}
        expected[str(first.with_name("model"))] = {run["model_sha256"]}
    if unit.rule == "pretrain":
        expected[str(first.with_name("model.safetensors"))] = {files.read_json(first)["sha256"]}
    for path, digests in expected.items():
        if files.sha256(path) not in digests:
            raise UserError(
                f"{path}: is not the file that was recorded; nothing was accepted. Make it again: snakemake --forcerun {first}"
            )
    for output in unit.outputs:
        record = persistence._read_record(output)
        if output not in expected and (record is None or record.endtime != Path(output).stat().st_mtime):
            raise UserError(
                f"{output}: was changed after it was made, or touched, and nothing holds its digest; nothing was accepted. "
                f"Make it again: snakemake --forcerun {first}"
            )


@contextlib.contextmanager
def _all_or_nothing(persistence: FilePersistence) -> Iterator:
    """A function that gives a file's record the new digest and writes down who says so; undone where the block does not end well."""
    before: dict[str, tuple] = {}

    def stamp(output: str, acceptance: Acceptance) -> None:
        record, path = persistence._read_record(output), record_of(output)
        said = path.read_text(encoding="utf-8") if path.is_file() else None
        before.setdefault(output, (record, said))
        params = [repr(acceptance.now) if each == repr(acceptance.before) else each for each in record.params]
        files.write_text(path, (said or "") + json.dumps(asdict(acceptance), ensure_ascii=False) + "\n")
        persistence._write_record(output, record.model_copy(update={"params": sorted(params)}))
        persistence._clear_cache()

    try:
        yield stamp
    except BaseException:
        for output, (record, said) in before.items():
            persistence._write_record(output, record)
            if said is None:
                record_of(output).unlink(missing_ok=True)
            else:
                files.write_text(record_of(output), said)
        raise
