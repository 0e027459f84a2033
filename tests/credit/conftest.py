from __future__ import annotations

import pytest
import torch

from tokencredit.credit import TokenSignals, group_advantage


def make_signals(seed: int = 0, groups: int = 4, group_size: int = 8, longest: int = 12) -> TokenSignals:
    """A random float64 batch: groups of mixed outcomes, responses of unequal length, skewed entropies."""
    random = torch.Generator().manual_seed(seed)
    responses = groups * group_size
    lengths = torch.randint(1, longest + 1, (responses,), generator=random)
    group = torch.arange(groups).repeat_interleave(group_size)
    reward = torch.where(torch.rand(responses, generator=random) < 0.4, 1.0, -1.0).double()
    reward[::group_size] = 1.0
    reward[1::group_size] = -1.0
    tokens = int(lengths.sum())
    return TokenSignals(
        response=torch.arange(responses).repeat_interleave(lengths),
        position=torch.cat([torch.arange(n) for n in lengths.tolist()]),
        entropy=torch.rand(tokens, generator=random, dtype=torch.float64).pow(3) * 2,
        old_logprob=-torch.rand(tokens, generator=random, dtype=torch.float64) * 3,
        reward=reward,
        advantage=group_advantage(reward, group),
        group=group,
        logprob=-torch.rand(tokens, generator=random, dtype=torch.float64) * 3,
        ref_logprob=-torch.rand(tokens, generator=random, dtype=torch.float64) * 3,
    )


@pytest.fixture
def signals() -> TokenSignals:
    return make_signals()
