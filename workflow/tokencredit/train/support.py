"""What could be drawn: the nucleus at each response token, and the policy restricted to it (docs/top-p.md).

Both read a pass's states: a ``Scorer`` calls them with ``also``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from tokencredit.engines.sampling import nucleus
from tokencredit.policy import Scorer, Sequence, micro_batches
from tokencredit.policy.packing import layout_of
from tokencredit.policy.portions import portions, slices
from tokencredit.policy.scoring import Predicting

# Numbers of an array that is made at once: logits of some places, or the head's rows of the tokens that could be drawn there.
_NUMBERS = 2**22


@dataclass(frozen=True)
class Support:
    """The tokens that could be drawn at each of the n places of some responses, on the CPU.

    ``tokens`` [M] int64, place after place; ``counts`` [n] int64, how many of them each place has; ``logprob`` [n] float32, the log-prob
    (nats) of the token that was drawn among them, under the policy that drew it.
    """

    tokens: Tensor
    counts: Tensor
    logprob: Tensor

    @staticmethod
    def joined(parts: Iterable[Support]) -> Support:
        """The places of several responses, one after the other."""
        whole = list(parts)
        return Support(
            *(torch.cat([getattr(part, name) for part in whole]) for name in ("tokens", "counts", "logprob"))
        )

    def logprob_now(self, states: Predicting) -> Tensor:
        """[n] log(pi(o_t) / pi(S_t)) of the policy that made ``states``, nats, with its gradient."""
        device = states.target.device
        return restricted_logprob(states, self.tokens.to(device), self.counts.to(device))


@torch.no_grad()
def supports(scorer: Scorer, sequences: list[Sequence], budget: int, top_p: float) -> list[Support]:
    """The support of each response under the policy of now, in passes of at most ``budget`` tokens."""
    found: list[Support | None] = [None] * len(sequences)
    for members in micro_batches(sequences, budget, layout_of(scorer.model)):
        part = [sequences[index] for index in members]
        tokens, counts, logprob = scorer(part, also=lambda states: _drawable(states, top_p))[2]
        lengths = [len(sequence.response) for sequence in part]
        by_response = counts.cpu().split(lengths)
        places = zip(
            tokens.cpu().split([int(each.sum()) for each in by_response]),
            by_response,
            logprob.float().cpu().split(lengths),
            strict=True,
        )
        for index, columns in zip(members, places, strict=True):
            found[index] = Support(*(column.clone() for column in columns))
    return [support for support in found if support is not None]


def _drawable(states: Predicting, top_p: float) -> tuple[Tensor, Tensor, Tensor]:
    tokens, counts = nuclei(states, top_p)
    return tokens, counts, restricted_logprob(states, tokens, counts)


@torch.no_grad()
def nuclei(states: Predicting, top_p: float) -> tuple[Tensor, Tensor]:
    """Tokens [M] and counts [n] of a ``Support``: at each place the smallest set of most probable tokens of mass ``top_p``.

    The token that was drawn is always one of them: where the sampler rounds otherwise, the last of its set may be another.
    """
    tokens, counts = [states.target[:0]], [states.target[:0]]
    for rows in slices(len(states.target), max(1, _NUMBERS // states.vocabulary)):
        inside = nucleus((states.logits(rows) / states.temperature).softmax(-1).double(), top_p) > 0
        inside.scatter_(1, states.target[rows, None], True)
        tokens.append(inside.nonzero()[:, 1])
        counts.append(inside.sum(1))
    return torch.cat(tokens), torch.cat(counts)


def restricted_logprob(states: Predicting, tokens: Tensor, counts: Tensor) -> Tensor:
    """[n] log(pi(target) / pi(S)), nats, float32 or wider; S: at each of the n places the ``counts`` [n] next ones of ``tokens`` [M].

    Differentiable in the states and the head. No array of [n, vocabulary] is made, and of [M, H] a part at a time.
    """
    ends = counts.cumsum(0)
    starts = ends - counts
    parts = [
        checkpoint(
            _restricted,
            states.part(rows),
            tokens[starts[rows.start] : ends[rows.stop - 1]],
            counts[rows],
            use_reentrant=False,
            preserve_rng_state=False,
        )
        for rows in portions(counts.tolist(), max(1, _NUMBERS // states.hidden.shape[-1]))
    ]
    return torch.cat(parts) if parts else states.hidden.new_empty(0)


def _restricted(states: Predicting, tokens: Tensor, counts: Tensor) -> Tensor:
    place = torch.arange(len(counts), device=counts.device).repeat_interleave(counts)
    among = states.logits_of(place, tokens) / states.temperature
    top = among.new_full((len(counts),), -torch.inf).scatter_reduce(0, place, among.detach(), "amax")
    total = torch.zeros_like(top).index_add(0, place, (among - top[place]).exp())
    own = states.logits_of(torch.arange(len(counts), device=counts.device), states.target) / states.temperature
    return own - top - total.log()
