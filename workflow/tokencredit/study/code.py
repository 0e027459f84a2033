"""Which code decides a result: the code digest of each kind of job."""

from __future__ import annotations

from tokencredit.credit import METHODS
from tokencredit.data import MODULES
from tokencredit.provenance import code_digest

# The modules that only one engine takes: weights of its own need a canary.
_ONLY = {"transformers": ("engines.transformers_engine",), "vllm": ("engines.vllm_engine", "engines.canary")}


def code_of_others(name: str) -> tuple[str, ...]:
    """The modules that the engine called ``name`` does not take: a change in them changes nothing that it samples."""
    return tuple(module for engine, modules in _ONLY.items() if engine != name for module in modules)


def code_of_other_tasks(task: str) -> tuple[str, ...]:
    """The modules that ``task`` does not take: a change in them changes none of its problems."""
    return tuple(module for name, module in MODULES.items() if name != task)


def training_code(engine: str, credit: str, control: str | None = None) -> str:
    """The digest of the code behind a run: the trainer with its engine, and the file of its own credit method, not of the others.

    The file of the controls counts if the method has a control.
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
