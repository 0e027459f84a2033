"""Against verl itself, where it is installed: its registry, its own estimators and losses, its configuration, its trainer.

verl pins an older transformers than this package is tested with, so it is not among the pinned requirements: docs/adapters.md says how to
install what these tests need beside it. No model is trained and no GPU is used here.
"""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.adapters.verl_batches import Padded, padded_batch
from tokencredit.credit import assign
from tokencredit.errors import UserError

core_algos = pytest.importorskip("verl.trainer.ppo.core_algos", reason="verl is not installed (docs/adapters.md)")

from verl.trainer.config import AlgoConfig  # noqa: E402
from verl.workers.config import FSDPActorConfig, PolicyLossConfig  # noqa: E402

from tests.adapters.test_verl_hooks import ESTIMATORS, LOSSES, MODES, TRAINERS, flat  # noqa: E402
from tokencredit.adapters import verl as adapter  # noqa: E402

EXAMPLES = Path("docs/examples")


def actor(low: float = 0.2, high: float = 0.28, info: dict[str, Any] | None = None, **policy_loss: Any) -> Any:
    """verl's actor configuration. Its dual clip is so far out that it never acts: this package has none."""
    return FSDPActorConfig(
        rollout_n=4,
        ppo_micro_batch_size_per_gpu=1,
        clip_ratio_low=low,
        clip_ratio_high=high,
        clip_ratio_c=1e9,
        global_batch_info=info or {},
        policy_loss=PolicyLossConfig(**policy_loss),
        optim=None,
    )


def loss_and_gradient(name: str, batch: Padded, config: Any, **options: Any) -> tuple[Tensor, Tensor]:
    arguments = batch.loss_arguments | {"log_prob": batch.log_prob.clone().requires_grad_()}
    loss, metrics = core_algos.get_policy_loss_fn(name)(**arguments, config=config, **options)
    loss.backward()
    assert all(isinstance(value, float) for value in metrics.values())
    return loss.detach(), arguments["log_prob"].grad


def test_everything_that_fits_is_registered() -> None:
    for name in ESTIMATORS:
        assert callable(core_algos.get_adv_estimator_fn(f"tokencredit-{name}"))
    for name in LOSSES:
        assert callable(core_algos.get_policy_loss_fn(f"tokencredit-{name}"))
    with pytest.raises(UserError, match="already"):
        adapter.register_estimator("psr")
    with pytest.raises(UserError, match="already"):
        adapter.register_loss("gspo", name="kl_cov")


def estimate(name: str, batch: Padded, **options: Any) -> Tensor:
    advantages, _ = core_algos.get_adv_estimator_fn(name)(
        token_level_rewards=batch.rewards.clone(),
        response_mask=batch.response_mask,
        index=batch.index,
        config=AlgoConfig(),
        **options,
    )
    return advantages


def test_grpo_is_verls_but_for_its_epsilon() -> None:
    """verl divides by the deviation + 1e-6 and leaves the reward of a group of one as it is; here such a group has no advantage."""
    batch = padded_batch(11, empty=False)
    ours, theirs = estimate("tokencredit-grpo", batch), estimate("grpo", batch)
    rewards = batch.rewards.sum(1)
    deviation = torch.stack([rewards[torch.from_numpy(batch.index == prompt)].std() for prompt in batch.index])
    assert theirs.abs().max() > 1
    torch.testing.assert_close(ours * (deviation / (deviation + 1e-6))[:, None], theirs, atol=1e-9, rtol=0)
    one = batch.rows(0, 1)
    assert estimate("grpo", one).abs().sum() > 0
    assert not estimate("tokencredit-grpo", one).any()


def test_dr_grpo_is_verls_without_the_deviation() -> None:
    batch = padded_batch(12)
    ours, theirs = estimate("tokencredit-dr-grpo", batch), estimate("grpo", batch, norm_adv_by_std_in_grpo=False)
    assert theirs.abs().max() > 0.1
    torch.testing.assert_close(ours, theirs, atol=1e-12, rtol=0)


PAIRS = {
    "grpo": ("vanilla", {}, {}),
    "gspo": ("gspo", {"low": 3e-4, "high": 4e-4}, {}),
    "gspo-token": ("gspo", {"low": 3e-4, "high": 4e-4}, {}),
    "cispo": ("cispo", {"low": 1.0, "high": 4.0}, {}),
    "kl-cov": ("kl_cov", {}, {"kl_cov_ratio": 2e-3, "ppo_kl_coef": 1.0}),
    "kl-cov-third": ("kl_cov", {}, {"kl_cov_ratio": 0.3, "ppo_kl_coef": 0.5}),
    "clip-cov-all": ("clip_cov", {"low": 0.2, "high": 0.2}, {"clip_cov_ratio": 1.0, "clip_cov_lb": 0.5}),
    "clip-cov-none": ("clip_cov", {"low": 0.2, "high": 0.2}, {"clip_cov_lb": 50.0, "clip_cov_ub": 51.0}),
}


@pytest.fixture(scope="module", autouse=True)
def _covariances() -> None:
    """Clip-Cov draws at random: with every eligible token drawn, or none eligible, nothing is left to chance."""
    adapter.register_loss("clip-cov", name="tokencredit-clip-cov-all", r=1.0, low=0.5)
    adapter.register_loss("clip-cov", name="tokencredit-clip-cov-none", low=50.0, high=51.0)
    adapter.register_loss("kl-cov", name="tokencredit-kl-cov-third", k=0.3, beta=0.5)


@pytest.mark.parametrize("weighed", [False, True], ids=["", "weighed"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("ours", PAIRS)
def test_losses_and_gradients_are_verls(ours: str, mode: str, weighed: bool) -> None:
    """In float64, with advantages that differ between tokens, a row without tokens, and the mini-batch on two processes."""
    theirs, bounds, params = PAIRS[ours]
    # GSPO's bounds are so narrow that a third of the responses lie inside only under a small step.
    batch = padded_batch(13, spread=2e-3 if theirs == "gspo" else 0.4)
    weights = (batch.old_log_prob - batch.rollout_log_prob).exp().clamp(max=2.0)
    if (
        ours == "gspo"
    ):  # the ratio of a response has the gradient of its tokens' only where they share advantage and weight
        shared = batch.advantages[:, :1].expand_as(weights).contiguous()
        batch, weights = dataclasses.replace(batch, advantages=shared), weights[:, :1].expand_as(weights)
    options = {"loss_agg_mode": mode, "rollout_is_weights": weights if weighed else None}
    info = {
        "dp_size": 2,
        "batch_num_tokens": 150,
        "global_batch_size": len(batch.response_mask),
        "loss_scale_factor": 9,
    }
    config = actor(info=info, **bounds, **params)
    expected_loss, expected = loss_and_gradient(theirs, batch, config, **options)
    loss, gradient = loss_and_gradient(f"tokencredit-{ours}", batch, config, **options)
    assert expected.abs().sum() > 0
    torch.testing.assert_close(loss, expected_loss, atol=1e-8, rtol=1e-7)
    torch.testing.assert_close(gradient, expected, atol=1e-8, rtol=1e-7)


def test_the_pairs_are_not_all_one_loss() -> None:
    """What is chosen or clipped acts on this batch: each loss differs from plain GRPO's, but for Clip-Cov with nothing eligible."""
    batch = padded_batch(13)
    info = {"global_batch_size": len(batch.response_mask)}
    plain = loss_and_gradient("tokencredit-grpo", batch, actor(0.2, 0.2, info=info))[1]
    for ours in PAIRS:
        gradient = loss_and_gradient(f"tokencredit-{ours}", batch, actor(0.2, 0.28, info=info))[1]
        assert torch.allclose(gradient, plain) == (ours == "clip-cov-none"), ours


def test_without_the_far_dual_clip_vanilla_is_another_loss() -> None:
    """verl's default, 3, bounds what a wrong token can cost; arXiv 2604.11056, Eq. 2, has no such bound."""
    batch = padded_batch(14, spread=1.5)
    far = loss_and_gradient("vanilla", batch, actor())[1]
    near = loss_and_gradient("vanilla", batch, dataclasses.replace(actor(), clip_ratio_c=3.0))[1]
    ours = loss_and_gradient("tokencredit-grpo", batch, actor())[1]
    torch.testing.assert_close(ours, far, atol=1e-8, rtol=1e-7)
    assert not torch.allclose(near, far)


def test_verl_loads_the_modules_of_the_examples_where_the_environment_names_them() -> None:
    code = (
        "import verl; from verl.trainer.ppo.core_algos import get_adv_estimator_fn as a, get_policy_loss_fn as l; "
        "a('tokencredit-psr'); a('w-reinforce-0.2'); l('tokencredit-gspo'); l('hoelderpo-p1')"
    )
    environment = os.environ | {
        "VERL_USE_EXTERNAL_MODULES": "verl_credit",
        "PYTHONPATH": os.pathsep.join([str(EXAMPLES), *sys.path]),
    }
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def words(example: str) -> list[str]:
    """What the command line of an example says to verl's configuration."""
    text = (EXAMPLES / example).read_text(encoding="utf-8").split('"""')[1]
    return [word for word in text.split() if "=" in word and word[0].islower()]


@pytest.mark.parametrize("example", ["verl_credit.py", "verl_eapo.py"])
def test_verl_reads_the_command_lines_of_the_examples(example: str) -> None:
    hydra = pytest.importorskip("hydra")
    with hydra.initialize_config_module("verl.trainer.config", version_base=None):
        config = hydra.compose("ppo_trainer", words(example))
    assert not config.algorithm.use_kl_in_reward
    if example == "verl_eapo.py":
        assert config.trainer.v1.trainer_mode == "tokencredit-eapo"
        assert config.algorithm.adv_estimator == "grpo"
    else:
        assert config.algorithm.adv_estimator == "w-reinforce-0.2"
        assert config.actor_rollout_ref.actor.policy_loss.loss_mode == "hoelderpo-p1"


def test_verl_computes_advantages_with_the_estimator() -> None:
    """verl's ``compute_advantage`` on its own batch."""
    ray_trainer = pytest.importorskip("verl.trainer.ppo.ray_trainer")
    from verl import DataProto

    batch = padded_batch(15)
    data = DataProto.from_dict(
        tensors={"token_level_rewards": batch.rewards, "response_mask": batch.response_mask},
        non_tensors={"uid": batch.index},
    )
    done = ray_trainer.compute_advantage(data, adv_estimator="tokencredit-nsr", config=AlgoConfig())
    credit = assign("nsr", flat(batch))
    assert torch.equal(done.batch["advantages"][batch.response_mask.bool()], credit.advantage * credit.keep)


@pytest.mark.parametrize("name", ["vanilla", "tokencredit-grpo", "tokencredit-gspo-token", "tokencredit-cispo"])
def test_micro_batches_add_up_in_verls_ppo_loss(name: str) -> None:
    """verl's ``ppo_loss`` on its nested batches: two micro-batches have the gradient of the one that holds all."""
    losses = pytest.importorskip("verl.workers.utils.losses")
    batch = padded_batch(16, empty=False)
    config = actor(loss_mode=name)

    def gradient(cuts: list[int]) -> Tensor:
        log_prob = batch.log_prob.clone().requires_grad_()
        for start, stop in pairwise(cuts):
            part = dataclasses.replace(batch, log_prob=log_prob).rows(start, stop)
            loss, _ = losses.ppo_loss(config, *nested(part, tokens=int(batch.response_mask.sum()), responses=16))
            loss.backward()
        return log_prob.grad

    whole = gradient([0, 16])
    assert whole.abs().sum() > 0
    torch.testing.assert_close(gradient([0, 5, 16]), whole, atol=1e-12, rtol=0)


@pytest.mark.parametrize("name", ["clip-cov", "kl-cov"])
def test_verls_ppo_loss_tells_enough_to_refuse_a_micro_batch(name: str) -> None:
    losses = pytest.importorskip("verl.workers.utils.losses")
    batch = padded_batch(17, empty=False)
    config = actor(loss_mode=f"tokencredit-{name}")
    tokens = int(batch.response_mask.sum())
    loss, _ = losses.ppo_loss(config, *nested(batch, tokens, responses=16))
    assert torch.isfinite(loss)
    with pytest.raises(UserError, match="whole mini-batch of 16 responses, but this micro-batch has 8"):
        losses.ppo_loss(config, *nested(batch.rows(0, 8), tokens, responses=16))


def nested(batch: Padded, tokens: int, responses: int) -> tuple[dict[str, Tensor], Any]:
    """The output of verl's engine and its batch, for prompts of one token."""
    from tensordict import TensorDict
    from verl.utils import tensordict_utils

    lengths = batch.response_mask.sum(1).tolist()

    def ragged(values: Tensor) -> Tensor:
        return torch.nested.as_nested_tensor(
            [row[:length] for row, length in zip(values, lengths, strict=True)], layout=torch.jagged
        )

    ids = torch.ones_like(batch.response_mask)
    data = TensorDict(
        {
            "prompts": torch.nested.as_nested_tensor([ids[0, :1]] * len(ids), layout=torch.jagged),
            "responses": ragged(ids),
            "response_mask": ragged(batch.response_mask),
            "old_log_probs": ragged(batch.old_log_prob),
            "advantages": ragged(batch.advantages),
        },
        batch_size=len(ids),
    )
    tensordict_utils.assign_non_tensor(data, dp_size=1, batch_num_tokens=tokens, global_batch_size=responses)
    # The engine's log-probs stand one place early, at the token that predicts: a prompt of one token, then the response without its last.
    rows = [torch.cat([row[:length], row.new_zeros(1)]) for row, length in zip(batch.log_prob, lengths, strict=True)]
    return {"log_probs": torch.cat(rows)}, data


@pytest.fixture(scope="module")
def queue() -> Iterator[Any]:
    """verl's own queue, on a Ray instance of this process."""
    ray = pytest.importorskip("ray")
    transfer_queue = pytest.importorskip("transfer_queue")
    hydra = pytest.importorskip("hydra")
    pytest.importorskip("verl.trainer.ppo.v1")
    ray.init(address="local", num_cpus=8, include_dashboard=False, object_store_memory=2**28, log_to_driver=False)
    with hydra.initialize_config_module("verl.trainer.config", version_base=None):
        config = hydra.compose("ppo_trainer").transfer_queue
    config.enable = True
    config.backend.SimpleStorage.num_data_storage_units = 1
    transfer_queue.init(config)
    yield transfer_queue
    transfer_queue.close()
    ray.shutdown()


class Workers:
    """In the place of verl's actor processes: the old policy's scores go into the queue, a place early, behind a prompt of one token."""

    def __init__(self, queue: Any, batch: Padded) -> None:
        self.queue, self.batch = queue, batch

    def compute_log_prob(self, meta: Any) -> Any:
        assert meta.extra_info["calculate_entropy"]
        scores = {"log_probs": self.batch.old_log_prob, "entropy": self.batch.entropy}
        lengths = [length + 1 for length in lengths_of(self.batch)]
        return put(self.queue, meta.keys, meta.partition_id, {name: (v, lengths) for name, v in scores.items()})


def lengths_of(batch: Padded) -> list[int]:
    """A row that fills a batch has one token, which is masked."""
    return batch.response_mask.sum(1).clamp(min=1).tolist()


def put(queue: Any, keys: list[str], partition: str, columns: dict[str, tuple[Tensor, list[int]]], **more: Any) -> Any:
    from tensordict import TensorDict

    data = TensorDict(batch_size=len(keys))
    for name, (values, lengths) in columns.items():
        wide = torch.nn.functional.pad(values, (0, 1))
        rows = [row[:length] for row, length in zip(wide, lengths, strict=True)]
        data[name] = torch.nested.as_nested_tensor(rows, layout=torch.jagged)
    for name, value in more.items():
        data[name] = value
    return queue.kv_batch_put(keys=keys, partition_id=partition, fields=data, tags=[{"seq_len": 1} for _ in keys])


def put_rollouts(queue: Any, batch: Padded, partition: str) -> Any:
    """What the queue holds once responses are sampled and rewarded and the reference has scored them."""
    columns = {
        "responses": torch.ones_like(batch.response_mask),
        "response_mask": batch.response_mask,
        "rm_scores": batch.rewards,
        "ref_log_prob": batch.ref_log_prob,
        "rollout_log_probs": batch.rollout_log_prob,
    }
    keys = [f"{uid}_{row}_0" for row, uid in enumerate(batch.index)]
    lengths = lengths_of(batch)
    ragged = {name: (values, lengths) for name, values in columns.items()}
    return put(queue, keys, partition, ragged, uid=list(batch.index))


def make_trainer(name: str, *words: str) -> Any:
    """The registered trainer, without workers: verl makes them after it has made the trainer."""
    import hydra
    from verl.trainer.ppo.v1 import get_trainer_cls

    overrides = ["algorithm.adv_estimator=grpo", f"trainer.v1.trainer_mode={name}", *words]
    with hydra.initialize_config_module("verl.trainer.config", version_base=None):
        return get_trainer_cls(name)(hydra.compose("ppo_trainer", overrides))


@pytest.mark.parametrize("method", TRAINERS)
def test_the_trainer_writes_the_credit_of_the_method(queue: Any, method: str) -> None:
    from verl.trainer.ppo.v1 import PPOTrainerSync

    from tokencredit.adapters.verl_trainer import register_credit_trainer

    register_credit_trainer(method)
    trainer = make_trainer(f"tokencredit-{method}")
    assert isinstance(trainer, PPOTrainerSync)
    assert trainer.trainer_mode == "sync"
    batch = padded_batch(18)
    trainer.actor_rollout_wg = Workers(queue, batch)
    meta = trainer._compute_old_log_prob(put_rollouts(queue, batch, method), {})
    done = trainer._compute_advantage(meta, {})
    stored = queue.kv_batch_get(keys=done.keys, partition_id=method, select_fields=["advantages"])
    advantages = torch.nested.to_padded_tensor(stored["advantages"], 0.0, tuple(batch.response_mask.shape))
    credit = assign(method, flat(batch))
    torch.testing.assert_close(
        advantages[batch.response_mask.bool()], credit.advantage * credit.keep, atol=1e-12, rtol=0
    )
    assert advantages.abs().sum() > 0
    queue.kv_clear(keys=done.keys, partition_id=method)


def test_what_the_trainer_cannot_work_with_is_said(queue: Any) -> None:
    from tokencredit.adapters.verl_trainer import register_credit_trainer

    with pytest.raises(UserError, match="'forking' cannot be the trainer: it acts before every update"):
        register_credit_trainer("forking")
    register_credit_trainer("eapo", name="eapo-strong", alpha=0.5)
    with pytest.raises(UserError, match=r"algorithm\.adv_estimator is 'gae'"):
        make_trainer("eapo-strong", "algorithm.adv_estimator=gae")
    with pytest.raises(UserError, match="use_kl_in_reward"):
        make_trainer("eapo-strong", "algorithm.use_kl_in_reward=True")
    register_credit_trainer("tis", name="tis-tight", cap=1.5)
    with pytest.raises(UserError, match="rollout_is must be null under credit 'tis'"):
        make_trainer("tis-tight", "algorithm.rollout_correction.rollout_is=token")
    bypass = make_trainer("eapo-strong", "algorithm.rollout_correction.bypass_mode=True")
    meta = bypass._compute_old_log_prob(put_rollouts(queue, padded_batch(19), "bypass"), {})
    with pytest.raises(UserError, match="no entropies"):
        bypass._compute_advantage(meta, {})
