"""Every credit method says what its publication says: the oracles, written apart from the package, agree token by token."""

from __future__ import annotations

import dataclasses
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.equations import ORACLES
from tests.equations.batch import Batch, Credit, Ragged
from tests.equations.batches import SHAPES, make_batch, named
from tests.equations.convert import flat, signals_of
from tests.equations.grpo import group_advantage as group_advantage_oracle
from tokencredit.credit import METHODS, TokenCredit, TokenSignals, assign, group_advantage

SEEDS = range(3)
THRESHOLDS = [{"threshold": name} for name in ("group-p25", "group-p50", "group-p75", "batch-mean", "k-means")]
EAPO = [{"alpha": 0.7}, {"phi": 1.25}, {"alpha": 1.0, "phi": 4.0}, {"alpha": 0.0}]
# Parameters other than the defaults, which every method is tested with too. Each parameter occurs.
OTHER: dict[str, list[dict[str, Any]]] = {
    "archer": [
        {"rho": 0.5},
        {"rho": 0.7, "eps_r": 0.3, "eps_k": 0.1},
        {"beta_r": 0.01, "beta_k": 0.02},
        {"rho": 0.0, "beta_r": 0.01},
    ],
    "amr-sd": [{"lam": 0.3}, {"tau": 1.0}],
    "arca": [{"sharpening": 2.0}, {"sharpening": 0.0}, {"epsilon": 0.3}],
    "attention-anchors": [{"rho": 0.1}, {"rho": 0.35}, {"rho": 1.0}],
    "attention-entropy": [{"tau": 0.1}, {"warm": 0.2}, {"warm": 1.0}],
    "attention-explorers": [{"rho": 0.1}, {"rho": 0.35}, {"rho": 1.0}],
    "cispo": [{"clip_low": 0.1, "clip_high": 0.3}],
    "clip-cov": [
        {"r": 0.1, "low": 0.05},
        {"r": 0.07, "low": -2.0, "high": 0.5},
        {"r": 0.3, "low": -9.0, "high": 9.0, "clip_low": 0.05, "clip_high": 0.1},
        {"r": 1.0, "low": -9.0, "high": 9.0},
    ],
    "credit": [{"lam": 1.0}, {"every_group": True}],
    "dasd": [{"beta": 2.0}, {"rho": 0.5}, {"rho": 0.0, "beta": 1.0}],
    "delta": [{"low": 0.0, "high": 1.0}, {"refinements": 0}, {"refinements": 3}, {"scope": "batch"}],
    "delta-random": [{"low": 0.1}, {"high": 3.0}, {"scope": "batch"}],
    "eapo": EAPO,
    "eapo-known-style": EAPO,
    "eapo-measured": EAPO,
    "eapo-per-update": EAPO,
    "eapo-without-nhr": EAPO,
    "eapo-without-nlr": EAPO,
    "eapo-without-phr": EAPO,
    "eapo-without-plr": EAPO,
    "egrsd": [{"gamma": 2.0}, {"window": 5}, {"clip": 0.9}],
    "entroadv": [{"alpha": 0.1}, {"kappa": 1.2}, {"alpha": 3.0, "kappa": 5.0}],
    "entroreg": [{"beta": 0.02}],
    "entroreg-adaptive": [{"target": 0.6}, {"target": 0.6, "delta": 1e-3}, {"target": 2.0, "largest": 1e-3}],
    "ep-grpo": [{"gamma": 1.0}, {"eta": 1.5, "lam": 2.0}, {"buckets": 3}, {"every_group": True}],
    "erpo": [
        {"target": 0.3},
        {"gamma": 1.0},
        {"eta": 1.5},
        {"beta": 2.0},
        {"buckets": 3},
        {"gate": False},
        {"normalise": False, "beta": 0.5},
        {"anchor": False},
        {"gate": False, "normalise": False, "anchor": False},
    ],
    "forking": [{"rho": 0.1}, {"rho": 0.35}, {"rho": 1.0}],
    "gspo": [{"clip_low": 0.1, "clip_high": 0.2}],
    "gspo-token": [{"clip_low": 0.1, "clip_high": 0.2}],
    "gtpo": [{"a1": 0.5}, {"a2": 1.5}, {"scope": "group"}, {"scope": "group", "a1": 0.9, "a2": 0.3}],
    "hapo": EAPO,
    "hapo-h": [{"alpha": 1.0}, {"alpha": 1.0, "c": 3.0}],
    "hetero-hapo": [
        {"rho": 0.5},
        {"clip_low": 0.1, "clip_high": 0.15},
        {"variant": "as_released"},
        {"variant": "as_released", "rho": 0.4, "clip_low": 0.3, "clip_high": 0.1},
    ],
    "hindsight-naive": [{"every_group": True}],
    "hoelderpo": [{"start": 3.0, "end": 1.0}, {"clip_low": 0.1, "clip_high": 0.3}],
    "ict": [{"rho": 0.35}, {"warm": 0.0}, {"warm": 1.0}, {"rho": 1.0}],
    "iw-opd": [{"gamma": 2.0}, {"gamma": 0.0}, {"every_group": True}],
    "kind-mask": [{"part": part} for part in ("style", "execution", "no-style-no-routine")],
    "kl-cov": [{"k": 0.1}, {"k": 0.35, "beta": 0.1}],
    "nhr": THRESHOLDS,
    "nlr": THRESHOLDS,
    "nsr": [{"every_group": True}],
    "phr": THRESHOLDS,
    "plr": THRESHOLDS,
    "position-schedule": [{"full": 0.5}],
    "psr": [{"every_group": True}],
    "rlsd": [{"start": 1.0}, {"fade": 1.0}, {"clip": 0.9}],
    "shear": [{"window": 3, "stride": 2, "iterations": 5}, {"window": 4, "stride": 1, "epsilon": 0.3, "iterations": 2}],
    "tis": [{"cap": 1.1}],
    "vine": [{"every_group": True}],
    "vine-steps": [{"every_group": True}],
    "w-reinforce": [{"lam": 0.5}, {"every_group": True}],
}
SETTINGS = [pytest.param(name, {}, id=name) for name in METHODS] + [
    pytest.param(
        name,
        params,
        id=f"{name}, " + ", ".join(f"{key} {value}" for key, value in params.items()),
        marks=pytest.mark.slow,
    )
    for name in METHODS
    for params in OTHER.get(name, [])
]


def test_every_method_has_an_oracle() -> None:
    assert sorted(ORACLES) == sorted(METHODS)


def test_every_parameter_is_tested_away_from_its_default() -> None:
    for name, chosen in METHODS.items():
        for key, default in chosen.defaults.items():
            others = [params[key] for params in OTHER.get(name, []) if key in params]
            assert any(other != default for other in others), f"{name}: {key}"


@pytest.mark.parametrize(("name", "params"), SETTINGS)
def test_credit_equals_the_oracle(name: str, params: dict[str, Any]) -> None:
    for shape in SHAPES:
        for seed in SEEDS if not params else SEEDS[:1]:
            with named(shape):
                obtained = assign(name, BATCHES[shape][seed][1], **params)
                same_credit(obtained, by_oracle(name, shape, seed, **params), 1e-9)


@pytest.mark.parametrize(("name", "params"), SETTINGS)
def test_credit_equals_the_oracle_in_the_precision_of_training(name: str, params: dict[str, Any]) -> None:
    for shape in SHAPES:
        with named(shape):
            obtained = assign(name, in_float32(BATCHES[shape][0][1]), **params)
            same_credit(obtained, by_oracle(name, shape, 0, **params), 1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_group_advantage_equals_the_oracle(shape: str) -> None:
    for batch, signals in BATCHES[shape]:
        expected = group_advantage_oracle([r.reward for r in batch.responses], [r.group for r in batch.responses])
        close(group_advantage(signals.reward, signals.group), torch.tensor(expected, dtype=torch.float64), 1e-9)


def test_archer_is_computed_in_the_precision_of_the_batch() -> None:
    batch, signals = BATCHES["ragged, interleaved"][0]
    same_credit(assign("archer", signals), ORACLES["archer"](batch), 1e-12)


@pytest.mark.parametrize("entropy", [0.1, 0.7, 1 / 3])
def test_tokens_of_equal_float64_entropy_are_all_high(entropy: float) -> None:
    """H >= mu_H for all of them (arXiv 2604.11056 section 3), whatever their number."""
    for tokens in range(1, 40):
        columns = torch.zeros(tokens, dtype=torch.float64)
        signals = TokenSignals(
            response=torch.zeros(tokens, dtype=torch.int64),
            position=torch.arange(tokens),
            entropy=columns + entropy,
            old_logprob=columns,
            reward=torch.ones(1, dtype=torch.float64),
            advantage=torch.ones(1, dtype=torch.float64),
            group=torch.zeros(1, dtype=torch.int64),
        )
        assert assign("phr", signals).keep.all()


@cache
def by_oracle(name: str, shape: str, seed: int, **params: Any) -> Credit:
    """The oracle's credit of one batch, which two tests compare with: a loop over its tokens in Python takes longest of all here."""
    return ORACLES[name](BATCHES[shape][seed][0], **params)


def same_credit(obtained: TokenCredit, expected: Credit, tolerance: float) -> None:
    keep = torch.tensor([kept for row in expected.keep for kept in row])
    assert obtained.keep.tolist() == keep.tolist()
    close(obtained.advantage * obtained.keep, flat(expected.advantage) * keep, tolerance)
    forms = [(credit.denominator, credit.surrogate, credit.ratio) for credit in (obtained, expected)]
    assert forms[0] == forms[1]
    if expected.ratio != "token":
        assert obtained.ratio_power == pytest.approx(expected.ratio_power, abs=1e-12)
    for field in ("clip_low", "clip_high", "kl_coef", "old_kl_coef", "entropy_coef"):
        same_numbers(getattr(obtained, field), getattr(expected, field), len(keep), tolerance)


def same_numbers(
    obtained: Tensor | float | None, expected: Ragged | float | None, tokens: int, tolerance: float
) -> None:
    """A number that all tokens share may be given once or for each of them; None, the study's own, is no number."""
    assert (obtained is None) == (expected is None)
    if obtained is None or expected is None:
        return
    values = flat(expected) if isinstance(expected, list) else torch.full((tokens,), expected, dtype=torch.float64)
    close(torch.as_tensor(obtained, dtype=torch.float64).expand(tokens), values, tolerance)


def close(obtained: Tensor, expected: Tensor, tolerance: float) -> None:
    torch.testing.assert_close(obtained.double(), expected, atol=tolerance, rtol=0)


def in_float32(signals: TokenSignals) -> TokenSignals:
    values = {column.name: getattr(signals, column.name) for column in dataclasses.fields(signals)}
    floats = {name: value for name, value in values.items() if isinstance(value, Tensor) and value.is_floating_point()}
    return dataclasses.replace(signals, **{name: value.float() for name, value in floats.items()})


BATCHES: dict[str, list[tuple[Batch, TokenSignals]]] = {
    shape: [(batch, signals_of(batch)) for batch in (make_batch(shape, seed) for seed in SEEDS)] for shape in SHAPES
}
