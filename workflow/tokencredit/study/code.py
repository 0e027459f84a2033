"""Which code decides a result: the digest behind each kind of job, of its own stage and of nothing that it does not take."""

from __future__ import annotations

from tokencredit.config import EmbeddedModel, Study
from tokencredit.credit import METHODS
from tokencredit.data.tasks import TASKS
from tokencredit.provenance import code_digest

# The modules that only one engine takes: weights of its own need a canary.
_ONLY = {"transformers": ("engines.transformers_engine",), "vllm": ("engines.vllm_engine", "engines.canary")}


def code_of_others(name: str) -> tuple[str, ...]:
    """The modules that the engine called ``name`` does not take: a change in them changes nothing that it samples."""
    return tuple(module for engine, modules in _ONLY.items() if engine != name for module in modules)


def code_of_task(task: str) -> str:
    """The module of an embedded task. Tasks are found by their files: no import leads to the one that is taken."""
    return TASKS[task].__name__.removeprefix("tokencredit.")


def data_code(task: str | None) -> str:
    """The digest of the code behind a data set: of the generator with its own task and not the others, or of what reads a file."""
    return (
        code_digest("data.prepare", code_of_task(task))
        if task
        else code_digest("data.prepare", without=("data.embedded",))
    )


def pretraining_code(task: str) -> str:
    """The digest of the code behind a model trained here, with its own task and not the others."""
    return code_digest("base.pretrain", code_of_task(task))


def training_code(engine: str, credit: str, control: str | None = None) -> str:
    """The digest of the code behind a cell: the trainer with its engine, and the file of its own credit method, not of the others.

    The file of the controls counts where the cell has one.
    """
    unused = () if control else ("credit.controls",)
    return code_digest("train.__main__", METHODS[credit].module, without=(*code_of_others(engine), *unused))


def generation_code(engine: str) -> str:
    """The digest of the code behind a table of generations: the generator with its own engine, not with the other.

    The policy's passes count where the engine's log-probs are compared with them.
    """
    unused = () if engine == "vllm" else ("policy",)
    return code_digest("evaluate.generate", "base", without=(*code_of_others(engine), *unused))


def oracle_code(engine: str) -> str:
    """The digest of the code behind a measurement, with its own engine and not the other."""
    return code_digest("oracle.__main__", without=code_of_others(engine))


def exhibit_code(study: Study, *modules: str) -> str:
    """The digest of the code behind a table, a figure or the page; the task of the study's model tells what its tokens do."""
    model = study.config.models[study.model_name]
    return code_digest(*modules, *([code_of_task(model.task)] if isinstance(model, EmbeddedModel) else []))
