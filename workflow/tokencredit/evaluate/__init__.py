"""Evaluation in three stages: generate, grade, score. Here: generation, the count contract, estimators and statistics."""

from tokencredit.evaluate.estimators import avg_at_k, maj_at_k, pass_at_k

__all__ = ["avg_at_k", "maj_at_k", "pass_at_k"]
