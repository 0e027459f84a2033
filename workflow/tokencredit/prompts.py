"""From a problem to the tokens that a model is given: one place, so that training and evaluation ask in the same words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tokencredit.errors import UserError
from tokencredit.records import Problem


def prompt_of(template: str, problem: str) -> str:
    """The prompt: ``{problem}`` replaced; other braces, as in ``\\boxed{}``, stay what they are."""
    return template.replace("{problem}", problem)


def encode_prompt(tokenizer: Any, template: str, problem: Problem) -> tuple[int, ...]:
    """The tokens of a problem's whole prompt; nothing is added to the template."""
    return tuple(tokenizer.encode(prompt_of(template, problem.problem), add_special_tokens=False))


def encode_prompts(
    tokenizer: Any, template: str, problems: Sequence[Problem], max_tokens: int
) -> list[tuple[int, ...]]:
    """The tokens of each problem's prompt. Raises ``UserError`` for a prompt of more than ``max_tokens`` tokens."""
    prompts = [encode_prompt(tokenizer, template, problem) for problem in problems]
    for problem, tokens in zip(problems, prompts, strict=True):
        if len(tokens) > max_tokens:
            raise UserError(
                f"problem {problem.problem_id}: its prompt has {len(tokens)} tokens; "
                f"sampling.max_prompt_tokens = {max_tokens} allows no more than that."
            )
    return prompts
