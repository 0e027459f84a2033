"""The policy's side of the loss: statistics of response tokens under a model, its adapter, and the policy-gradient loss."""

from tokencredit.policy.adapter import Adapter, add_lora
from tokencredit.policy.attention import attention_entropy
from tokencredit.policy.head import token_stats
from tokencredit.policy.loss import policy_loss
from tokencredit.policy.packing import Sequence, balanced, micro_batches
from tokencredit.policy.scoring import Scorer

__all__ = [
    "Adapter",
    "Scorer",
    "Sequence",
    "add_lora",
    "attention_entropy",
    "balanced",
    "micro_batches",
    "policy_loss",
    "token_stats",
]
