"""A policy over five tokens and responses of up to four, small enough to enumerate: the truth that measuring has to find."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import torch

from tests.models import known_model
from tokencredit.engines.transformers_engine import TransformersEngine
from tokencredit.oracle.measure import Oracle, Settings
from tokencredit.oracle.responses import Taken
from tokencredit.records import Request

LETTERS, END, LONGEST = "abcd", 4, 4
LOGITS = torch.tensor(np.random.default_rng(3).normal(0, 1.2, (5, 5)))
SETTINGS = Settings(
    continuations=128, fewest=8, mass=1.0, most_tokens=5, temperature=0.8, top_p=1.0, max_tokens=LONGEST, seed=0
)


class Letters:
    """The part of a tokenizer that sampling needs."""

    eos_token_id = END

    def decode(self, ids: Iterable[int], skip_special_tokens: bool) -> str:
        return "".join(LETTERS[each] for each in ids)


class Rule:
    """Grades by ``outcome`` and counts what it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def grade_many(self, pairs: Sequence[tuple[str, str]]) -> list[SimpleNamespace]:
        self.asked += len(pairs)
        return [SimpleNamespace(outcome=outcome(text)) for _, text in pairs]


def outcome(text: str) -> str:
    return "right" if "ab" in text or text.endswith("c") else "wrong"


def policy(last: int, settings: Settings = SETTINGS) -> np.ndarray:
    """The distribution after a token, [5]."""
    probability = torch.softmax(LOGITS[last] / settings.temperature, dim=-1).numpy()
    if settings.top_p < 1:
        order = np.argsort(-probability)
        before = np.cumsum(probability[order]) - probability[order]
        probability[order[before >= settings.top_p]] = 0
    return probability / probability.sum()


def right_after(tokens: tuple[int, ...], settings: Settings = SETTINGS) -> float:
    """The probability that a response which begins with ``tokens`` is right, by going through all that may follow."""
    if tokens[-1] == END or len(tokens) == LONGEST:
        text = Letters().decode(tokens[:-1] if tokens[-1] == END else tokens, True)
        return float(outcome(text) == "right")
    return sum(p * right_after((*tokens, v), settings) for v, p in enumerate(policy(tokens[-1], settings)) if p)


def oracle(batch_size: int = 256, **changes: float) -> Oracle:
    model = known_model(LOGITS)
    return Oracle(
        model, TransformersEngine(model, Letters(), batch_size), Rule(), Letters(), replace(SETTINGS, **changes)
    )


def responses(oracle: Oracle, problems: int = 4, samples: int = 2) -> list[Taken]:
    """Responses of the policy itself, each after a prompt of one token."""
    keys = [(problem, sample) for problem in range(problems) for sample in range(samples)]
    sampled = oracle.engine.sample(
        [Request((problem % 4,), 1000 * problem + sample) for problem, sample in keys],
        temperature=oracle.settings.temperature,
        top_p=oracle.settings.top_p,
        max_tokens=LONGEST,
    )
    return [
        Taken(f"problem-{problem}", "grpo", sample, (problem % 4,), "gold", record(problem % 4, response.token_ids))
        for (problem, sample), response in zip(keys, sampled, strict=True)
    ]


def record(prompt: int, tokens: tuple[int, ...]) -> pd.DataFrame:
    before = (prompt, *tokens[:-1])
    whole = torch.log_softmax(LOGITS / SETTINGS.temperature, dim=-1)
    logprob = [float(whole[last, token]) for last, token in zip(before, tokens, strict=True)]
    words = [(*LETTERS, "<end>")[token] for token in tokens]
    return pd.DataFrame(
        {"token_id": tokens, "token": words, "old_logprob": logprob, "reward": 1.0, "quadrant": 0},
    )
