"""The engine that samples a run's rollouts, kept at the policy's weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tokencredit.engines import Engine, load_engine
from tokencredit.engines.canary import BOUNDS, Canary, watch
from tokencredit.engines.lengths import boundaries, check_length, text_config
from tokencredit.engines.weights import plain_weights

if TYPE_CHECKING:
    from tokencredit.config import Training
    from tokencredit.policy import Sequence

_DTYPES = {"no": torch.float32, "bf16": torch.bfloat16}


class PolicyEngine:
    """The study's engine around ``policy``, which is in one piece and is updated in place.

    An engine that samples from ``policy`` itself is always up to date. One with weights of its own is compared with ``score`` (the
    trainer's log-probs of response tokens, nats, at the sampling temperature) on sequences after the first of ``prompts``, here and
    after every ``follow``; where it does not follow, that is a ``UserError``, as is a model without positions for the longest sequence.
    """

    def __init__(
        self,
        training: Training,
        policy: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        score: Callable[[list[Sequence]], Tensor],
        prompts: Iterable[tuple[int, ...]],
    ) -> None:
        what = "training.sampling: a prompt and its response (max_prompt_tokens + max_response_tokens)"
        check_length(policy, training.sampling.longest, what)
        self.policy = policy
        self.canary: Canary | None = None
        if training.engine == "transformers":
            # The precision of the trainer's passes, unless the weights have it already.
            low = training.mixed_precision == "bf16" and policy.dtype != torch.bfloat16
            autocast = torch.bfloat16 if low else None
            self.engine: Engine = load_engine("transformers", policy, tokenizer, autocast=autocast)
            return
        sampling = training.sampling
        mirror = load_engine(
            training.engine,
            policy,
            tokenizer,
            longest=training.sampling.longest,
            temperature=sampling.temperature,
            dtype=_DTYPES[training.mixed_precision],
            memory_share=training.engine_memory,
            separate=training.engine_separate,
        )
        self.canary = watch(
            mirror,
            score,
            prompts,
            vocabulary=text_config(policy).vocab_size,
            sampling=sampling,
            longest=training.sampling.longest,
            crossings=boundaries(policy, training.sampling.longest),
            bound=BOUNDS[training.mixed_precision],
        )
        self.engine = mirror

    def follow(self, when: str) -> dict[str, float]:
        """Take over the policy's weights, after every change of them and before anything is sampled; what the canary measured, nats."""
        return self.canary.push(plain_weights(self.policy), when) if self.canary else {}

    def rest(self) -> None:
        """Leave the device's memory to training, until ``follow``."""
        if self.canary:
            self.canary.engine.sleep()

    def close(self) -> None:
        """End the engine; before the run's processes take leave of each other."""
        if self.canary:
            self.canary.engine.close()
