"""The methods that read entropies inside verl: a trainer that writes their advantages over verl's.

verl's trainer stores the old policy's log-probs and entropies of the whole batch before it takes advantages, but hands neither to an
advantage estimator. A subclass, which verl selects by ``trainer.v1.trainer_mode``, can read both. Written against verl 0.9.1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import transfer_queue
from omegaconf import DictConfig
from tensordict import TensorDict
from transfer_queue import KVBatchMeta
from verl.trainer.ppo.v1 import PPOTrainer, get_trainer_cls, register_trainer
from verl.workers.utils.padding import response_to_nested

from tokencredit.adapters.verl_hooks import credit_advantages, refuse_kl_in_reward, require
from tokencredit.credit import METHODS
from tokencredit.errors import UserError

# verl's names of the columns that a method may read.
FIELDS = {
    "entropy": "entropy",
    "old_log_probs": "old_logprob",
    "ref_log_prob": "ref_logprob",
    "rollout_log_probs": "rollout_logprob",
}


def register_credit_trainer(
    method: str, name: str | None = None, *, mode: str = "sync", **params: Any
) -> type[PPOTrainer]:
    """Register verl's trainer of that ``mode`` with the credit of ``method`` as trainer ``name``, or ``tokencredit-METHOD``.

    Advantages are the method's, from the rewards before any KL penalty, the groups, and entropies and log-probs of the old policy at the
    sampling temperature; what verl's own estimator made of the batch is overwritten. Rows that verl adds to fill a batch have no tokens.
    Raises ``UserError`` for a method or parameters that do not fit; verl itself for a name that is taken.
    """
    require(method, "trainer", **params)

    class CreditTrainer(get_trainer_cls(mode)):
        def __init__(self, config: DictConfig) -> None:
            refuse_kl_in_reward(config.algorithm)
            if config.algorithm.adv_estimator == "gae":
                raise UserError(
                    "verl: algorithm.adv_estimator is 'gae', for which verl trains a critic that nothing here reads; set it to 'grpo'."
                )
            if (
                "rollout_logprob" in METHODS[method].columns
                and config.algorithm.rollout_correction.rollout_is is not None
            ):
                raise UserError(
                    f"verl: algorithm.rollout_correction.rollout_is must be null under credit {method!r}, which weighs each token by the "
                    "same ratio."
                )
            # verl asks for the mode by name in many places, and takes any name but its own for an asynchronous one.
            config.trainer.v1.trainer_mode = mode
            super().__init__(config)

        def _compute_advantage(self, batch: KVBatchMeta, metrics: dict[str, Any]) -> KVBatchMeta:
            batch = super()._compute_advantage(batch, metrics)
            stored = transfer_queue.kv_batch_get(
                keys=batch.keys,
                partition_id=batch.partition_id,
                select_fields=["uid", "response_mask", "rm_scores", *FIELDS],
            )
            if "entropy" not in stored:
                raise UserError(
                    "verl: this batch has no entropies; algorithm.rollout_correction.bypass_mode must be False, so that the old policy "
                    "is scored."
                )
            padded = stored.to_padded_tensor()
            advantages = credit_advantages(
                method,
                "trainer",
                padded["rm_scores"],
                padded["response_mask"],
                np.array(stored.get("uid").tolist(), dtype=object),
                params,
                **{column: padded[field] for field, column in FIELDS.items() if field in padded},
            )
            nested = response_to_nested(advantages, stored["response_mask"])
            return transfer_queue.kv_batch_put(
                keys=batch.keys,
                partition_id=batch.partition_id,
                fields=TensorDict({"advantages": nested}, batch_size=len(batch)),
            )

    return register_trainer(name or f"tokencredit-{method}")(CreditTrainer)
