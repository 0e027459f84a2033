"""What tables and figures read: files of a study by what they hold, for the entries of ``exhibits``."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from tokencredit.config import Contrast, CreditContrast, EntropyContrast, Row, ScoreContrast, SpeedContrast, Study
from tokencredit.config.claim_keys import BASE
from tokencredit.data.tasks import TASKS
from tokencredit.study.data_recipes import searches, tuned
from tokencredit.study.measurements import measured_rows
from tokencredit.study.paths import FileName, Paths, RunFolder
from tokencredit.study.selection import base_row


def runs(paths: Paths, methods: Collection[str], *files: FileName) -> Iterator[Path]:
    """The records of the training runs of ``methods``, and ``files`` of each run."""
    for row in paths.study.rows:
        if row.method in methods:
            folder = paths.run(row)
            yield from (folder.record, *(folder.folder / file.name for file in files))


def scores(paths: Paths, rows: Collection[Row]) -> Iterator[Path]:
    """The scores of ``rows``."""
    return (paths.evaluation(row).scores for row in rows)


def runs_and_scores(paths: Paths, rows: Collection[Row], *files: FileName) -> Iterator[Path]:
    """The runs behind ``rows`` with ``files`` of each, and the scores of the rows."""
    yield from runs(paths, [row.method for row in rows if row.method], *files)
    yield from scores(paths, rows)


def scored(paths: Paths, rows: Collection[Row]) -> Iterator[Path]:
    """The runs behind ``rows``, the scores of the rows, and what the training sets have in common with the benchmarks."""
    yield from runs_and_scores(paths, rows)
    yield from paths.overlaps


def scored_and_learned(paths: Paths) -> Iterator[Path]:
    """The same of all rows, with what each run tells of its learning."""
    yield from scored(paths, paths.study.rows)
    yield from runs(paths, paths.study.methods, RunFolder.metrics, RunFolder.evaluations)


def curves_and_scores(paths: Paths) -> Iterator[Path]:
    """The evaluations inside training of all methods, and the scores of all rows."""
    return runs_and_scores(paths, paths.study.rows, RunFolder.evaluations)


def measured(paths: Paths, policy: str | None = None) -> Iterator[Path]:
    """The measured credit of tokens under one policy or under all, and the problems where these tell what a token does."""
    rows = [row for row in measured_rows(paths.study) if policy in (None, row.name)]
    for row in rows:
        yield from paths.measurement(row).tables
    task = paths.study.model_task
    if rows and task and TASKS[task].KINDS_NEED_PROBLEM:
        yield from paths.training_problems


def measured_policies(paths: Paths) -> Iterator[Path]:
    """The measured credit of tokens under all policies, and the records of the runs that trained them."""
    yield from runs(paths, [row.method for row in measured_rows(paths.study) if row.method])
    yield from measured(paths)


def hindsight(paths: Paths) -> Iterator[Path]:
    """The measured credit of the base model's tokens, and their log-probs once it is told the answer."""
    yield from (paths.attribution(seed).hindsight for seed in paths.study.training.seeds)
    yield from measured(paths, BASE)


def gradients(paths: Paths) -> Iterator[Path]:
    """The gradients of each method's credit, and the records of the runs that stored it."""
    yield from runs(paths, paths.study.methods)
    for seed in paths.study.training.seeds:
        yield from (paths.attribution(seed).gradients, paths.attribution(seed).groups)


def ranking(paths: Paths) -> Iterator[Path]:
    """What the scoreboard reads of agreement, and the log-probs of a base model that is told the answer."""
    yield from runs(paths, paths.study.methods, RunFolder.rollouts)
    yield from hindsight(paths)


def data_recipes(paths: Paths) -> Iterator[Path]:
    """The histories of all searches for a data recipe, and the scores of all recipes that were tested."""
    for name, seed in searches(paths.study):
        yield paths.search(name, seed).history
    for each in tuned(paths.study):
        yield paths.tuned(each.line, each.seed).scores


def measures_base(study: Study) -> bool:
    """Whether a study measures the credit of the base model's tokens."""
    return study.oracle is not None and BASE in study.oracle.policies


def scoreboard(paths: Paths) -> Iterator[Path]:
    """What methods gave to the tokens of the base model, what they made of the model, and what the tokens' credit is."""
    files = (RunFolder.rollouts, RunFolder.metrics, RunFolder.evaluations)
    yield from runs_and_scores(paths, [row for row in paths.study.rows if row.method], *files)
    yield from measured(paths, BASE)


def verdicts(paths: Paths) -> Iterator[Path]:
    """All runs and scores, the curves where the paper prints them, and what runs and generations took."""
    study = paths.study
    curves = (RunFolder.metrics, RunFolder.evaluations) if "figure2" in study.targets else ()
    yield from runs_and_scores(paths, study.rows, RunFolder.timing, *curves)
    yield from (paths.usage("generate", row, name) for row in study.rows for name in study.benchmarks)


def claims(paths: Paths) -> Iterator[Path]:
    """What the contrasts of ``config/claims.yaml`` compare, as far as the study has it."""
    yield from _compared(
        paths, [contrast for claim in paths.study.config.claims.claims.values() for contrast in claim.contrasts]
    )


def experiments(paths: Paths) -> Iterator[Path]:
    """What the contrasts of the study's own experiments compare."""
    yield from _compared(
        paths, [each for experiment in paths.study.experiments.values() for each in experiment.contrasts]
    )


def _compared(paths: Paths, declared: Sequence[Contrast]) -> Iterator[Path]:
    study = paths.study
    base = base_row(study)
    kinds: dict[str, set[str]] = {}
    for contrast in declared:
        for name in [] if isinstance(contrast, CreditContrast) else [contrast.method, *contrast.against]:
            kinds.setdefault(base.name if name == BASE and base else name, set()).add(_what(contrast))
        if isinstance(contrast, ScoreContrast) and contrast.metric == "pass" and base:
            kinds.setdefault(base.name, set()).add("score")  # which decides k
    files = {
        "trained": RunFolder.metrics,
        "speed": RunFolder.metrics,
        "probe": RunFolder.probe,
        "steps": RunFolder.evaluations,
        "area": RunFolder.evaluations,
    }
    for row in study.rows:
        compared = kinds.get(row.name, set())
        if row.method and compared:
            folder = paths.run(row)
            yield from (folder.record, *(folder.folder / file.name for kind, file in files.items() if kind in compared))
        if "score" in compared:
            yield paths.evaluation(row).scores
    policies = {name for contrast in declared if isinstance(contrast, CreditContrast) for name in contrast.policies}
    yield from runs(paths, [row.method for row in measured_rows(study) if row.method in policies])
    for name in dict.fromkeys(row.name for row in measured_rows(study) if row.name in policies):
        yield from measured(paths, name)


def _what(contrast: Contrast) -> str:
    """What a contrast compares, as the files that hold it are told apart."""
    if isinstance(contrast, EntropyContrast):
        return contrast.tokens
    return contrast.measure if isinstance(contrast, SpeedContrast) else contrast.kind
