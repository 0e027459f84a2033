"""EAPO inside verl 0.9.1, by a trainer that reads the entropies which verl has stored.

From this folder, beside the options for data, model, rollout and resources that a run of verl has anyway:

    VERL_USE_EXTERNAL_MODULES=verl_eapo PYTHONPATH=. python -m verl.trainer.main_ppo \
        trainer.v1.trainer_mode=tokencredit-eapo \
        algorithm.adv_estimator=grpo \
        actor_rollout_ref.actor.policy_loss.loss_mode=tokencredit-dapo \
        actor_rollout_ref.actor.clip_ratio_low=0.2 \
        actor_rollout_ref.actor.clip_ratio_high=0.28

The loss is PPO's without verl's dual clip; leave it out for verl's own.
"""

import tokencredit.adapters.verl  # noqa: F401  the loss of the command line
from tokencredit.adapters.verl_trainer import register_credit_trainer

register_credit_trainer("eapo", alpha=0.2, phi=2.0)
