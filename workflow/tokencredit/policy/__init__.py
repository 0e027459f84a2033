"""The policy's side of the loss: log-probs and entropies of tokens, scoring of sequences, and the policy-gradient loss."""

from tokencredit.policy.head import token_stats
from tokencredit.policy.loss import policy_loss
from tokencredit.policy.scoring import Scorer, Sequence, micro_batches

__all__ = ["Scorer", "Sequence", "micro_batches", "policy_loss", "token_stats"]
