"""The credit functions inside verl: advantage estimators and policy losses, under names for verl's configuration.

Importing this module registers, with its default parameters, every method that needs rewards and groups only as the advantage estimator
``tokencredit-NAME`` (``algorithm.adv_estimator``), and every method that needs log-probs and advantages only as the policy loss
``tokencredit-NAME`` (``actor_rollout_ref.actor.policy_loss.loss_mode``). verl imports it in all its processes if the environment has
``VERL_USE_EXTERNAL_MODULES=tokencredit.adapters.verl``. Methods that read entropies: ``verl_trainer``.

Written against verl 0.9.1; ``tests/adapters`` holds it to the installed version.
"""

from __future__ import annotations

from typing import Any

from verl.trainer.ppo.core_algos import (
    ADV_ESTIMATOR_REGISTRY,
    POLICY_LOSS_REGISTRY,
    agg_loss,
    register_adv_est,
    register_policy_loss,
)

from tokencredit.adapters.verl_hooks import advantage_estimator, obstacle, policy_loss_function
from tokencredit.credit import METHODS
from tokencredit.errors import UserError

PREFIX = "tokencredit-"


def register_estimator(method: str, name: str | None = None, **params: Any) -> None:
    """Register a method with parameters as verl's advantage estimator ``name``, or ``tokencredit-METHOD``.

    Raises ``UserError`` for a method or parameters that do not fit, and for a name that is taken.
    """
    name = _free(name or PREFIX + method, ADV_ESTIMATOR_REGISTRY)
    register_adv_est(name)(advantage_estimator(method, **params))


def register_loss(method: str, name: str | None = None, *, progress: float | None = None, **params: Any) -> None:
    """Register a method with parameters as verl's policy loss ``name``, or ``tokencredit-METHOD``.

    ``progress``, a share in [0, 1), is what a method on a schedule is told at every step, as verl does not tell a loss its step.
    Raises ``UserError`` for a method or parameters that do not fit, and for a name that is taken.
    """
    name = _free(name or PREFIX + method, POLICY_LOSS_REGISTRY)
    register_policy_loss(name)(policy_loss_function(method, agg_loss, progress, **params))


def _free(name: str, registry: dict[str, Any]) -> str:
    if name in registry:
        raise UserError(f"verl has {name!r} already; give another `name`.")
    return name


for _method in METHODS:
    if obstacle(_method, "estimator") is None:
        register_estimator(_method)
    if obstacle(_method, "loss") is None:
        register_loss(_method)
