"""The mismatch gate on the page: whether the sampler was the policy that was trained."""

from __future__ import annotations

from dataclasses import dataclass

from tokencredit.analysis.store import Store


@dataclass(frozen=True)
class Mismatch:
    """The steps of one run that had tokens: mean KL(sampler, trainer), nats a token, and the share of tokens with a ratio outside 1/2 to 2.

    ``largest`` of all steps, first met at ``step``; ``passed``: it is within the study's ``mismatch_kl``.
    """

    title: str
    seed: int
    steps: int
    median: float
    largest: float
    step: int
    outside: float
    passed: bool


def mismatches(store: Store) -> list[Mismatch]:
    """One per training run. A run whose metrics hold no mismatch is a ``UserError``."""
    found = []
    for name, method in store.study.methods.items():
        metrics = store.metrics(name, ["mismatch_kl", "mismatch_outside"]).dropna(subset="mismatch_kl")
        for seed, steps in metrics.groupby("seed"):
            worst = steps.loc[steps["mismatch_kl"].idxmax()]
            found.append(
                Mismatch(
                    title=method.title,
                    seed=int(seed),
                    steps=len(steps),
                    median=float(steps["mismatch_kl"].median()),
                    largest=float(worst["mismatch_kl"]),
                    step=int(worst["step"]),
                    outside=float(steps["mismatch_outside"].max()),
                    passed=bool(worst["mismatch_kl"] <= store.study.training.mismatch_kl),
                )
            )
    return found
