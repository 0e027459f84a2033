"""Evaluation in three stages: generate, grade, score."""
