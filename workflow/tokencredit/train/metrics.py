"""What is recorded of a step: numbers for ``metrics.jsonl``, and token rows for the analyses. All of it is a function of the batch."""

from __future__ import annotations

import pandas as pd
import torch
from torch import Tensor

from tokencredit.credit import QUADRANTS, TokenCredit, TokenSignals, quadrant_of
from tokencredit.credit.columns import COLUMNS
from tokencredit.credit.diagnostics import diagnose
from tokencredit.credit.signals import PER_BATCH, VECTORS
from tokencredit.train.rollouts import Collected, RolloutBatch

QUANTILES = (5, 25, 50, 75, 95)
TERMS = ("clip_low", "clip_high", "kl_coef", "old_kl_coef", "entropy_coef", "ratio_power")


def collection_metrics(collected: Collected) -> dict[str, float | int]:
    """What sampling gave, over every response of the step's draws, dropped groups included.

    ``groups_surplus``: groups beside them that dynamic sampling sampled ahead and did not need.
    """
    return {
        "solve_rate": collected.right / collected.sampled,
        "ungraded": collected.ungraded,
        "truncated": collected.truncated / collected.sampled,
        "zero_variance_groups": collected.zero_variance / collected.groups_sampled,
        "groups_sampled": collected.groups_sampled,
        "groups_used": len(collected.groups),
        "groups_surplus": collected.groups_surplus,
        "refills": collected.refills,
        **collected.resets,
    }


def token_metrics(signals: TokenSignals, credit: TokenCredit) -> dict[str, float | int | None]:
    """Entropy, credit, quadrants and token weights over the response tokens of the step's batch; entropies in nats.

    ``credit_<term>`` of the ``TERMS`` that a credit may bring along for the loss: the mean over tokens, None where the study's own counts.
    """
    quadrant = quadrant_of(signals)
    mass = credit.advantage.abs().double() * credit.keep
    total = mass.sum()
    metrics: dict[str, float | int | None] = {
        "reward_mean": float(signals.reward.mean()),
        "response_tokens": len(signals.response) / len(signals.reward),
        "entropy": float(signals.entropy.mean()),
        "above_mean": float(((quadrant == 0) | (quadrant == 2)).double().mean()),
        "tokens": len(signals.response),
    }
    for name in TERMS:
        value = getattr(credit, name)
        metrics[f"credit_{name}"] = None if value is None else float(torch.as_tensor(value, dtype=torch.float64).mean())
    for index, name in enumerate(QUADRANTS):
        inside = quadrant == index
        metrics[f"entropy_{name}"] = float(signals.entropy[inside].mean()) if inside.any() else None
        metrics[f"tokens_{name}"] = float(inside.double().mean())
        metrics[f"mass_{name}"] = float(mass[inside].sum() / total) if total > 0 else None
    effective = torch.sort(credit.advantage * credit.keep).values
    for percent in QUANTILES:
        metrics[f"advantage_q{percent:02d}"] = float(effective[(len(effective) - 1) * percent // 100])
    return metrics | diagnose(signals, credit)


def token_table(
    step: int, batch: RolloutBatch, signals: TokenSignals, credit: TokenCredit, tokens: list[str], groups: int
) -> pd.DataFrame:
    """One row per response token of the first ``groups`` groups: the columns of ``rollouts.parquet``.

    ``reward`` is the verdict's, +1 or -1; a penalty for length is in ``group_advantage``.
    The optional columns of the signals are included if the method asked for them, and those of the credit if they have a value per token.
    """
    chosen = (signals.group < groups).nonzero().squeeze(1)
    part, rows = signals.select(chosen)
    rollouts = [batch.rollouts[index] for index in chosen.tolist()]
    response = part.response.tolist()
    return pd.DataFrame(
        {
            "step": step,
            "problem_id": [rollouts[index].problem_id for index in response],
            "sample": [rollouts[index].sample for index in response],
            "position": part.position.numpy(),
            "token_id": batch.token_id[rows].numpy(),
            "token": [tokens[row] for row in rows.tolist()],
            "entropy": part.entropy.numpy(),
            "old_logprob": part.old_logprob.numpy(),
            "reward": torch.where(part.right, 1.0, -1.0).numpy(),
            "group_advantage": part.token_advantage.numpy(),
            "quadrant": quadrant_of(signals)[rows].numpy(),
            **{name: value.numpy() for name, value in credit.select(rows).per_token.items()},
            **{name: value.numpy() for name, value in _optional(part).items()},
        }
    )


def _optional(signals: TokenSignals) -> dict[str, Tensor]:
    """The optional columns with one number per token."""
    columns = {name: getattr(signals, name) for name in COLUMNS if name not in (*PER_BATCH, *VECTORS)}
    return {name: value for name, value in columns.items() if value is not None}
