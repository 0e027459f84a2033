"""Evaluation in three stages: generate, grade, score. Here: generation, the count contract, estimators and statistics."""

from tokencredit.engines import code_of_others
from tokencredit.evaluate.estimators import avg_at_k, pass_at_k
from tokencredit.evaluate.votes import maj_at_k
from tokencredit.provenance import code_digest

__all__ = ["avg_at_k", "generation_code", "maj_at_k", "pass_at_k"]


def generation_code(engine: str) -> str:
    """The digest of the code behind a table of generations: the generator with its own engine, not with the other.

    The policy's passes count where the engine's log-probs are compared with them.
    """
    unused = () if engine == "vllm" else ("policy",)
    return code_digest("evaluate.generate", "base", without=(*code_of_others(engine), *unused))
