"""One step of updates: micro-batches, left-out responses and the stage of the credit change nothing that they must not."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from tests.models import tiny_qwen3
from tokencredit.config import Recipe, Training
from tokencredit.credit import METHODS, TokenCredit, TokenSignals, assign, controlled, group_advantage
from tokencredit.credit.registry import parameters_of
from tokencredit.errors import UserError
from tokencredit.policy import Scorer, Sequence, add_lora, policy_loss
from tokencredit.train.update import Credit, Updater

RECIPE = Recipe(
    clip_low=0.2, clip_high=0.28, kl_coef=0.0, aggregation="token-mean", dynamic_sampling=False, max_refills=0
)


def training(**changes: object) -> Training:
    values = {
        "datasets": ["d"],
        "methods": ["grpo"],
        "seeds": [0],
        "steps": 10,
        "prompts_per_step": 4,
        "prompts_per_update": 2,
        "group_size": 4,
        "sampling": {"temperature": 1.0, "top_p": 1.0, "max_prompt_tokens": 8, "max_response_tokens": 8},
        "learning_rate": 1e-2,
        "warmup_steps": 0,
        "weight_decay": 0.0,
        "grad_clip": 1.0,
        "micro_batch_tokens": 10_000,
        "mixed_precision": "no",
        "checkpoint_every": 1,
        "curve": {"benchmark": "b", "every": 1, "samples": 1, "problems": 1, "temperature": 1.0, "top_p": 1.0},
        "rollouts": {"every": 1, "prompts": 1},
    }
    return Training.model_validate(values | changes)


def batch(scorer: Scorer) -> tuple[list[Sequence], TokenSignals]:
    random = torch.Generator().manual_seed(0)

    def tokens(low: int, high: int) -> tuple[int, ...]:
        return tuple(
            torch.randint(1, 23, (int(torch.randint(low, high, (1,), generator=random)),), generator=random).tolist()
        )

    sequences = [Sequence(tokens(2, 5), tokens(2, 9)) for _ in range(16)]
    group = torch.arange(4).repeat_interleave(4)
    reward = torch.tensor([1.0, -1, -1, -1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, 1])
    old_logprob, entropy = scorer.score(sequences, 1000)
    lengths = torch.tensor([len(sequence.response) for sequence in sequences])
    signals = TokenSignals(
        response=torch.arange(16).repeat_interleave(lengths),
        position=torch.cat([torch.arange(length) for length in lengths.tolist()]),
        entropy=entropy,
        old_logprob=old_logprob,
        reward=reward,
        advantage=group_advantage(reward, group),
        group=group,
        noise=torch.rand(int(lengths.sum()), generator=random),
        control_noise=torch.rand(int(lengths.sum()), generator=random),
        progress=0.5,
    )
    return sequences, signals


def weights_after(
    name: str = "eapo", recipe: Recipe = RECIPE, control: str | None = None, **changes: object
) -> tuple[torch.Tensor, dict[str, float]]:
    scorer = Scorer(tiny_qwen3())
    sequences, signals = batch(scorer)
    updater = Updater(scorer, training(**changes), recipe)
    metrics, _ = updater.step(1, sequences, signals, Credit(name, {}, control))
    return torch.cat([parameter.detach().flatten() for parameter in scorer.parameters()]), metrics


@pytest.mark.slow
# At the rollout and at every update, with gaps, under terms of their own, with ratios of whole responses, under a control.
@pytest.mark.parametrize(
    ("name", "recipe", "control"),
    [
        ("eapo", {}, None),
        ("phr", {"aggregation": "sequence-mean"}, None),
        ("forking", {}, None),
        ("kl-cov", {}, None),
        ("entroreg", {}, None),
        ("hoelderpo", {}, None),
        ("grpo", {"aggregation": "constant"}, None),
        ("forking", {}, "random-mask"),
    ],
)
def test_the_micro_batch_budget_changes_nothing(name: str, recipe: dict[str, object], control: str | None) -> None:
    whole, metrics = weights_after(name, RECIPE.model_copy(update=recipe), control)
    split, split_metrics = weights_after(name, RECIPE.model_copy(update=recipe), control, micro_batch_tokens=20)
    torch.testing.assert_close(whole, split, atol=1e-8, rtol=0)
    assert metrics == pytest.approx(split_metrics, abs=1e-6)
    assert metrics["updates"] == 2


# Terms that need no credit keep every response in; a penalty keeps those in that it falls on.
@pytest.mark.parametrize(
    ("term", "forwards"),
    [
        ({}, "some"),
        ({"old_kl_coef": 0.0, "entropy_coef": torch.zeros(1)}, "some"),
        ({"old_kl_coef": 0.5}, "some"),
        ({"entropy_coef": 0.1}, "all"),
        ({"kl_coef": 0.1}, "all"),
    ],
    ids=["credit alone", "terms of no weight", "drift penalty", "entropy bonus", "divergence"],
)
def test_leaving_out_responses_without_a_gradient_leaves_the_gradient_as_it_is(
    term: dict[str, object], forwards: str
) -> None:
    """The minibatch gradient, computed on the active responses only, equals the plain gradient of all of them."""
    scorer = Scorer(tiny_qwen3())
    sequences, signals = batch(scorer)
    if "kl_coef" in term:
        signals = dataclasses.replace(signals, ref_logprob=signals.old_logprob - 0.1)
    terms = {
        name: value.expand(len(signals.response)) if torch.is_tensor(value) else value for name, value in term.items()
    }
    credit = dataclasses.replace(assign("nhr", signals), **terms)
    logprob, entropy = scorer(sequences)
    # Away from the old policy, or the penalty's kink has no gradient.
    signals = dataclasses.replace(signals, old_logprob=signals.old_logprob - 0.05)
    policy_loss(logprob, signals, credit, entropy=entropy)[0].backward()
    plain = [parameter.grad.clone() for parameter in scorer.parameters()]
    scorer.zero_grad()

    seen: list[torch.Tensor] = []
    passed: list[int] = []
    scorer.register_forward_pre_hook(lambda _, arguments: passed.append(len(arguments[0])))
    updater = Updater(scorer, training(grad_clip=1e9), RECIPE)
    updater.optimizer.step = lambda: seen.extend(parameter.grad.clone() for parameter in scorer.parameters())
    updater.update(sequences, signals, credit)
    assert (sum(passed) == len(sequences)) == (forwards == "all")
    for obtained, expected in zip(seen, plain, strict=True):
        torch.testing.assert_close(obtained, expected, atol=1e-10, rtol=0)


def test_a_penalty_reaches_a_response_without_advantage() -> None:
    """Of a group of equal rewards a kept token under the drift penalty still has a gradient; one that is not kept has none."""
    scorer = Scorer(tiny_qwen3())
    sequences, signals = batch(scorer)
    penalty = torch.zeros(len(signals.response))
    penalty[0] = 1.0
    signals = dataclasses.replace(signals, old_logprob=signals.old_logprob - 0.05)
    for keep, moved in ((signals.every_token, True), (~signals.every_token, False)):
        credit = TokenCredit(torch.zeros(len(signals.response)), keep, old_kl_coef=penalty)
        updater = Updater(scorer, training(), RECIPE)
        assert (updater.update(sequences, signals, credit)["grad_norm"] > 0) == moved


def test_a_step_whose_groups_are_all_equal_moves_nothing() -> None:
    scorer = Scorer(tiny_qwen3())
    sequences, signals = batch(scorer)
    before = [parameter.detach().clone() for parameter in scorer.parameters()]
    updater = Updater(scorer, training(), RECIPE)
    nothing = assign("grpo", dataclasses.replace(signals, advantage=torch.zeros(16)))
    metrics = updater.update(sequences, signals, nothing)
    assert metrics["grad_norm"] == 0.0
    assert all(torch.equal(a, b) for a, b in zip(before, scorer.parameters(), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"learning_rate": 2e-2},
        {"weight_decay": 0.5},
        {"adam_beta1": 0.5},
        {"adam_beta2": 0.5},
        {"grad_clip": 1e-3},
        {"prompts_per_update": 4},
        {"warmup_steps": 10},
    ],
)
def test_every_option_of_the_optimiser_acts(changes: dict[str, object]) -> None:
    plain, _ = weights_after()
    changed, _ = weights_after(**changes)
    assert not torch.allclose(plain, changed, atol=1e-9)


def test_warm_up_is_linear_in_steps() -> None:
    updater = Updater(Scorer(tiny_qwen3()), training(warmup_steps=4), RECIPE)
    assert [updater.learning_rate(step) for step in (1, 2, 4, 9)] == pytest.approx([0.25e-2, 0.5e-2, 1e-2, 1e-2])


def test_a_method_of_the_update_stage_sees_the_policy_of_its_own_update(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its credit is asked for once per update, with that minibatch's log-probs and entropies under the weights of then."""
    seen: list[TokenSignals] = []

    def watching(signals: TokenSignals, scale: float = 1.0) -> TokenCredit:
        seen.append(signals)
        return TokenCredit(
            scale * signals.token_advantage, signals.every_token, clip_low=signals.noise, ratio_power=float(len(seen))
        )

    declared = dataclasses.replace(
        METHODS["grpo"],
        function=watching,
        stage="update",
        columns=("logprob", "noise"),
        parameters=parameters_of("watching", watching),
    )
    monkeypatch.setitem(METHODS, "watching", declared)
    scorer = Scorer(tiny_qwen3())
    sequences, signals = batch(scorer)
    updater = Updater(scorer, training(), RECIPE)
    watched = Credit("watching", {"scale": 2.0})
    assert watched.columns == {"noise"}
    metrics, credit = updater.step(1, sequences, signals, watched)
    assert len(seen) == metrics["updates"] == 2
    torch.testing.assert_close(seen[0].logprob, seen[0].old_logprob)
    assert (seen[1].logprob - seen[1].old_logprob).abs().max() > 1e-4
    tokens = len(seen[0].entropy)
    torch.testing.assert_close(seen[0].entropy, signals.entropy[:tokens])
    assert (seen[1].entropy - signals.entropy[tokens:]).abs().max() > 1e-4
    # The step's record: what each update has per token, joined; a number that moved between them is left out.
    assert torch.equal(credit.advantage, 2 * signals.token_advantage)
    assert torch.equal(credit.clip_low, signals.noise)
    assert credit.ratio_power == 0.0


@pytest.mark.parametrize("name", ["eapo", "forking"])
def test_a_control_stands_round_the_credit_at_either_stage(name: str) -> None:
    scorer = Scorer(tiny_qwen3())
    sequences, signals = batch(scorer)
    updater = Updater(scorer, training(prompts_per_update=4), RECIPE)
    _, credit = updater.step(1, sequences, signals, Credit(name, {}, "shuffled"))
    logprob = {} if name == "eapo" else {"logprob": signals.old_logprob}
    expected = controlled("shuffled", signals, assign(name, dataclasses.replace(signals, **logprob)))
    torch.testing.assert_close(credit.advantage, expected.advantage)
    assert torch.equal(credit.keep, expected.keep)
    assert Credit(name, {}, "shuffled").columns == {"control_noise"}
    assert Credit(name, {}).columns == set()


def test_scattered_groups_are_other_updates_of_the_same_credit() -> None:
    """As many, from the same tokens with the same credit; the seed says which meet."""
    whole, metrics = weights_after()
    scattered, other_metrics = weights_after(keep_groups_together=False)
    assert metrics["updates"] == other_metrics["updates"] == 2
    assert not torch.allclose(whole, scattered, atol=1e-6)
    assert torch.equal(scattered, weights_after(keep_groups_together=False)[0])
    one = {"prompts_per_update": 4}
    together, apart = (weights_after(keep_groups_together=keep, **one)[0] for keep in (True, False))
    torch.testing.assert_close(together, apart, atol=1e-8, rtol=0)


def test_the_constant_aggregation_divides_by_the_longest_response() -> None:
    """Twice the limit is half the loss, and the gradient's direction stays."""
    recipe = RECIPE.model_copy(update={"aggregation": "constant"})
    norms = []
    for longest in (8, 16):
        scorer = Scorer(tiny_qwen3())
        sequences, signals = batch(scorer)
        settings = training(sampling={**training().sampling.model_dump(), "max_response_tokens": longest})
        updater = Updater(scorer, settings, recipe)
        norms.append(updater.update(sequences, signals, assign("dr-grpo", signals))["grad_norm"])
    assert norms[0] == pytest.approx(2 * norms[1], rel=1e-6)


def test_an_adapter_is_all_that_the_optimiser_moves() -> None:
    model = tiny_qwen3()
    before = [parameter.detach().clone() for parameter in model.parameters()]
    scorer = Scorer(model)
    add_lora(model, 4, 8, seed=0)
    sequences, signals = batch(scorer)
    updater = Updater(scorer, training(weight_decay=0.5), RECIPE)
    updater.step(1, sequences, signals, Credit("grpo", {}))
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    frozen = [parameter for parameter in model.parameters() if not parameter.requires_grad]
    assert sum(len(group["params"]) for group in updater.optimizer.param_groups) == len(trained)
    assert all(float(parameter.detach().abs().sum()) > 0 for parameter in trained)  # B was 0
    for parameter, expected in zip(frozen, before, strict=True):
        assert torch.equal(parameter, expected)


def test_before_the_first_update_of_a_step_the_ratio_is_exactly_one() -> None:
    """KL-Cov's |log rho| has no gradient there: with the rounding of another pass it would have one, of random sign."""
    scorer = Scorer(tiny_qwen3().float())
    sequences, signals = batch(scorer)
    rounded = dataclasses.replace(signals, old_logprob=signals.old_logprob + 2e-6)

    def gradient(name: str, moved: bool) -> torch.Tensor:
        seen: list[torch.Tensor] = []
        updater = Updater(scorer, training(grad_clip=1e9), RECIPE)
        updater.optimizer.step = lambda: seen.extend(parameter.grad.flatten() for parameter in scorer.parameters())
        credit = Credit(name, {"k": 0.3} if name == "kl-cov" else {})
        metrics = updater.update(
            sequences, rounded, credit.at_update(rounded, rounded.old_logprob, rounded.entropy), moved
        )
        assert (metrics["ratio_max"] == 1.0) != moved
        return torch.cat(seen)

    plain = gradient("grpo", moved=False)
    torch.testing.assert_close(gradient("kl-cov", moved=False), plain, atol=1e-6, rtol=1e-4)
    assert (gradient("kl-cov", moved=True) - plain).abs().max() > 1e-3


@pytest.mark.parametrize("broken", ["loss", "norm of the gradient"])
def test_what_is_not_finite_ends_the_run_before_the_weights_move(broken: str) -> None:
    scorer = Scorer(tiny_qwen3())
    sequences, signals = batch(scorer)
    updater = Updater(scorer, training(), RECIPE)
    if broken == "loss":
        signals = dataclasses.replace(signals, old_logprob=signals.old_logprob * torch.nan)
    else:
        scorer.model.model.norm.weight.register_hook(lambda gradient: gradient * torch.inf)
    before = [parameter.detach().clone() for parameter in scorer.parameters()]
    with pytest.raises(UserError, match=f"training diverged: the {broken} is"):
        updater.update(sequences, signals, assign("grpo", signals))
    assert all(torch.equal(a, b) for a, b in zip(before, scorer.parameters(), strict=True))


@pytest.mark.parametrize(
    ("prompts", "balance", "updates"),
    [((4, 1), None, 4), ((2, 1), None, 2), ((2, 1), 0.25, 2), ((8, 2), None, 2), ((8, 2), 0.25, 4)],
)
def test_more_or_fewer_groups_than_prompts_leave_a_step_its_number_of_updates(
    prompts: tuple[int, int], balance: float | None, updates: int
) -> None:
    """Four groups, and prompts of a step and of an update. Resets make more groups, balanced rewards more or fewer; dropped ones are
    missing.
    """
    scorer = Scorer(tiny_qwen3())
    sequences, signals = batch(scorer)
    settings = training(prompts_per_step=prompts[0], prompts_per_update=prompts[1], balance_rewards=balance)
    metrics, _ = Updater(scorer, settings, RECIPE).step(1, sequences, signals, Credit("eapo", {}))
    assert metrics["updates"] == updates
