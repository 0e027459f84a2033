"""From a problem to the tokens of its prompt: in one place, so that training and evaluation use the same prompt."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tokencredit.errors import UserError
from tokencredit.records import Problem

if TYPE_CHECKING:
    from tokencredit.config import Model


def prompt_of(template: str, problem: str) -> str:
    """The prompt: ``{problem}`` replaced; other braces, as in ``\\boxed{}``, stay what they are."""
    return template.replace("{problem}", problem)


def encode_prompt(tokenizer: Any, template: str, problem: Problem) -> tuple[int, ...]:
    """The tokens of a problem's whole prompt; nothing is added to the template."""
    return tuple(tokenizer.encode(prompt_of(template, problem.problem), add_special_tokens=False))


def encode_privileged_prompt(tokenizer: Any, model: Model, problem: Problem) -> tuple[int, ...]:
    """The tokens of the model's ``privileged_prompt``, with the problem and its gold answer.

    ``UserError`` for a text that an embedded model cannot read: its tokenizer has no token for what it does not know.
    """
    values = {"problem": problem.problem, "answer": problem.answer}
    text = re.sub(r"\{(problem|answer)\}", lambda match: values[match[1]], model.privileged_prompt)
    if model.kind == "embedded":
        known = tokenizer.get_vocab()
        for piece, _ in tokenizer.backend_tokenizer.pre_tokenizer.pre_tokenize_str(text):
            if piece not in known:
                raise UserError(
                    f"privileged_prompt = {model.privileged_prompt!r}: the embedded model cannot read {piece!r} in {text!r}."
                )
    return tuple(tokenizer.encode(text, add_special_tokens=False))


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
