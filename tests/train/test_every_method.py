"""Every method of ``config/methods.yaml`` trains, and its credit is seen at work in what the run leaves."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from tests.credit.conftest import current_entropy, loss_and_gradient, make_signals
from tests.train.conftest import MODEL, Trained
from tokencredit.config import Config
from tokencredit.credit import COLUMNS, METHODS, QUADRANTS, assign
from tokencredit.train.update import Credit

CONFIGURED = Config(Path(__file__).parents[2] / "config").methods


def trained_names() -> list[str]:
    """The first method of every credit function on every base, and of every control: the others differ from these in parameters only."""
    first: dict[tuple[str, str | None], str] = {}
    for name, method in CONFIGURED.items():
        kind = (method.control, None) if method.control else (method.credit, method.recipe)
        first.setdefault(kind, name)
    return list(first.values())


# Credits that are the group advantage itself: their methods differ by the base.
UNIFORM = ("grpo", "dapo")

Run = Callable[[str], Trained]


@pytest.mark.parametrize("name", CONFIGURED)
def test_every_configured_method_has_a_credit_of_its_own(name: str) -> None:
    """With its parameters and under its control, from the columns that it asks for alone; another than the group advantage."""
    method, signals = CONFIGURED[name], make_signals()
    credit = Credit(method.credit, METHODS[method.credit].resolved(method.params), method.control)
    optional = {column.name for column in dataclasses.fields(signals) if column.default is None}
    bare = dataclasses.replace(signals, **dict.fromkeys(optional - credit.columns))
    given = credit.at_rollout(bare) or credit.at_update(bare, signals.logprob, current_entropy(signals))
    assert all(bool(values.isfinite().all()) for values in given.per_token.values())
    assert given.advantage.abs().sum() > 0
    plain = assign("grpo", signals)
    same = loss_and_gradient(signals, given)[1].equal(loss_and_gradient(signals, plain)[1])
    assert same == (method.credit in UNIFORM and method.control is None)


@pytest.mark.parametrize("name", trained_names())
def test_every_method_trains_and_acts(name: str, trained: Run, tiny: Path) -> None:
    """Finite numbers, moved weights, and other weights than those of the plain group advantage on the same base."""
    run = trained(name)
    method = run.spec.method
    assert run.metrics["step"].tolist() == [1, 2, 3, 4, 5]
    numbers = run.metrics.select_dtypes("number")
    assert {"loss", "grad_norm", "kl_old", "ratio_max", "entropy", "credit_sum"} <= set(numbers)
    assert np.isfinite(numbers.to_numpy()[numbers.notna().to_numpy()]).all()
    assert (run.metrics[["grad_norm", "credit_sum"]] > 0).all(axis=None)

    base = load_file(tiny / "models" / MODEL / "model.safetensors")
    assert set(run.weights) == set(base)
    assert all(bool(weight.isfinite().all()) for weight in run.weights.values())
    assert max(float((run.weights[key] - base[key]).abs().max()) for key in base) > 1e-4

    plain = trained(f"plain-{method.recipe}").weights
    same = all(torch.equal(run.weights[key], plain[key]) for key in plain)
    assert same == (method.credit in UNIFORM and method.control is None)


def test_no_two_configured_methods_are_one() -> None:
    """Names of parameters, as in phr-p75, are kept by no other check: a value that was copied makes two methods the same."""
    kinds: dict[str, str] = {}
    for name, method in CONFIGURED.items():
        kind = method.model_dump_json(exclude={"title"}) + str(METHODS[method.credit].resolved(method.params))
        assert kinds.setdefault(kind, name) == name


def test_eapo_smears_the_bars_and_leaves_the_gap(trained: Run) -> None:
    """Figure 8: weights in [0.9, 1.1] turn each advantage into a band; between the two signs nothing appears."""
    tokens, plain = trained("eapo").tokens, trained("plain-dapo").tokens
    weight = tokens["advantage"] / tokens["group_advantage"]
    assert weight.between(0.9 - 1e-6, 1.1 + 1e-6).all()
    assert weight.min() < 0.95
    assert weight.max() > 1.05
    bars = plain["advantage"].abs().round(4)
    assert set(bars) == {np.float32(0.5), np.float32(0.866), np.float32(1.5)}  # of four responses one differs, or two
    assert tokens["advantage"].nunique() > 50
    assert tokens["advantage"].abs().min() >= 0.9 * bars.min() - 1e-4


def test_forking_keeps_the_fifth_of_highest_entropy(trained: Run) -> None:
    """And those that equal the last of them, such as the first tokens of one prompt's responses."""
    run = trained("forking")
    assert (run.metrics["kept"] >= 0.2).all()
    for _, update in run.tokens.groupby("step"):
        kept = update["keep"]
        lowest = update["entropy"][kept].min()
        assert lowest >= update["entropy"][~kept].max()
        assert (update["entropy"] > lowest).mean() < 0.2


@pytest.mark.parametrize("quadrant", QUADRANTS)
def test_a_quadrant_run_keeps_its_quadrant(quadrant: str, trained: Run) -> None:
    run = trained(quadrant)
    assert (run.tokens["keep"] == (run.tokens["quadrant"] == QUADRANTS.index(quadrant))).all()
    assert 0 < run.tokens["keep"].mean() < 1
    assert run.metrics[f"mass_{quadrant}"].tolist() == [1.0] * 5


def test_entroadv_raises_every_advantage_and_turns_none(trained: Run) -> None:
    tokens = trained("entroadv").tokens
    assert (np.sign(tokens["advantage"]) == np.sign(tokens["group_advantage"])).all()
    assert (tokens["advantage"] > tokens["group_advantage"]).all()


def test_hapo_keeps_the_mass_of_each_response(trained: Run) -> None:
    tokens = trained("hapo").tokens
    mass = tokens[["advantage", "group_advantage"]].abs().groupby(tokens["response"]).sum()
    np.testing.assert_allclose(mass["advantage"], mass["group_advantage"], rtol=1e-5)
    assert (tokens["advantage"] - tokens["group_advantage"]).abs().max() > 0.01


def test_psr_keeps_right_responses_and_nsr_wrong_ones(trained: Run) -> None:
    for name, value in (("psr", 1.0), ("nsr", -1.0)):
        tokens = trained(name).tokens
        assert (tokens["keep"] == (tokens["reward"] == value)).all()
        assert (tokens["advantage"][tokens["keep"]] == value).all()


def test_kl_cov_holds_few_tokens_back(trained: Run) -> None:
    """Of each minibatch the floor of k N tokens, at least one, is under the penalty of strength beta."""
    run = trained("kl-cov")
    params = METHODS["kl-cov"].defaults
    batch = run.metrics["tokens"] / run.metrics["updates"]
    held = run.metrics["credit_old_kl_coef"] * batch / params["beta"]
    np.testing.assert_allclose(held, 1)
    assert run.tokens.groupby("step")["old_kl_coef"].agg(["sum", "max"]).eq(params["beta"]).all(axis=None)


def test_clip_cov_drops_one_token_of_positive_covariance(trained: Run) -> None:
    run = trained("clip-cov")
    np.testing.assert_allclose(run.metrics["kept"], 1 - run.metrics["updates"] / run.metrics["tokens"])
    for _, update in run.tokens.groupby("step"):
        advantage, logprob = (update[name] - update[name].mean() for name in ("group_advantage", "old_logprob"))
        assert ((advantage * logprob)[~update["keep"]] > 0).all()
        assert (~update["keep"]).sum() == 1


def test_gspo_clips_whole_responses_once_the_policy_has_moved(trained: Run) -> None:
    clipped, plain = (trained(name).metrics for name in ("gspo", "plain-dapo"))
    fraction = clipped["clip_low_fraction"] + clipped["clip_high_fraction"]
    assert fraction.max() > 0
    assert (plain["clip_low_fraction"] + plain["clip_high_fraction"]).max() == 0
    assert all(math.isclose(value, 0.0003) for value in clipped["credit_clip_low"])


def test_iw_opd_weighs_the_teachers_first_words_most(trained: Run) -> None:
    """A weight of 1 + gamma at the first token, which never rises and stays above 1."""
    tokens = trained("iw-opd").tokens
    tokens = tokens.assign(weight=tokens["advantage"] / (tokens["teacher_logprob"] - tokens["old_logprob"]))
    np.testing.assert_allclose(tokens["weight"][tokens["position"] == 0], 1.5, atol=1e-3)
    falls = tokens.groupby("response")["weight"].diff().dropna()
    assert falls.max() < 1e-3
    assert falls.min() < -0.01
    assert tokens["weight"].min() > 1 - 1e-3


def test_dasd_is_told_the_answer(trained: Run) -> None:
    tokens = trained("dasd").tokens
    assert (tokens["privileged_logprob"] - tokens["old_logprob"]).abs().max() > 1e-3
    assert tokens["privileged_logprob"].max() < 0


def test_arca_weighs_by_what_the_adapter_moved(trained: Run) -> None:
    """Before the first update the adapter moves nothing and all weights are 1; later they follow its norms, with mean 1."""
    tokens = trained("arca").tokens
    tokens = tokens[tokens["group_advantage"] != 0]
    weight = tokens["advantage"] / tokens["group_advantage"]
    first = tokens["step"] == 1
    assert (tokens["residual_norm"][first] == 0).all()
    np.testing.assert_allclose(weight[first], 1, rtol=1e-5)
    mean = tokens["residual_norm"][~first].groupby(tokens["response"]).transform("mean")
    np.testing.assert_allclose(weight[~first], tokens["residual_norm"][~first] / mean, rtol=1e-3)
    assert weight[~first].std() > 0.05


def test_an_adaptive_bonus_remembers_every_earlier_step(trained: Run) -> None:
    """Its coefficient rises by delta for each step below the target, which the run's own records count."""
    coefficients = trained("entroreg-adaptive").metrics["credit_entropy_coef"]
    np.testing.assert_allclose(coefficients, [0, 1e-4, 2e-4, 3e-4, 4e-4])
    np.testing.assert_allclose(trained("entroreg").metrics["credit_entropy_coef"], 1e-3)


def test_erpo_is_grpo_standardised_over_tokens_until_the_policy_leaves_the_reference(trained: Run) -> None:
    tokens = trained("erpo").tokens
    first = tokens["step"] == 1
    assert (tokens["ref_logprob"][first] == tokens["old_logprob"][first]).all()
    groups = tokens.groupby(["step", "problem_id"])
    assert groups["advantage"].mean().abs().max() < 1e-5
    assert groups["advantage"].std(ddof=0).sub(1).abs().max() < 1e-5
    values = tokens.groupby(["step", "response"])["advantage"].nunique()
    assert (values[1] == 1).all()
    assert values.max() > 1


def test_vine_s_credits_add_up_to_the_reward_less_what_was_to_be_expected(trained: Run) -> None:
    run = trained("vine")
    tokens = run.tokens
    first = tokens[tokens["position"] == 0].set_index("response")
    total = tokens.groupby("response")["advantage"].sum()
    np.testing.assert_allclose(total, first["reward"] - (2 * first["value"] - 1), atol=1e-5)
    assert tokens["value"].between(0, 1).all()
    assert (run.metrics["measured_tokens"] > run.metrics["measured_continuations"]).all()
    assert (run.metrics["measured_continuations"] == 2 * run.metrics["measured_starts"]).all()


def test_no_column_takes_the_place_of_another_in_the_records(trained: Run) -> None:
    """What every run records, and what some methods ask for, have names of their own."""
    assert not {*trained("plain-dapo").tokens.columns} & {*COLUMNS}
    tokens = trained("vine-steps").tokens
    assert set(tokens["step"]) == {1, 2, 4, 5}
    steps = tokens.groupby(["response", "response_step"])["advantage"]
    assert steps.nunique().eq(1).all()


def test_kinds_are_those_of_the_places(trained: Run) -> None:
    """The first words of a response are style, its third the strategy."""
    for name, places in (("kind-style", {0, 1, 4}), ("kind-strategy", {2})):
        kept = trained(name).tokens.query("keep")
        assert places <= set(kept["position"])
        assert (kept["kind"] == {"kind-style": 0, "kind-strategy": 1}[name]).all()


def test_archer_clips_and_ties_each_token_by_its_entropy(trained: Run) -> None:
    run = trained("archer")
    for _, response in run.tokens[run.tokens["step"] == 1].groupby("response"):
        loose = response["entropy"] >= response["entropy"].quantile(0.8)
        assert np.isclose(response["clip_high"], np.where(loose, 0.5, 0.2)).all()
        assert ((response["kl_coef"] == 0) == loose).all()
    assert run.metrics["kl_ref"].iloc[-1] > 0


def test_the_attention_methods_take_opposite_ends(trained: Run) -> None:
    for name, sign in (("attention-anchors", 1), ("attention-explorers", -1)):
        tokens = trained(name).tokens
        attention = sign * tokens["attention_entropy"]
        assert tokens["attention_entropy"].between(0, 1).all()
        for response in tokens["response"].unique():
            here = tokens["response"] == response
            left = attention[here & ~tokens["keep"]]
            assert left.empty or attention[here & tokens["keep"]].max() <= left.min()
            assert (here & tokens["keep"]).any()


def test_hoelder_means_run_from_one_power_to_the_other(trained: Run) -> None:
    np.testing.assert_allclose(trained("hoelderpo").metrics["credit_ratio_power"], [2.0, 1.2, 0.4, -0.4, -1.2])


def test_truncated_importance_sampling_sees_the_samplers_log_probs(trained: Run) -> None:
    tokens = trained("tis").tokens
    mismatch = np.exp(tokens["old_logprob"] - tokens["rollout_logprob"])
    assert (mismatch - 1).abs().max() < 1e-4  # one model computed both
    assert tokens["rollout_logprob"].max() < 0
    np.testing.assert_allclose(tokens["advantage"], tokens["group_advantage"] * mismatch, rtol=1e-6)


def test_dr_grpo_leaves_the_deviation_out(trained: Run) -> None:
    run = trained("dr-grpo")
    of_response = run.tokens.groupby(["step", "problem_id", "sample"])[["reward", "advantage"]].first()
    centred = of_response["reward"] - of_response.groupby(["step", "problem_id"])["reward"].transform("mean")
    np.testing.assert_allclose(of_response["advantage"], centred, atol=1e-6)


def test_overlong_responses_are_worth_less(trained: Run) -> None:
    assert trained("dapo-overlong").metrics["reward_mean"].max() < trained("dapo").metrics["reward_mean"].min()


def of_step(run: Trained, step: int) -> pd.DataFrame:
    return run.tokens[run.tokens["step"] == step]


def test_norm_matched_has_the_methods_norm_and_no_weights(trained: Run) -> None:
    """At the first step the policies are the same, so their credit can be compared."""
    method, control = trained("eapo"), trained("eapo-norm-matched")
    assert control.metrics["credit_sum"][0] == pytest.approx(method.metrics["credit_sum"][0], rel=1e-6)
    assert control.metrics["weight_gini"].max() < 1e-6 < method.metrics["weight_gini"].min()


def test_shuffled_moves_each_responses_credits_to_other_places(trained: Run) -> None:
    method, control = (of_step(trained(name), 1) for name in ("eapo", "eapo-shuffled"))
    assert (method["token_id"] == control["token_id"]).all()
    assert (method["advantage"] != control["advantage"]).mean() > 0.5
    in_order = [tokens.sort_values(["response", "advantage"])["advantage"] for tokens in (method, control)]
    np.testing.assert_array_equal(*in_order)


def test_a_random_mask_has_the_size_of_the_method_s_and_other_places_at_every_step(trained: Run) -> None:
    run, method = trained("forking-random-mask"), trained("forking")
    assert of_step(run, 1)["keep"].sum() == of_step(method, 1)["keep"].sum()
    for step in (1, 2, 4, 5):
        tokens = of_step(run, step)
        chosen = tokens["control_noise"].rank() <= tokens["keep"].sum()
        assert (tokens["keep"] == chosen).all()
    places = [tuple(of_step(run, step)["keep"]) for step in (1, 2, 4, 5)]
    assert len(set(places)) == 4
