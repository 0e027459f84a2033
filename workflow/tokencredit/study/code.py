"""Which code decides the result of a job: the digest of its own stage, and of nothing that the stage does not use."""

from __future__ import annotations

from functools import cache

from tokencredit.config import Config, EmbeddedModel, GeneratedDataset, Study
from tokencredit.credit import METHODS
from tokencredit.provenance import code_digest

# The modules that only one engine takes: weights of its own need a canary.
_OF_ENGINES = {"transformers": ("engines.transformers_engine",), "vllm": ("engines.vllm_engine", "engines.canary")}
# Of an embedded task what makes its problems and its texts; what else it holds says something about them.
_GENERATORS = ("TIERS", "LARGEST", "make_problem", "sample_solution", "careful_solution", "phrases")
# The modules that make columns of few methods.
_MAKERS_OF_FEW = {
    "train.measuring": ("value", "information", "state", "response_step"),
    "train.kinds": ("kind",),
    "train.states": ("hidden", "uniqueness"),
    "train.resets": ("begun",),
}
# A graph asks for the digests of hundreds of jobs, which share most of them.
_digest = cache(code_digest)


def dataset(config: Config, name: str) -> str:
    """The code behind a data set: of a generated one with its own task and not the others."""
    dataset = config.datasets[name]
    if not isinstance(dataset, GeneratedDataset):
        return _digest("data.prepare", without=("data.embedded",))
    english = (f"{_module_of(dataset.task)}.english_solution",) if dataset.solutions == "english" else ()
    return _digest("data.prepare", *_generator_of(dataset.task), *english)


def pretraining(model: EmbeddedModel) -> str:
    """The code of a model that is trained here, with its own task and not the others."""
    return _digest("base.pretrain.pretrained", *_generator_of(model.task))


def fetching(kind: str) -> str:
    """What makes a released model of one kind available: each has a module of its own."""
    return _digest(f"base.{kind}")


def starting() -> str:
    """The code of a study's supervised start."""
    return _digest("train.start.start", without=("credit",))


def overlap() -> str:
    return _digest("data.overlap")


def audit() -> str:
    return _digest("grading.audit")


def training(engine: str, credit: str, control: str | None = None, task: str | None = None) -> str:
    """The trainer with its engine, and the file of its own credit method, not of the others.

    The file of the controls counts where the method has one, what makes columns of few methods where the method declares one of them, and
    what tells the kinds of tokens in ``task``, that of the model, where the method asks for these.
    """
    columns = {*METHODS[credit].columns}
    unused = () if control else ("credit.controls",)
    unused += tuple(module for module, made in _MAKERS_OF_FEW.items() if columns.isdisjoint(made))
    kinds = _kinds_in(task) if "kind" in columns else ()
    return _digest(
        "train.loop.train",
        "train.processes.joined",
        METHODS[credit].module,
        *kinds,
        without=(*_other_engines(engine), *unused),
    )


def generation(engine: str) -> str:
    """The generator with its own engine, not with the other.

    The policy's passes count where the engine's log-probs are compared with them. No credit is assigned.
    """
    unused = ("credit",) if engine == "vllm" else ("credit", "policy")
    return _digest("evaluate.generate.generate_row", without=(*_other_engines(engine), *unused))


def grading() -> str:
    return _digest("evaluate.grade")


def scoring() -> str:
    return _digest("evaluate.score")


def oracle(engine: str) -> str:
    """A measurement, with its own engine and not the other. No credit is assigned in one."""
    return _digest("oracle.measurement.measure_policy", without=(*_other_engines(engine), "credit"))


def attribution() -> str:
    """An attribution reads the credit that training stored; no response is sampled in one."""
    return _digest("oracle.attribution.attribute", without=(*_other_engines("transformers"), "credit.controls"))


def pool(study: Study) -> str:
    """The rows that data recipes choose from, with the task that makes them, and their signals."""
    task = _generator_of(study.model_task) if study.model_task else ()
    return _digest("data_recipe.stage.make_pool", *task, without=(*_other_engines(study.training.engine), "credit"))


def search(study: Study) -> str:
    """A search, with the engine that samples and not the other. No credit is assigned in one."""
    return _digest("data_recipe.stage.search", without=(*_other_engines(study.training.engine), "credit"))


def tuning(study: Study) -> str:
    """A supervised start and its scores; which recipe it is comes from a search or the configuration."""
    return _digest("data_recipe.stage.tune", without=(*_other_engines(study.training.engine), "credit"))


def exhibit(study: Study, kind: str, name: str) -> str:
    """A table or figure: its own module, how its kind is written, and the task of the study's model, which tells what tokens do."""
    parts = ("records", "wide") if kind == "table" else ("draw",)
    own = (f"analysis.{kind}s.{name}.{part}" for part in parts)
    return _digest(f"analysis.{kind}s.make", *own, *_kinds_in(study.model_task))


def page(study: Study) -> str:
    return _digest("analysis.page.write", *_kinds_in(study.model_task))


def _other_engines(name: str) -> tuple[str, ...]:
    """The modules that the engine called ``name`` does not take: a change in them changes nothing that it samples."""
    return tuple(module for engine, modules in _OF_ENGINES.items() if engine != name for module in modules)


def _generator_of(task: str) -> tuple[str, ...]:
    """What of an embedded task makes its problems and texts. Tasks are found by their files: no import leads to the one that is taken."""
    return tuple(f"{_module_of(task)}.{name}" for name in _GENERATORS)


def _kinds_in(task: str | None) -> tuple[str, ...]:
    """What tells the kinds of tokens, where there is a task."""
    return (f"{_module_of(task)}.kinds",) if task else ()


def _module_of(task: str) -> str:
    """A task is a file of its name."""
    return f"data.tasks.{task.replace('-', '_')}"
