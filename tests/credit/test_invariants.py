"""What must hold for every method, listed from ``METHODS`` so that a new one cannot be added without it.

A method that is exempt from an invariant is named here, with the reason.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest
import torch

from tests.credit.conftest import (
    gradient_of,
    loss_and_gradient,
    make_signals,
    staged,
    with_equal_groups,
)
from tokencredit.credit import METHODS, TokenSignals, assign
from tokencredit.credit.signals import PER_BATCH, PER_RESPONSE
from tokencredit.errors import UserError

AGGREGATIONS = ("token-mean", "sequence-mean", "constant")
# Statistics over the optimiser batch, as published.
BATCH_STATISTICS = {
    "forking": "threshold",
    "clip-cov": "means",
    "kl-cov": "means",
    "archer": "KL terms are means over their own tokens",
    "hetero-hapo": "quantile",
    "attention-entropy": "least and most",
    "egrsd": "largest entropy",
    "entroreg-adaptive": "acts while the mean entropy is below the target",
}
# Credits that may point against the outcome, as published.
MAY_FLIP = {
    "gtpo": "standardised over right and over wrong tokens apart",
    "erpo": "is a z-score of the group's tokens",
    "ep-grpo": "adds a z-score of either sign",
    "dasd": "adds the teacher's direction",
    "iw-opd": "the teacher's direction alone",
    "credit": "the informed policy's direction alone",
    "hindsight-naive": "the informed policy's direction alone",
    "vine": "a right response holds tokens that made it less likely to be right",
    "vine-steps": "the same of its steps",
}
FLIPS_AT = {"dasd": {"beta": 2.0}}  # where the default is too weak to show it on the batches here
# Credits that give the same gradient on every batch.
SAME_GRADIENT = {
    frozenset({"grpo", "dapo"}): "they differ by their base",
    frozenset({"gspo", "gspo-token"}): "one advantage for the whole response",
}
# Parameters at which a method is its base, GRPO's credit.
NEUTRAL = {
    "eapo": {"alpha": 0.0},
    "eapo-known-style": {"alpha": 0.0},
    "eapo-measured": {"alpha": 0.0},
    "eapo-per-update": {"alpha": 0.0},
    "eapo-without-phr": {"alpha": 0.0},
    "eapo-without-plr": {"alpha": 0.0},
    "eapo-without-nhr": {"alpha": 0.0},
    "eapo-without-nlr": {"alpha": 0.0},
    "hapo": {"alpha": 0.0},
    "entroadv": {"alpha": 0.0},
    "entroreg": {"beta": 0.0},
    "entroreg-adaptive": {"largest": 0.0},
    "forking": {"rho": 1.0},
    "attention-anchors": {"rho": 1.0},
    "attention-explorers": {"rho": 1.0},
    "dasd": {"beta": 0.0},
    "rlsd": {"start": 0.0},
    "egrsd": {"gamma": 0.0, "clip": 0.0},
    "amr-sd": {"lam": 0.0},
    "hapo-h": {"alpha": 0.0},
    "ict": {"rho": 1.0},
}
# Other values at which a parameter is tried, where half as much again would not be seen on the fixed batch.
TRIED: dict[tuple[str, str], Any] = {
    ("clip-cov", "r"): 0.05,
    ("clip-cov", "low"): 2.0,
    ("clip-cov", "high"): 1.2,
    ("clip-cov", "clip_low"): 0.4,
    ("clip-cov", "clip_high"): 0.4,
    ("kl-cov", "k"): 0.05,
    ("archer", "rho"): 0.5,
    ("archer", "eps_r"): 0.1,
    ("archer", "beta_r"): 0.01,
    ("hoelderpo", "clip_low"): 0.05,
    ("hoelderpo", "clip_high"): 0.05,
    ("gspo", "clip_low"): 0.3,
    ("gspo", "clip_high"): 0.3,
    ("gspo-token", "clip_low"): 0.3,
    ("gspo-token", "clip_high"): 0.3,
    ("cispo", "clip_low"): 0.2,
    ("cispo", "clip_high"): 0.1,
    ("tis", "cap"): 1.1,
    ("arca", "epsilon"): 0.1,
    ("entroreg-adaptive", "largest"): 1e-4,
    ("hetero-hapo", "rho"): 0.5,
    ("hetero-hapo", "variant"): "as_released",
    ("gtpo", "scope"): "group",
    ("egrsd", "window"): 3,
    ("position-schedule", "full"): 0.5,
    ("ict", "rho"): 0.5,
    ("delta", "refinements"): 3,
    **{(name, "scope"): "batch" for name in ("delta", "delta-random")},
    ("ict", "warm"): 0.5,
    ("kind-mask", "part"): "style",
    **{(name, "threshold"): "group-p50" for name in ("phr", "plr", "nhr", "nlr")},
}
# Settings of the method's other parameters under which a parameter acts.
GIVEN = {
    # Within a set of one polarity the z-score divides both out.
    ("gtpo", "a1"): {"scope": "group"},
    ("gtpo", "a2"): {"scope": "group"},
    ("clip-cov", "low"): {"r": 0.05},
    ("clip-cov", "high"): {"r": 0.05},
}
WITHOUT_EFFECT = {
    ("erpo", "beta"): "both divisions by a deviation take it out, as published",
    ("ep-grpo", "lam"): "the z-score divides it out, as published",
}


def permuted(signals: TokenSignals, order: torch.Tensor) -> tuple[TokenSignals, torch.Tensor]:
    """The same batch with its responses in another order, and the rows of the old batch in the new one's order."""
    rows = torch.cat([(signals.response == response).nonzero().squeeze(1) for response in order])
    columns = {}
    for column in dataclasses.fields(signals):
        value = getattr(signals, column.name)
        if value is not None and column.name not in PER_BATCH:
            value = value[order if column.name in PER_RESPONSE else rows]
        columns[column.name] = value
    columns["response"] = torch.argsort(order)[columns["response"]]
    return TokenSignals(**columns), rows


@pytest.mark.parametrize("name", METHODS)
def test_the_order_of_responses_changes_neither_loss_nor_gradient(name: str) -> None:
    for seed, aggregation in enumerate(AGGREGATIONS):
        signals = make_signals(seed)
        # Another stream than the batch's: an order that follows from the lengths hides what depends on the order.
        order = torch.randperm(len(signals.reward), generator=torch.Generator().manual_seed(97 + seed))
        shuffled, rows = permuted(signals, order)
        expected, obtained = assign(name, staged(name, signals)), assign(name, staged(name, shuffled))
        torch.testing.assert_close(obtained.advantage, expected.advantage[rows], atol=1e-10, rtol=0)
        assert torch.equal(obtained.keep, expected.keep[rows])
        options = {"kl_coef": 0.1, "aggregation": aggregation}
        loss, gradient, _ = loss_and_gradient(signals, expected, **options)
        other_loss, other_gradient, _ = loss_and_gradient(shuffled, obtained, **options)
        torch.testing.assert_close(other_loss, loss, atol=1e-10, rtol=0)
        both = torch.cat([rows, rows + len(rows)])
        torch.testing.assert_close(other_gradient, gradient[both], atol=1e-10, rtol=0)


@pytest.mark.parametrize("name", METHODS)
def test_credit_belongs_to_the_group_alone(name: str) -> None:
    """A group's credit is the same in a batch of its own, unless the method's statistics are the batch's."""
    signals = staged(name, make_signals(3))
    signals = dataclasses.replace(signals, entropy=signals.entropy * (0.5 + signals.token_group))
    whole, same = assign(name, signals), True
    for group in signals.group.unique():
        part, rows = signals.select((signals.group == group).nonzero().squeeze(1))
        alone, here = assign(name, part), whole.select(rows)
        same &= alone.entropy_coef == here.entropy_coef
        for field, values in here.per_token.items():
            same &= torch.allclose(getattr(alone, field).double(), values.double(), atol=1e-10, rtol=0)
    assert same != (name in BATCH_STATISTICS)


@pytest.mark.parametrize("name", METHODS)
def test_groups_without_advantage_stay_at_zero(name: str) -> None:
    for seed, dropped in enumerate((0, 3)):
        signals = make_signals(seed)
        for zero in (
            dataclasses.replace(signals, advantage=signals.advantage.masked_fill(signals.group == dropped, 0.0)),
            with_equal_groups(signals),
        ):
            credit = assign(name, staged(name, zero))
            silent = ~zero.varied
            assert silent.any()
            assert credit.advantage[silent].abs().max() == 0


@pytest.mark.parametrize("name", METHODS)
def test_signs_change_only_where_the_method_says_so(name: str) -> None:
    flips = 0
    for seed in range(8):
        signals = make_signals(seed)
        credit = assign(name, staged(name, signals), **FLIPS_AT.get(name, {}))
        flips += int((credit.keep & (credit.advantage * signals.token_advantage < 0)).sum())
    assert (flips > 0) == (name in MAY_FLIP)


@pytest.mark.parametrize("name", METHODS)
def test_credit_is_computed_in_the_dtype_of_the_advantage(name: str) -> None:
    signals = staged(name, make_signals())
    single = {}
    for column in dataclasses.fields(signals):
        value = getattr(signals, column.name)
        if isinstance(value, torch.Tensor) and value.is_floating_point():
            single[column.name] = value.float()
    credit, exact = assign(name, dataclasses.replace(signals, **single)), assign(name, signals)
    assert credit.advantage.dtype == torch.float32
    torch.testing.assert_close(credit.advantage.double(), exact.advantage, atol=2e-5, rtol=1e-5)
    assert {field: value.dtype for field, value in credit.per_token.items() if field != "keep"} == {
        field: torch.float32 for field in exact.per_token if field != "keep"
    }


@pytest.mark.parametrize("name", METHODS)
def test_masks_are_declared(name: str) -> None:
    credits = [assign(name, staged(name, make_signals(seed))) for seed in range(3)]
    assert METHODS[name].masks == any(not credit.keep.all() for credit in credits)


@pytest.mark.parametrize("name", METHODS)
def test_plain_credit_and_credit_per_token_are_declared(name: str) -> None:
    plain, per_token = True, False
    for seed in range(3):
        signals = staged(name, make_signals(seed))
        credit = assign(name, signals)
        plain &= torch.equal(credit.advantage, signals.token_advantage) and bool(credit.keep.all())
        for values in credit.per_token.values():
            per_token |= bool((values[1:] != values[:-1])[signals.position[1:] > 0].any())
    assert (plain, per_token) == (METHODS[name].plain, METHODS[name].per_token)


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("eapo", {"phi": 0.0}, "credit method 'eapo': phi = 0.0: must be greater than 1"),
        ("eapo", {"alpha": 5.0}, "credit method 'eapo': alpha = 5.0: must be less than or equal to 1"),
        ("forking", {"rho": 20}, "credit method 'forking': rho = 20: must be less than or equal to 1"),
        ("archer", {"rho": 1.5}, "credit method 'archer': rho = 1.5: must be less than or equal to 1"),
        ("erpo", {"buckets": 2.5}, "credit method 'erpo': buckets = 2.5: must be a integer"),
        ("erpo", {"gate": 1}, "credit method 'erpo': gate = 1: must be a boolean"),
        ("phr", {"threshold": "group-p33"}, "credit method 'phr': threshold = 'group-p33': must be 'group-mean'"),
        ("grpo", {"alpha": 1.0}, "credit method 'grpo' has no parameter 'alpha'; allowed: none"),
    ],
)
def test_parameters_out_of_their_bounds_are_refused(name: str, params: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        assign(name, staged(name, make_signals()), **params)


def test_every_parameter_of_every_method_has_bounds_or_choices() -> None:
    free = {
        (name, key)
        for name, method in METHODS.items()
        for key, field in method.parameters.model_fields.items()
        if not field.metadata and field.annotation in (float, int, str)
    }
    any_number = {("hoelderpo", "start"), ("hoelderpo", "end"), ("clip-cov", "low"), ("clip-cov", "high")}
    assert free == any_number


def test_reconstructions_are_declared() -> None:
    """What was rebuilt from partial sources says so wherever its results appear."""
    rebuilt = {name for name, method in METHODS.items() if method.status == "reconstruction"}
    assert rebuilt == {"hapo", "hapo-h", "gtpo", "dasd", "amr-sd"}


@pytest.mark.parametrize("name", METHODS)
def test_a_missing_column_is_named(name: str) -> None:
    for column in METHODS[name].columns:
        with pytest.raises(UserError, match=f"'{name}' needs the column '{column}'"):
            assign(name, dataclasses.replace(staged(name, make_signals()), **{column: None}))


@pytest.mark.parametrize("name", METHODS)
def test_columns_are_declared(name: str) -> None:
    """With the declared columns alone the method works: it reads no other optional one."""
    signals = make_signals()
    kept = {"logprob"} if METHODS[name].stage == "update" else set()
    optional = {column.name for column in dataclasses.fields(signals) if column.default is None}
    bare = dataclasses.replace(staged(name, signals), **dict.fromkeys(optional - kept - set(METHODS[name].columns)))
    expected = assign(name, staged(name, signals))
    assert torch.equal(assign(name, bare).advantage, expected.advantage)


@pytest.mark.parametrize("name", sorted(NEUTRAL))
@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_at_its_neutral_setting_a_method_is_its_base_bit_for_bit(name: str, aggregation: str) -> None:
    signals = make_signals()
    credit = assign(name, staged(name, signals), **NEUTRAL[name])
    base = assign("grpo", signals)
    assert torch.equal(credit.advantage, base.advantage)
    assert (
        loss_and_gradient(signals, credit, aggregation=aggregation)[0]
        == (loss_and_gradient(signals, base, aggregation=aggregation)[0])
    )


@pytest.mark.parametrize("name", ["gspo", "gspo-token", "hoelderpo", "cispo", "kl-cov", "tis", "clip-cov"])
def test_on_policy_the_ratio_methods_have_grpos_gradient(name: str) -> None:
    """With one update per rollout all of them are GRPO: they must be compared at several updates (clip-cov still leaves tokens out)."""
    signals = make_signals()
    on_policy = dataclasses.replace(signals, logprob=signals.old_logprob, rollout_logprob=signals.old_logprob)
    for aggregation in AGGREGATIONS:
        plain = gradient_of("grpo", on_policy, aggregation=aggregation)
        own = gradient_of(name, on_policy, aggregation=aggregation)
        assert torch.allclose(own, plain, atol=1e-12) == (name != "clip-cov")
        assert not torch.allclose(gradient_of(name, signals), gradient_of("grpo", signals), atol=1e-9)


@pytest.mark.parametrize(("name", "parameter"), [(n, p) for n, m in METHODS.items() for p in m.defaults])
def test_every_parameter_reaches_the_gradient(name: str, parameter: str) -> None:
    signals = with_equal_groups(make_signals())
    default = METHODS[name].defaults[parameter]
    if (name, parameter) in TRIED:
        tried = TRIED[name, parameter]
    else:
        tried = not default if isinstance(default, bool) else type(default)(default * 1.5)
    given_params = GIVEN.get((name, parameter), {})
    plain = gradient_of(name, signals, given_params)
    changed = gradient_of(name, signals, given_params | {parameter: tried})
    assert torch.allclose(plain, changed, atol=1e-9, rtol=1e-6) == ((name, parameter) in WITHOUT_EFFECT)


def test_no_two_methods_are_secretly_one() -> None:
    signals = make_signals()
    gradients = {name: gradient_of(name, signals) for name in METHODS}
    same = {
        frozenset({a, b})
        for a in gradients
        for b in gradients
        if a < b and torch.allclose(gradients[a], gradients[b], atol=1e-9)
    }
    assert same == set(SAME_GRADIENT)


def test_the_variants_of_a_method_differ_too() -> None:
    signals = make_signals(groups=6, longest=40)
    signals = dataclasses.replace(signals, entropy=signals.entropy * (0.5 + signals.token_group))
    for name, parameter, values in [
        ("hetero-hapo", "variant", ("as_described", "as_released")),
        ("gtpo", "scope", ("set", "group")),
        *((name, "scope", ("group", "batch")) for name in ("delta", "delta-random")),
        ("kind-mask", "part", ("strategy", "style", "execution", "no-style-no-routine")),
        *(
            (quadrant, "threshold", ("group-mean", "group-p25", "group-p50", "group-p75", "batch-mean", "k-means"))
            for quadrant in ("phr", "plr", "nhr", "nlr")
        ),
    ]:
        gradients = [gradient_of(name, signals, {parameter: value}) for value in values]
        for index, one in enumerate(gradients):
            assert not any(torch.allclose(one, other, atol=1e-9) for other in gradients[index + 1 :]), name
