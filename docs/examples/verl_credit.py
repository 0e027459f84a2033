"""Methods with parameters of your own inside verl 0.9.1: W-REINFORCE with lambda 0.2, and HölderPO with a fixed p = 1.

From this folder, beside the options for data, model, rollout and resources that a run of verl has anyway:

    VERL_USE_EXTERNAL_MODULES=verl_credit PYTHONPATH=. python -m verl.trainer.main_ppo \
        algorithm.adv_estimator=w-reinforce-0.2 \
        actor_rollout_ref.actor.policy_loss.loss_mode=hoelderpo-p1 \
        actor_rollout_ref.actor.loss_agg_mode=token-mean

Methods with their default parameters need no file: VERL_USE_EXTERNAL_MODULES=tokencredit.adapters.verl and a name like tokencredit-psr.
"""

from tokencredit.adapters.verl import register_estimator, register_loss

register_estimator("w-reinforce", name="w-reinforce-0.2", lam=0.2)
register_loss("hoelderpo", name="hoelderpo-p1", start=1.0, end=1.0, progress=0.0)
