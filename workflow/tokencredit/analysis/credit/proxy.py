"""The paper's proxy of credit: the mutual information between the value of a token's entropy and the reward, from two histograms."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

BINS = 50  # about as many as the paper's Figure 4 has
SHUFFLES = 200
RESPONSE = ("seed", "problem_id", "sample")


def contributions(counts: np.ndarray) -> np.ndarray:
    """What each bin of entropy adds to the mutual information of bin and reward, nats, [..., bins]; none is below zero.

    counts [..., bins, 2]: tokens of wrong and of right responses. Of a bin b it is p(b) KL(p(r | b) || p(r)).
    """
    joint = counts / np.maximum(counts.sum((-2, -1), keepdims=True), 1)
    apart = joint.sum(-1, keepdims=True) * joint.sum(-2, keepdims=True)
    ratio = np.divide(joint, apart, out=np.ones_like(joint), where=joint > 0)
    return np.maximum(0.0, (joint * np.log(ratio)).sum(-1))


def bins_of(entropy: pd.Series, edges: np.ndarray) -> np.ndarray:
    """The bin between ``edges`` of each token, the last one closed."""
    return np.clip(np.digitize(entropy, edges) - 1, 0, len(edges) - 2)


def counted(bins: np.ndarray, right: np.ndarray, unit: np.ndarray, count: int) -> np.ndarray:
    """Tokens of wrong and right responses by ``unit`` (a response's or a problem's number) and bin: [units, ``count``, 2]."""
    flat = (unit * count + bins) * 2 + right
    return np.bincount(flat, minlength=(unit.max() + 1) * count * 2).reshape(-1, count, 2)


def shuffled(
    tokens: pd.DataFrame, edges: np.ndarray, shuffles: int = SHUFFLES, response_key: Sequence[str] = RESPONSE
) -> np.ndarray:
    """``contributions`` with the rewards shuffled among responses, [shuffles, bins]: what chance gives.

    ``tokens``: columns entropy, reward and ``response_key``. Tokens of one response share its reward, so responses are shuffled.
    """
    response = tokens.groupby(list(response_key)).ngroup().to_numpy()
    rewards = np.zeros(response.max() + 1, dtype=int)
    rewards[response] = tokens["reward"] > 0
    bins = bins_of(tokens["entropy"], edges)
    of_response = counted(bins, np.zeros_like(bins), response, len(edges) - 1)[..., 0]
    return contributions(np.array([_by_reward(of_response, drawn) for drawn in _permuted(rewards, shuffles)]))


def mutual_information(tokens: pd.DataFrame, edges: np.ndarray, shuffles: int = SHUFFLES) -> tuple[float, float]:
    """I(entropy bin; sign of the reward) in nats over tokens, by counts, and its mean over ``shuffled`` rewards; columns as there."""
    if tokens.empty:
        return 0.0, 0.0
    bins, right = bins_of(tokens["entropy"], edges), (tokens["reward"] > 0).to_numpy()
    seen = counted(bins, right, np.zeros_like(bins), len(edges) - 1)[0]
    return float(contributions(seen).sum()), float(shuffled(tokens, edges, shuffles).sum(-1).mean())


def _permuted(rewards: np.ndarray, shuffles: int) -> Iterator[np.ndarray]:
    generator = np.random.default_rng(0)
    return (generator.permutation(rewards) for _ in range(shuffles))


def _by_reward(of_response: np.ndarray, rewards: np.ndarray) -> np.ndarray:
    return np.stack([(1 - rewards) @ of_response, rewards @ of_response], axis=-1)
