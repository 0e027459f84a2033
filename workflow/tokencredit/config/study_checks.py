"""What a study must keep to beside its own keys: every name in it found, its numbers within what they name, its model able to read it."""

from __future__ import annotations

from pathlib import Path

from tokencredit.config.claim_keys import BASE
from tokencredit.config.keys import EmbeddedModel, GeneratedDataset
from tokencredit.config.reading import known
from tokencredit.config.study_keys import StudyFile
from tokencredit.config.tables import Tables
from tokencredit.credit.columns import TOLD, columns_of
from tokencredit.errors import UserError


def check_study(path: Path, file: StudyFile, config: Tables) -> None:
    """Raises ``UserError`` where the study ``file``, read from ``path``, does not fit to the rest of ``config``."""
    _check_names(path, file, config)
    _check_counts(path, file, config)
    _check_answer_told(path, file, config)
    _check_kinds_known(path, file, config)
    _check_embedded(path, file, config)


def _check_names(path: Path, file: StudyFile, config: Tables) -> None:
    training, evaluation = file.training, file.evaluation
    known(path, "model", file.model, config.models)
    if file.resources.gpu_model is not None:
        known(path, "resources.gpu_model", file.resources.gpu_model, config.gpus)
    for method in training.methods:
        known(path, "training.methods", method, config.methods)
    known(path, "reference", file.reference, training.methods)
    for policy in file.oracle.policies if file.oracle else ():
        known(path, "oracle.policies", policy, [BASE, *training.methods])
    for dataset in training.datasets:
        known(path, "training.datasets", dataset, config.datasets)
    graders = {name: config.datasets[name].grader for name in training.datasets}
    if len(set(graders.values())) > 1:
        named = ", ".join(f"{name} by {grader!r}" for name, grader in graders.items())
        raise UserError(
            f"{path}: training.datasets: are graded in different ways ({named}); a study trains with one grader."
        )
    known(path, "training.curve.benchmark", training.curve.benchmark, config.benchmarks)
    for index, use in enumerate(evaluation.benchmarks):
        known(path, f"evaluation.benchmarks.{index}.benchmark", use.benchmark, config.benchmarks)
    for index, row in enumerate(evaluation.rows):
        known(path, f"evaluation.rows.{index}.model", row.model, config.models)
        if row.name in training.methods:
            raise UserError(
                f"{path}: evaluation.rows.{index}.name = {row.name!r}: is the name of a trained method; "
                "every row needs a name of its own."
            )


def _check_counts(path: Path, file: StudyFile, config: Tables) -> None:
    curve = file.training.curve
    limits = [("training.curve.problems", curve.benchmark, curve.problems)]
    for index, use in enumerate(file.evaluation.benchmarks):
        limits.append((f"evaluation.benchmarks.{index}.problems", use.benchmark, use.problems))
    for key, benchmark, wanted in limits:
        available = config.benchmarks[benchmark].problems
        if wanted is not None and wanted > available:
            raise UserError(f"{path}: {key} = {wanted}: {benchmark} has {available} problems, no more are allowed.")
    last, steps = (file.analysis.speed_steps or [0, 0])[1], file.training.steps
    if last > steps:
        raise UserError(
            f"{path}: analysis.speed_steps.1 = {last}: training has {steps} steps, no later one is allowed."
        )
    for method in file.training.methods:
        buffer = config.recipes[config.methods[method].recipe].overlong_buffer
        limit = file.training.sampling.max_response_tokens
        if buffer > limit:
            raise UserError(
                f"{path}: training.sampling.max_response_tokens = {limit}: "
                f"{method} has an overlong_buffer of {buffer} tokens, at least as many are needed."
            )


def _check_answer_told(path: Path, file: StudyFile, config: Tables) -> None:
    for name in file.training.methods:
        told = not {*TOLD}.isdisjoint(columns_of(config.methods[name].credit))
        if told and config.models[file.model].privileged_prompt is None:
            raise UserError(
                f"{path}: training.methods = {name!r}: scores responses by a policy that knows the answer; "
                f"models.{file.model}.privileged_prompt is missing."
            )


def _check_kinds_known(path: Path, file: StudyFile, config: Tables) -> None:
    for name in file.training.methods:
        if "kind" in columns_of(config.methods[name].credit) and _task(file.model, config) is None:
            raise UserError(
                f"{path}: training.methods = {name!r}: goes by the kinds of tokens, which embedded tasks alone know; "
                f"{file.model!r} is a released model."
            )


def _task(name: str, config: Tables) -> str | None:
    """The task of an embedded model; None for a released one."""
    model = config.models[name]
    return model.task if isinstance(model, EmbeddedModel) else None


def _check_embedded(path: Path, file: StudyFile, config: Tables) -> None:
    """Embedded models know the words of generated problems only, prompts and responses up to their length, and no other's tokens."""
    training, evaluation = file.training, file.evaluation
    uses = [(f"evaluation.benchmarks.{i}.benchmark", use.benchmark) for i, use in enumerate(evaluation.benchmarks)]
    tested = [(key, config.benchmarks[name].dataset) for key, name in uses]
    trained = [("training.datasets", name) for name in training.datasets]
    trained.append(("training.curve.benchmark", config.benchmarks[training.curve.benchmark].dataset))
    models = [(file.model, [*trained, *tested], [training.sampling, evaluation.sampling])]
    models += [(row.model, tested, [evaluation.sampling]) for row in evaluation.rows]
    for method in file.training.methods:
        if teacher := config.methods[method].teacher:
            if teacher == file.model:
                raise UserError(
                    f"{path}: training.methods = {method!r}: its teacher is the model that is trained: "
                    f"there is nothing to learn from it."
                )
            if config.models[teacher].kind != config.models[file.model].kind:
                raise UserError(
                    f"{path}: training.methods = {method!r}: its teacher {teacher!r} does not share the tokens of {file.model!r}: "
                    f"one of the two is an embedded model."
                )
            if _task(teacher, config) != _task(file.model, config):
                raise UserError(
                    f"{path}: training.methods = {method!r}: its teacher {teacher!r} is of the task {_task(teacher, config)!r}, "
                    f"{file.model!r} of {_task(file.model, config)!r}: they do not share their tokens."
                )
            models.append((teacher, [], [training.sampling]))
    for name, datasets, samplings in models:
        model = config.models[name]
        if not isinstance(model, EmbeddedModel):
            continue
        for key, dataset in datasets:
            problems = config.datasets[dataset]
            if not isinstance(problems, GeneratedDataset):
                raise UserError(
                    f"{path}: {key}: the data set {dataset!r} is not generated; "
                    f"the embedded model {name!r} reads generated problems only."
                )
            if problems.task != model.task:
                raise UserError(
                    f"{path}: {key}: the data set {dataset!r} is of the task {problems.task!r}; "
                    f"the embedded model {name!r} reads problems of {model.task!r} only."
                )
        longest = max(sampling.longest for sampling in samplings)
        if longest > model.max_tokens:
            raise UserError(
                f"{path}: max_prompt_tokens + max_response_tokens = {longest}: "
                f"models.{name}.max_tokens allows at most {model.max_tokens}."
            )
