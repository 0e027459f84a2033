"""Measured tokens whose credit was planted, and seen through continuations without noise or with it."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tokencredit.credit.signals import KINDS
from tokencredit.creditbench.records import Measured

SEEDS, PROBLEMS, RESPONSES, LENGTH = 2, 10, 4, 12
TRIALS = 30
GOOD, BAD, ONLY = 1, 2, 3


def measured(noise: bool = False) -> Measured:
    """Every third token was possible alone; of the others one candidate is followed by what is right more often than the other.

    The first token of a problem's responses is taken at one state: those of even number took the better one, those of odd number the other.
    """
    rng = np.random.default_rng(4)
    states, branches = [], []
    for seed in range(SEEDS):
        for problem in range(PROBLEMS):
            for sample in range(RESPONSES):
                for position in range(LENGTH):
                    key = {
                        "seed": seed,
                        "problem_id": f"p{problem}",
                        "cell": "grpo",
                        "sample": sample,
                        "position": position,
                    }
                    taken = ONLY if position % 3 == 2 else GOOD if (sample + position) % 2 == 0 else BAD
                    share = 1.0 if taken == ONLY else rng.uniform(0.2, 0.8)
                    right = 1 if sample < RESPONSES // 2 else -1
                    states.append({**key, **_signals(rng, taken, right)})
                    candidates = {ONLY: 1.0} if taken == ONLY else {GOOD: share, BAD: 1 - share}
                    for token, probability in candidates.items():
                        chance = {GOOD: 1.0, BAD: 0.0, ONLY: 0.0}[token]
                        chance = 0.3 + 0.4 * chance if noise else chance
                        trials = 0 if token == ONLY else TRIALS
                        found = rng.binomial(trials, chance)
                        branch = {
                            "token_id": token,
                            "probability": probability,
                            "right": found,
                            "wrong": trials - found,
                        }
                        branches.append({**key, **branch, "ungraded": 0})
    return Measured.of("planted", "Planted", pd.DataFrame(states), pd.DataFrame(branches))


def _signals(rng: np.random.Generator, taken: int, right: int) -> dict[str, object]:
    """Signals that know nothing of credit."""
    return {
        "token_id": taken,
        "token": f" {taken}",
        "entropy": np.float32(rng.random()),
        "old_logprob": np.float32(-rng.random()),
        "ref_logprob": np.float32(-rng.random()),
        "reward": np.float32(right),
        "advantage": np.float32(right),
        "kind": KINDS.index("routine"),
        "response_step": 0,
    }
