"""Checks of a study beyond its keys: every name in it exists, its numbers are within their limits, and its model can read the problems."""

from __future__ import annotations

from pathlib import Path

from tokencredit.config.claim_keys import BASE
from tokencredit.config.data_recipe_keys import SOURCES, DataRecipe, DropSource
from tokencredit.config.keys import GeneratedDataset
from tokencredit.config.model_keys import DEQUANTISED, EmbeddedModel, PackageModel
from tokencredit.config.reading import known
from tokencredit.config.study_keys import StudyFile
from tokencredit.config.tables import Tables
from tokencredit.credit import METHODS
from tokencredit.credit.columns import TOLD, columns_of
from tokencredit.errors import UserError


def check_study(path: Path, file: StudyFile, config: Tables) -> None:
    """Raises ``UserError`` where the study ``file``, read from ``path``, does not fit to the rest of ``config``."""
    _check_names(path, file, config)
    _check_tested_apart(path, file, config)
    _check_resources(path, file, config)
    _check_counts(path, file, config)
    if file.data_recipe is not None:
        _check_data_recipe(path, file, file.data_recipe, config)
    _check_answer_told(path, file, config)
    _check_attribution(path, file, config)
    _check_kinds_known(path, file, config)
    _check_groups(path, file, config)
    _check_resets(path, file, config)
    _check_embedded(path, file, config)


def _check_names(path: Path, file: StudyFile, config: Tables) -> None:
    training, evaluation = file.training, file.evaluation
    known(path, "model", file.model, config.models)
    if file.resources.gpu_model is not None:
        known(path, "resources.gpu_model", file.resources.gpu_model, config.gpus)
    for method in training.methods:
        known(path, "training.methods", method, config.methods)
    known(path, "reference", file.reference, training.methods)
    for name, experiment in file.experiments.items():
        for index, contrast in enumerate(experiment.contrasts):
            key = f"experiments.{name}.contrasts.{index}"
            others = [method for method in training.methods if method != contrast.method]
            known(path, f"{key}.method", contrast.method, training.methods)
            for other in contrast.against:
                known(path, f"{key}.against", other, [*([BASE] if contrast.kind == "score" else []), *others])
    for policy in file.oracle.policies if file.oracle else ():
        known(path, "oracle.policies", policy, [BASE, *training.methods])
    for dataset in training.datasets:
        known(path, "training.datasets", dataset, config.datasets)
    if file.start:
        known(path, "start.dataset", file.start.dataset, config.datasets)
        if file.start.warmup_steps > file.start.steps:
            raise UserError(
                f"{path}: start.warmup_steps = {file.start.warmup_steps}: must not exceed the {file.start.steps} updates of the start."
            )
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
        if isinstance(config.models[row.model], PackageModel) and DEQUANTISED not in row.title:
            raise UserError(
                f"{path}: evaluation.rows.{index}.title = {row.title!r}: {row.model} comes from a quantised file; "
                f"the title must say {DEQUANTISED!r}."
            )
        if row.name in training.methods:
            raise UserError(
                f"{path}: evaluation.rows.{index}.name = {row.name!r}: is the name of a trained method; "
                "every row needs a name of its own."
            )


def _check_data_recipe(path: Path, file: StudyFile, recipe: DataRecipe, config: Tables) -> None:
    use, key = recipe.validation, "data_recipe.validation"
    known(path, f"{key}.benchmark", use.benchmark, config.benchmarks)
    validation = config.benchmarks[use.benchmark]
    if use.problems is not None and use.problems > validation.problems:
        raise UserError(
            f"{path}: {key}.problems = {use.problems}: {use.benchmark} has {validation.problems} problems, no more are allowed."
        )
    for test in file.evaluation.benchmarks:
        if config.benchmarks[test.benchmark].dataset == validation.dataset:
            raise UserError(
                f"{path}: {key}.benchmark = {use.benchmark!r}: is of the data set {validation.dataset!r}, on which the study is evaluated "
                f"({test.benchmark}); a search that scores on a test leaves none."
            )
    embedded = config.is_embedded(file.model)
    if (recipe.pool.kind == "embedded") != embedded:
        raise UserError(
            f"{path}: data_recipe.pool.kind = {recipe.pool.kind!r}: {file.model!r} is {'an embedded' if embedded else 'a released'} model; "
            f"its pool must be {'embedded' if embedded else 'file'!r}."
        )
    for name, steps in recipe.recipes.items():
        for step in steps:
            if embedded and isinstance(step, DropSource):
                known(path, f"data_recipe.recipes.{name}: source", step.source, SOURCES)
    if recipe.start is not None and file.oracle is not None and BASE in file.oracle.policies:
        raise UserError(
            f"{path}: oracle.policies = {BASE!r}: training starts from the winner of a search (data_recipe.start), so that the responses "
            f"of its first step are not the base model's own; measure trained methods, or take data_recipe.start away."
        )


def _check_tested_apart(path: Path, file: StudyFile, config: Tables) -> None:
    """No benchmark is of a data set that is trained on; what else they share is for the overlap reports to say."""
    watched = [("training.curve.benchmark", file.training.curve.benchmark)]
    uses = [(f"evaluation.benchmarks.{i}.benchmark", use.benchmark) for i, use in enumerate(file.evaluation.benchmarks)]
    for key, benchmark in [*watched, *uses]:
        tested = config.benchmarks[benchmark].dataset
        for trained in file.training.datasets:
            if trained == tested or _content(trained, config) == _content(tested, config):
                same = (
                    f"{tested!r}" if trained == tested else f"{tested!r}, which holds the same problems as {trained!r}"
                )
                raise UserError(
                    f"{path}: {key} = {benchmark!r}: is of the data set {same}, one of training.datasets; "
                    f"a study is not tested with what it trains on."
                )


def _content(dataset: str, config: Tables) -> dict[str, object]:
    """What decides the problems of a data set."""
    return config.datasets[dataset].model_dump(exclude={"title", "licence", "grader", "file", "hub"})


def _check_resources(path: Path, file: StudyFile, config: Tables) -> None:
    teachers = [config.methods[method].teacher for method in file.training.methods]
    models = [file.model, *(row.model for row in file.evaluation.rows), *filter(None, teachers)]
    made = [name for name in models if isinstance(config.models[name], EmbeddedModel)]
    if file.resources.pretrain is None and (made or file.start):
        what = f"the embedded model {made[0]!r} is made" if made else "the supervised start is a job"
        raise UserError(f"{path}: resources.pretrain: this key is missing; {what} with what it says.")


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


def _check_attribution(path: Path, file: StudyFile, config: Tables) -> None:
    if not file.attribution:
        return
    if file.oracle is None or BASE not in file.oracle.policies:
        raise UserError(
            f"{path}: attribution: is of measured responses of the base model; oracle.policies must hold {BASE!r}."
        )
    if config.models[file.model].privileged_prompt is None:
        raise UserError(
            f"{path}: attribution: scores responses by a policy that knows the answer; models.{file.model}.privileged_prompt is missing."
        )


def _check_kinds_known(path: Path, file: StudyFile, config: Tables) -> None:
    for name in file.training.methods:
        if "kind" in columns_of(config.methods[name].credit) and _task(file.model, config) is None:
            raise UserError(
                f"{path}: training.methods = {name!r}: goes by the kinds of tokens, which embedded tasks alone know; "
                f"{file.model!r} is a released model."
            )


def _check_groups(path: Path, file: StudyFile, config: Tables) -> None:
    """An update sees parts of groups where these are scattered, and a method of the update stage would take them for whole."""
    for name in file.training.methods:
        credit = config.methods[name].credit
        if not file.training.keep_groups_together and METHODS[credit].stage == "update":
            raise UserError(
                f"{path}: training.keep_groups_together = false: {name!r} assigns credit at each update, where groups have to be whole; "
                "leave it out, or keep groups together."
            )


def _check_resets(path: Path, file: StudyFile, config: Tables) -> None:
    """A prompt's responses are two groups of equal size, each with a mean of its own."""
    training = file.training
    for name in training.methods:
        if config.methods[name].resets is None:
            continue
        if training.group_size % 2 or training.group_size < 4:
            raise UserError(
                f"{path}: training.group_size = {training.group_size}: {name!r} halves it, for responses to the prompt and for restarts; "
                f"it must be even, and at least 4."
            )
        if training.balance_rewards is not None:
            raise UserError(
                f"{path}: training.balance_rewards = {training.balance_rewards:g}: {name!r} restarts failed responses and keeps all of "
                f"its groups; leave one of the two out."
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
    if file.data_recipe is not None:
        use = file.data_recipe.validation
        trained.append(("data_recipe.validation.benchmark", config.benchmarks[use.benchmark].dataset))
    trained += [("start.dataset", file.start.dataset)] if file.start else []
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
