"""A second, slow computation of every credit method and of the loss, written from the publications and not from the package.

One file per family; ``batch`` holds the nested lists they work on, ``batches`` the random batches of the tests, ``convert`` the way there.
"""

from __future__ import annotations

from collections.abc import Callable

from tests.oracles import (
    archer,
    attention,
    covariance,
    distillation,
    eapo,
    entropy,
    erpo,
    grpo,
    gtpo,
    hapo,
    hetero_hapo,
    kinds,
    measured,
    quadrants,
    ratios,
    reinforce,
    residual,
)
from tests.oracles.batch import Credit

ORACLES: dict[str, Callable[..., Credit]] = {
    "archer": archer.archer,
    "arca": residual.arca,
    "attention-anchors": attention.attention_anchors,
    "attention-entropy": attention.attention_entropy,
    "attention-explorers": attention.attention_explorers,
    "cispo": ratios.cispo,
    "clip-cov": covariance.clip_cov,
    "dapo": grpo.dapo,
    "dasd": distillation.dasd,
    "dr-grpo": grpo.dr_grpo,
    "eapo": eapo.eapo,
    "eapo-known-style": kinds.eapo_known_style,
    "eapo-measured": measured.eapo_measured,
    "eapo-per-update": eapo.eapo_per_update,
    "eapo-without-nhr": eapo.eapo_without_nhr,
    "eapo-without-nlr": eapo.eapo_without_nlr,
    "eapo-without-phr": eapo.eapo_without_phr,
    "eapo-without-plr": eapo.eapo_without_plr,
    "entroadv": entropy.entroadv,
    "entroreg": entropy.entroreg,
    "entroreg-adaptive": entropy.entroreg_adaptive,
    "ep-grpo": erpo.ep_grpo,
    "erpo": erpo.erpo,
    "forking": entropy.forking,
    "grpo": grpo.grpo,
    "gspo": ratios.gspo,
    "gspo-token": ratios.gspo_token,
    "gtpo": gtpo.gtpo,
    "hapo": hapo.hapo,
    "hetero-hapo": hetero_hapo.hetero_hapo,
    "hoelderpo": ratios.hoelderpo,
    "iw-opd": distillation.iw_opd,
    "kind-mask": kinds.kind_mask,
    "kl-cov": covariance.kl_cov,
    "measured-information": measured.measured_information,
    "nhr": quadrants.nhr,
    "nlr": quadrants.nlr,
    "nsr": reinforce.nsr,
    "phr": quadrants.phr,
    "plr": quadrants.plr,
    "psr": reinforce.psr,
    "tis": ratios.tis,
    "vine": measured.vine,
    "vine-steps": measured.vine_steps,
    "w-reinforce": reinforce.w_reinforce,
}
