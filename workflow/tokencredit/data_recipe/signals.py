"""What the start model tells of the rows of a pool: how much a prompt helps, the spread of surprise, nearness to validation problems."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence as Sequence_
from typing import TYPE_CHECKING

import pandas as pd
import torch
from torch import Tensor

from tokencredit.policy import Sequence, micro_batches
from tokencredit.policy.logits import Head, head_of
from tokencredit.policy.packing import layout_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_ROWS = 1024  # of logits at a time


@torch.no_grad()
def model_signals(
    policy: PreTrainedModel, sequences: list[Sequence], beginning: int, target: Sequence_[tuple[int, ...]], budget: int
) -> pd.DataFrame:
    """One line per row: tokens (of the response), ifd, varentropy, relevance.

    ifd: mean -log p of the response's tokens after its prompt, over the same after the token ``beginning`` alone (IFD, arXiv 2308.12032).
    varentropy: mean over the response's tokens of sum_v p_v (log p_v + H)^2, nats^2. relevance: cosine between the mean last state of the
    prompt and that of the ``target`` prompts, the mean of the pool taken off both, in the place of arXiv 2605.12944's MONA. ``budget``:
    tokens of a pass.
    """
    head = head_of(policy)
    after, varentropy = _response_signals(policy, head, sequences, budget)
    alone, _ = _response_signals(
        policy, head, [Sequence((beginning,), sequence.response) for sequence in sequences], budget
    )
    states = _prompt_states(policy, [sequence.prompt for sequence in sequences], budget)
    middle = states.mean(0)
    wanted = _prompt_states(policy, list(target), budget).mean(0) - middle
    relevance = torch.cosine_similarity(states - middle, wanted[None], dim=-1)
    return pd.DataFrame(
        {
            "tokens": [len(sequence.response) for sequence in sequences],
            "ifd": (after / alone).tolist(),
            "varentropy": varentropy.tolist(),
            "relevance": relevance.tolist(),
        }
    )


def _response_signals(
    policy: PreTrainedModel, head: Head, sequences: list[Sequence], budget: int
) -> tuple[Tensor, Tensor]:
    """Mean -log p and mean varentropy of each response, float64 [N] each."""
    loss, spread = torch.empty(len(sequences), dtype=torch.float64), torch.empty(len(sequences), dtype=torch.float64)
    for members, states, tokens in _passes(policy, sequences, budget):
        parts = [
            _token_signals(head.logits(some, policy.get_output_embeddings()).float(), taken)
            for some, taken in zip(states.split(_ROWS), tokens.split(_ROWS), strict=True)
        ]
        surprise, varentropy = (torch.cat(column).double().cpu() for column in zip(*parts, strict=True))
        lengths = [len(sequences[index].response) for index in members]
        for index, own, its in zip(members, surprise.split(lengths), varentropy.split(lengths), strict=True):
            loss[index], spread[index] = own.mean(), its.mean()
    return loss, spread


def _token_signals(logits: Tensor, taken: Tensor) -> tuple[Tensor, Tensor]:
    """-log p of the tokens ``taken`` [n] and the varentropy there, from ``logits`` [n, V]."""
    logprob = logits.log_softmax(-1)
    share = logprob.exp()
    entropy = -torch.special.xlogy(share, share).sum(-1, keepdim=True)
    # A token without probability has no part in either sum.
    varentropy = torch.where(share > 0, share * (logprob + entropy) ** 2, 0.0).sum(-1)
    return -logprob.gather(-1, taken[:, None]).squeeze(-1), varentropy


def _prompt_states(policy: PreTrainedModel, prompts: list[tuple[int, ...]], budget: int) -> Tensor:
    """[N, H] float64: the mean last state of each prompt's tokens, all but its last; of one token its own twice."""
    sequences = [Sequence(prompt[:1], prompt[1:] or prompt[:1]) for prompt in prompts]
    found = torch.empty(len(prompts), policy.get_output_embeddings().weight.shape[1], dtype=torch.float64)
    for members, states, _ in _passes(policy, sequences, budget):
        lengths = [len(sequences[index].response) for index in members]
        for index, own in zip(members, states.double().cpu().split(lengths), strict=True):
            found[index] = own.mean(0)
    return found


def _passes(
    policy: PreTrainedModel, sequences: list[Sequence], budget: int
) -> Iterator[tuple[list[int], Tensor, Tensor]]:
    """The places of each micro-batch's sequences, the states that predict their response tokens [n, H], and these tokens [n]."""
    layout = layout_of(policy)
    for members in micro_batches(sequences, budget, layout):
        batch = layout([sequences[index] for index in members], policy.device)
        hidden = policy.get_decoder()(**batch.inputs, use_cache=False).last_hidden_state
        yield members, batch.predicting(hidden), batch.tokens
