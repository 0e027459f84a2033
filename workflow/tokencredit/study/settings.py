"""The settings that decide the result of a job, as plain JSON: a job runs again when they change."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from tokencredit.config import Config, Row, Study
from tokencredit.config.study import NEVER_THE_RESULT


def dataset(config: Config, name: str) -> dict[str, Any]:
    """The pins of a data set, and whether it is a benchmark's: benchmarks keep their repeats."""
    tested = any(benchmark.dataset == name for benchmark in config.benchmarks.values())
    return {
        **config.datasets[name].model_dump(mode="json", exclude={"title", "licence", "grader"}),
        "benchmark": tested,
    }


def model(config: Config, name: str) -> dict[str, Any]:
    return config.models[name].model_dump(
        mode="json", exclude={"title", "licence", "privileged_prompt", "architecture"}
    )


def scores(study: Study, row: Row) -> dict[str, Any]:
    return {name: study.evaluation_config(row, name) for name in study.benchmarks}


def measurement(study: Study) -> dict[str, Any]:
    """Everything in the configuration, beside what decides the runs and the models, that decides a measurement, as plain JSON."""
    training = study.training
    return {
        "oracle": study.oracle.model_dump(mode="json", exclude={"policies"}),
        "sampling": training.sampling.model_dump(mode="json"),
        "engine": training.engine,
        "mixed_precision": training.mixed_precision,
        "prompt": study.config.models[study.model_name].prompt,
    }


def attribution(study: Study) -> dict[str, Any]:
    """Everything in the configuration, beside what decides the runs and the model, that decides an attribution."""
    model, sampling = study.config.models[study.model_name], study.training.sampling
    return {
        "reference": study.reference,
        "recipes": {name: study.recipe_of(name).aggregation for name in study.methods},
        "temperature": sampling.temperature,
        "max_response_tokens": sampling.max_response_tokens,
        "prompt": model.prompt,
        "privileged_prompt": model.privileged_prompt,
    }


def pool(study: Study) -> dict[str, Any]:
    """What decides the rows that data recipes choose from, and their signals, beside the model and the problems."""
    recipe = study.data_recipe
    return {
        **recipe.model_dump(mode="json", include={"pool", "target"}),
        "validation": study.validation.problems,
        "tests": [benchmark.problems for benchmark in study.benchmarks.values()],
        "sampling": study.training.sampling.model_dump(mode="json"),
        "mixed_precision": study.training.mixed_precision,
        "prompt": study.config.models[study.model_name].prompt,
    }


def _evaluated(study: Study) -> dict[str, Any]:
    """What decides the model that a recipe's rows make and its score, beside the rows."""
    training = study.training
    return {
        "tuning": study.data_recipe.tuning.model_dump(mode="json"),
        "validation": study.validation.model_dump(mode="json", include={"samples", "problems"}),
        "grader": study.grader_of(study.data_recipe.validation.benchmark),
        "evaluation": {"seed": study.evaluation.seed, "sampling": study.evaluation.sampling.model_dump(mode="json")},
        "engine": training.engine,
        "mixed_precision": training.mixed_precision,
        "prompt": study.config.models[study.model_name].prompt,
    }


def search(study: Study, name: str) -> dict[str, Any]:
    """Everything in the configuration that decides what a search finds, beside the pool, the model and the problems."""
    how = {"evaluations", "probes", "proposals", "patience", "exploration", "longest"}
    return {"search": name, **study.data_recipe.model_dump(mode="json", include=how), **_evaluated(study)}


def tuning(study: Study, line: str) -> dict[str, Any]:
    """Everything in the configuration that decides a line of the table of data recipes, beside what the searches found."""
    steps = study.data_recipe.model_dump(mode="json")["recipes"].get(line)
    tests = {
        name: {"samples": benchmark.samples, "problems": benchmark.problems, "grader": study.grader_of(name)}
        for name, benchmark in study.benchmarks.items()
    }
    return {"line": line, "recipe": steps, "tests": tests, **_evaluated(study)}


def analysis(study: Study) -> dict[str, Any]:
    """Everything in the configuration that tables and figures may show."""
    return {
        "study": study.file.model_dump(mode="json", exclude={"resources": True, "training": NEVER_THE_RESULT}),
        # Stored tables and bundles were made from settings with the names `base` and `cell`: another name would make all of them anew.
        "methods": {
            name: _renamed(method.model_dump(mode="json"), "recipe", "base") for name, method in study.methods.items()
        },
        "rows": [_renamed(asdict(row), "method", "cell") for row in study.rows],
        "benchmarks": {name: benchmark.model_dump(mode="json") for name, benchmark in study.benchmarks.items()},
        "targets": study.targets_config(),
        "claims": study.config.claims.model_dump(mode="json") if study.config.claims else {},
    }


def declaration(study: Study) -> dict[str, Any]:
    """What the study's file declares of its experiments: what is trained and evaluated, and what decides each."""
    keys = {"model", "reference", "start", "training", "evaluation", "analysis", "experiments"}
    return study.file.model_dump(mode="json", include=dict.fromkeys(keys, True), exclude={"training": NEVER_THE_RESULT})


def whole_file(study: Study) -> dict[str, Any]:
    """All that a study's file says, but for what jobs may take."""
    return study.file.model_dump(mode="json", exclude={"resources"})


def page(study: Study) -> dict[str, Any]:
    """What the page may show: that, and what its jobs were to take, with all that the estimate is made from."""
    config, gpu = study.config, study.resources.gpu_model
    return {
        **analysis(study),
        "study": whole_file(study),
        "resources": study.resources.model_dump(mode="json"),
        "models": {name: config.models[name].model_dump(mode="json") for name in study.model_names},
        "gpu": config.gpus[gpu].model_dump(mode="json") if gpu else None,
    }


def _renamed(entry: dict[str, Any], old: str, new: str) -> dict[str, Any]:
    return {new if key == old else key: value for key, value in entry.items()}
