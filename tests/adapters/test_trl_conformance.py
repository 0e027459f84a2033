"""The loss against the installed TRL's: ``GRPOTrainer._compute_loss`` itself, on the same tensors and on the same model."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import Qwen3ForCausalLM
from trl import GRPOTrainer

from tests.adapters.trl_trainers import GROUP, LONGEST, make_trainer, settings, tiny_policy
from tokencredit.adapters.padded import signals_from_padded, to_padded
from tokencredit.credit import METHODS, TokenSignals, assign
from tokencredit.data.embedded_tokenizer import build_tokenizer
from tokencredit.policy import Scorer, Sequence, policy_loss

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("frozen_garbage")]

ROWS = 2 * GROUP


@dataclass(frozen=True)
class Case:
    """One loss in both languages. TRL's ``epsilon_high`` is the largest ratio itself under "cispo"; ours is always added to 1."""

    trl: dict[str, Any]
    credit: str = "grpo"
    params: dict[str, Any] = field(default_factory=dict)
    ours: dict[str, Any] = field(default_factory=dict)


KL = {"beta": 0.04, "use_bias_correction_kl": False}
GSPO = {"loss_type": "grpo", "importance_sampling_level": "sequence", "epsilon": 0.03, "epsilon_high": 0.04}
GSPO_BOUNDS = {"clip_low": 0.03, "clip_high": 0.04}
CASES = {
    "grpo": Case({"loss_type": "grpo"}, ours={"aggregation": "sequence-mean"}),
    "grpo with KL": Case({"loss_type": "grpo", **KL}, ours={"aggregation": "sequence-mean", "kl_coef": 0.04}),
    "dr_grpo": Case({"loss_type": "dr_grpo"}, ours={"aggregation": "constant", "max_response_tokens": LONGEST}),
    "dr_grpo, its advantage": Case(
        {"loss_type": "dr_grpo", "scale_rewards": "none"},
        credit="dr-grpo",
        ours={"aggregation": "constant", "max_response_tokens": LONGEST},
    ),
    "dapo": Case({"loss_type": "dapo"}),
    "dapo with KL": Case({"loss_type": "dapo", **KL}, ours={"kl_coef": 0.04}),
    "bnpo of one batch": Case({"loss_type": "bnpo"}),
    "cispo": Case(
        {"loss_type": "cispo", "epsilon_high": 1.3}, credit="cispo", params={"clip_low": 1.0, "clip_high": 0.3}
    ),
    "gspo": Case(GSPO, credit="gspo", params=GSPO_BOUNDS, ours={"aggregation": "sequence-mean"}),
    "gspo-token": Case(GSPO, credit="gspo-token", params=GSPO_BOUNDS, ours={"aggregation": "sequence-mean"}),
    "entropy bonus": Case({"loss_type": "dapo", "entropy_coef": 0.05}, credit="entroreg", params={"beta": 0.05}),
}


class Given(GRPOTrainer):
    """The real loss on given log-probs and entropies."""

    given: tuple[Tensor, Tensor]

    def _get_per_token_logps_and_entropies(self, *_: Any, **__: Any) -> tuple[Tensor, Tensor, None]:
        return *self.given, None


@dataclass(frozen=True)
class Batch:
    """What TRL hands to its loss, and the same as signals. Completions are padded on the right and have holes, as after tool calls."""

    inputs: dict[str, Tensor]
    mask: Tensor
    signals: TokenSignals


def made_up(logprob: Tensor, entropy: Tensor, mask: Tensor, ids: dict[str, Tensor]) -> Batch:
    """Off-policy by half a nat, so that every bound is crossed, under advantages as TRL computes them."""
    random = torch.Generator().manual_seed(3)
    noise, drift = (torch.randn(mask.shape, generator=random, dtype=torch.float64).to(logprob.dtype) for _ in range(2))
    old, reference = logprob.detach() + 0.5 * noise, logprob.detach() + 0.3 * drift
    reward = torch.tensor([1, -1, -1, -1, 1, 1, -1, 1], dtype=logprob.dtype)
    grouped = reward.view(-1, GROUP)
    advantage = ((grouped - grouped.mean(1, keepdim=True)) / (grouped.std(1, keepdim=True) + 1e-4)).flatten()
    inputs = {
        **ids,
        "advantages": advantage,
        "old_per_token_logps": old,
        "ref_per_token_logps": reference,
        "num_items_in_batch": mask.sum(),
    }
    signals = signals_from_padded(
        mask,
        reward=reward,
        advantage=advantage,
        group=torch.arange(ROWS) // GROUP,
        entropy=entropy,
        old_logprob=old,
        ref_logprob=reference,
    )
    return Batch(inputs, mask, signals)


def tensors() -> tuple[Batch, Tensor, Tensor]:
    """A batch in float64 around free log-probs and entropies [B, T]."""
    random = torch.Generator().manual_seed(2)
    shape = (ROWS, LONGEST)
    logprob = -3 * torch.rand(shape, generator=random, dtype=torch.float64)
    # TRL compares with a float32 threshold: values that float32 holds keep both at the same tokens.
    entropy = (2 * torch.rand(shape, generator=random)).double()
    lengths = torch.tensor([9, 4, 1, 7, 8, 2, 6, 5])
    completion = (torch.arange(LONGEST) < lengths[:, None]).long()
    tool = torch.ones(shape).long()
    tool[0, 3:5] = 0
    tool[3, 1] = 0
    ids = {
        "prompt_ids": torch.ones(ROWS, 2).long(),
        "prompt_mask": torch.ones(ROWS, 2).long(),
        "completion_ids": torch.ones(shape).long(),
        "completion_mask": completion,
        "tool_mask": tool,
    }
    return made_up(logprob, entropy, (completion * tool).bool(), ids), logprob, entropy


def at_rest(trainer: GRPOTrainer) -> GRPOTrainer:
    """As within ``train``, where an optimiser batch is one micro-batch."""
    trainer.model.train()
    trainer.current_gradient_accumulation_steps = 1
    return trainer


def theirs(trainer: Given, batch: Batch, logprob: Tensor, entropy: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """TRL's loss and its gradients [N] with respect to log-probs and entropies."""
    leaves = logprob.clone().requires_grad_(), entropy.clone().requires_grad_()
    at_rest(trainer).given = leaves
    loss = trainer._compute_loss(trainer.model, batch.inputs)
    gradients = torch.autograd.grad(loss, leaves, allow_unused=True, materialize_grads=True)
    assert all(float(gradient[~batch.mask].abs().sum()) == 0 for gradient in gradients)
    return loss.detach(), *(gradient[batch.mask] for gradient in gradients)


def ours(case: Case, batch: Batch, logprob: Tensor, entropy: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    leaves = logprob[batch.mask].requires_grad_(), entropy[batch.mask].requires_grad_()
    credit = assign(case.credit, batch.signals, **case.params)
    loss, _ = policy_loss(leaves[0], batch.signals, credit, entropy=leaves[1], **case.ours)
    gradients = torch.autograd.grad(loss, leaves, allow_unused=True, materialize_grads=True)
    return loss.detach(), *gradients


def one_batch(folder: Path, **changed: Any) -> Any:
    return settings(folder, per_device_train_batch_size=ROWS, gradient_accumulation_steps=1, **changed)


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    tiny_policy(build_tokenizer()).save_pretrained(folder)
    return folder


def trainer_of(kind: type[GRPOTrainer], case: Case, model_dir: Path, **more: Any) -> GRPOTrainer:
    model = Qwen3ForCausalLM.from_pretrained(model_dir)
    return make_trainer(kind, one_batch(model_dir, **case.trl, **more), model=model)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_loss_and_gradients_are_trls(case: Case, model_dir: Path) -> None:
    batch, logprob, entropy = tensors()
    if case.credit == "dr-grpo":
        centred = batch.signals.reward - batch.signals.reward.view(-1, GROUP).mean(1).repeat_interleave(GROUP)
        batch.inputs["advantages"] = centred
    expected = theirs(trainer_of(Given, case, model_dir), batch, logprob, entropy)
    obtained = ours(case, batch, logprob, entropy)
    assert expected[1].abs().max() > 1e-4
    for mine, its in zip(obtained, expected, strict=True):
        torch.testing.assert_close(mine, its, atol=1e-12, rtol=1e-10)


@pytest.mark.parametrize("name", ["grpo", "dapo", "cispo", "gspo"])
def test_these_batches_cross_both_bounds(name: str) -> None:
    """What the comparison is worth: with wide bounds the loss would be another."""
    batch, logprob, entropy = tensors()
    case = CASES[name]
    wide = {"clip_low": 0.999, "clip_high": 1e6}
    for bound in wide:
        loose = {bound: wide[bound]}
        is_methods = bound in METHODS[case.credit].defaults
        changed = (
            Case(case.trl, case.credit, case.params | loose, case.ours)
            if is_methods
            else Case(case.trl, case.credit, case.params, case.ours | loose)
        )
        differs = (ours(changed, batch, logprob, entropy)[0] - ours(case, batch, logprob, entropy)[0]).abs() > 1e-6
        assert differs == (name != "cispo" or bound == "clip_high")


def test_forking_is_trls_up_to_the_denominator(model_dir: Path) -> None:
    """TRL divides by all tokens, as its option is documented; paper, authors' code and we by the selected ones."""
    batch, logprob, entropy = tensors()
    case = Case({"loss_type": "dapo", "top_entropy_quantile": 0.2}, credit="forking", params={"rho": 0.2})
    expected = theirs(trainer_of(Given, case, model_dir), batch, logprob, entropy)
    obtained = ours(case, batch, logprob, entropy)
    selected = int(assign("forking", batch.signals, rho=0.2).keep.sum())
    assert 0 < selected < len(batch.signals.response) / 4
    factor = len(batch.signals.response) / selected
    for mine, its in zip(obtained, expected, strict=True):
        torch.testing.assert_close(mine, factor * its, atol=1e-12, rtol=1e-10)


def test_tis_is_trls_truncated_correction(model_dir: Path) -> None:
    """TRL multiplies the loss of a token by what it computed beside the rollouts; here the advantage."""
    batch, logprob, entropy = tensors()
    case = Case({"loss_type": "dapo"}, credit="tis", params={"cap": 2.0})
    mismatch = torch.linspace(-1.5, 1.5, batch.mask.numel(), dtype=torch.float64).view(batch.mask.shape)
    sampled = batch.inputs["old_per_token_logps"] - mismatch
    trainer = trainer_of(Given, case, model_dir, vllm_importance_sampling_clip_max=2.0)
    trainer.use_vllm = True  # for the loss alone: no server is asked
    batch.inputs["importance_sampling_ratio"] = mismatch.exp().clamp(max=trainer.vllm_importance_sampling_clip_max)
    columns = {name: to_padded(getattr(batch.signals, name), batch.mask) for name in ("entropy", "old_logprob")}
    rows = {name: getattr(batch.signals, name) for name in ("reward", "advantage", "group")}
    signals = signals_from_padded(batch.mask, **rows, **columns, rollout_logprob=sampled)
    expected = theirs(trainer, batch, logprob, entropy)
    obtained = ours(case, Batch(batch.inputs, batch.mask, signals), logprob, entropy)
    for mine, its in zip(obtained, expected, strict=True):
        torch.testing.assert_close(mine, its, atol=1e-12, rtol=1e-10)


@pytest.mark.parametrize("name", ["grpo with KL", "dr_grpo", "dapo", "cispo", "gspo", "entropy bonus"])
def test_gradients_of_weights_are_trls(name: str, model_dir: Path) -> None:
    """The whole way, each with its own head: left-padded prompts in TRL's forward, flat tokens in ours, at temperature 0.7.

    TRL's head computes in float32, which sets the tolerance; the model below it is in float64.
    """
    case = CASES[name]
    trainer = at_rest(trainer_of(GRPOTrainer, case, model_dir, temperature=0.7))
    model = trainer.model.double()
    random = torch.Generator().manual_seed(5)
    sequences = [
        Sequence(tuple(torch.randint(2, 90, (before,), generator=random).tolist()), tuple(tokens.tolist()))
        for before, tokens in zip(
            (3, 5, 2, 4, 4, 3, 5, 2),
            (torch.randint(2, 90, (length,), generator=random) for length in (9, 4, 1, 7, 8, 2, 6, 5)),
            strict=True,
        )
    ]
    scorer = Scorer(model, temperature=0.7)
    logprob, entropy = scorer(sequences)
    mask = torch.zeros(ROWS, LONGEST).bool()
    ids = {"prompt_ids": torch.zeros(ROWS, 5).long(), "completion_ids": torch.zeros(ROWS, LONGEST).long()}
    ids |= {"prompt_mask": torch.zeros(ROWS, 5).long()}
    for row, sequence in enumerate(sequences):
        mask[row, : len(sequence.response)] = True
        ids["completion_ids"][row, : len(sequence.response)] = torch.tensor(sequence.response)
        ids["prompt_ids"][row, -len(sequence.prompt) :] = torch.tensor(sequence.prompt)
        ids["prompt_mask"][row, -len(sequence.prompt) :] = 1
    ids["completion_mask"] = mask.long()
    batch = made_up(to_padded(logprob.detach(), mask), to_padded(entropy.detach(), mask), mask, ids)

    expected = trainer._compute_loss(model, batch.inputs)
    credit = assign(case.credit, batch.signals, **case.params)
    obtained, _ = policy_loss(logprob, batch.signals, credit, entropy=entropy, **case.ours)
    torch.testing.assert_close(obtained.float(), expected.float(), atol=1e-6, rtol=1e-6)
    weights = list(model.parameters())
    mine, its = (
        torch.cat([gradient.flatten() for gradient in torch.autograd.grad(loss, weights)])
        for loss in (obtained, expected)
    )
    assert its.norm() > 1e-2
    assert float((mine - its).norm() / its.norm()) < 1e-6
