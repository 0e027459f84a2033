"""The environment of ``envs/`` that a rule's jobs run in."""

from __future__ import annotations

from pathlib import Path

from tokencredit.config import Study

ENVIRONMENTS = Path("envs")
# Rules that work on a model, with the part of a study that says with what.
STAGES = {
    "train": "training",
    "oracle": "training",
    "attribute": "training",
    "pool": "training",
    "search": "training",
    "tune": "training",
    "generate": "evaluation",
}


def environment_of(rule: str, study: Study) -> str:
    """The environment of ``envs/`` for a rule that works on a model: vLLM asks for versions of its own, so it has one of its own."""
    if getattr(study, STAGES[rule]).engine == "vllm":
        return "vllm"
    return "evaluate" if rule == "generate" else "train"
