"""Entropies, log-probs and credit stand at their own token, all the way from the model to the table of metrics.

The model is made by hand: what it predicts depends on the last token alone, after each token with an entropy of its own, and after a few
of them, the forks, with far more than after the others. A response's token stands at a fork if the token before it is one.
"""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest
import torch

from tests.models import known_model
from tokencredit.credit import TokenSignals, assign
from tokencredit.policy import Scorer, Sequence, policy_loss
from tokencredit.records import Response, Rollout
from tokencredit.train import checkpoint
from tokencredit.train.checkpoint import Progress
from tokencredit.train.metrics import token_table
from tokencredit.train.rollouts import RolloutBatch

VOCABULARY = 16
FORKS = (3, 7, 11)
BUDGETS = (1, 13, 30, 1000)
PROMPTS = {"long": (5, 3, 9, 1, 7), "short": (2, 8)}
# Ragged, no token twice in a row, forks first, last and next to each other. Of each group two are right and two wrong.
RESPONSES = {
    "long": [(4, 7, 2, 0), (1, 3, 11, 6, 5, 10, 7), (13,), (12, 4, 3, 14, 8, 15, 9, 2, 7, 1, 0)],
    "short": [(6, 11, 5), (14, 10, 4, 12, 9, 3, 7, 13), (15, 7), (1, 0, 6, 2, 9)],
}
GROUPS = [
    [
        Rollout(
            name, k, PROMPTS[name], Response("", tokens, "stop"), "right" if k < 2 else "wrong", 1.0 if k < 2 else -1.0
        )
        for k, tokens in enumerate(RESPONSES[name])
    ]
    for name in PROMPTS
]
BATCH = RolloutBatch(GROUPS)


def table_of_logits() -> torch.Tensor:
    """[V, V]: row i, what is predicted after token i: geometric from token i on, nearly uniform after a fork, steep after the others."""
    rate = 2.0 + 0.1 * torch.arange(VOCABULARY, dtype=torch.float64)
    rate[list(FORKS)] = torch.tensor([0.05, 0.1, 0.15], dtype=torch.float64)
    place = torch.arange(VOCABULARY)
    return -rate[:, None] * ((place[None] - place[:, None]) % VOCABULARY)


LOGITS = table_of_logits()


def known(sequences: list[Sequence], temperature: float = 1.0, late: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-prob and entropy of each response token, looked up one token at a time; wrongly ``late`` places after their own."""
    logprobs = torch.log_softmax(LOGITS / temperature, -1)
    rows = []
    for sequence in sequences:
        tokens = sequence.prompt + sequence.response
        for place in range(len(sequence.prompt), len(tokens)):
            after = logprobs[tokens[place - 1 - late]]
            rows.append((after[tokens[place]], -(after.exp() * after).sum()))
    return torch.tensor([row[0] for row in rows]), torch.tensor([row[1] for row in rows])


def at_forks(sequences: list[Sequence]) -> torch.Tensor:
    """[N] bool."""
    return torch.tensor(
        [previous in FORKS for sequence in sequences for previous in (sequence.prompt[-1], *sequence.response[:-1])]
    )


def signals_of(scorer: Scorer, budget: int = 13) -> TokenSignals:
    return BATCH.signals(*scorer.score(BATCH.sequences, budget))


def shifted_signals(late: int) -> TokenSignals:
    logprob, entropy = known(BATCH.sequences, late=late)
    return BATCH.signals(logprob.float(), entropy.float())


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    return Scorer(known_model(LOGITS))


def test_the_entropies_tell_every_token_from_its_neighbours() -> None:
    _, entropy = known(BATCH.sequences)
    forks = at_forks(BATCH.sequences)
    assert entropy[forks].min() > 2 * entropy[~forks].max()
    for late in (-1, 1):
        assert (known(BATCH.sequences, late=late)[1] - entropy).abs().min() > 1e-3


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_a_forward_pass_gives_the_known_numbers(temperature: float) -> None:
    obtained = Scorer(known_model(LOGITS), temperature)(BATCH.sequences)
    for one, other in zip(obtained, known(BATCH.sequences, temperature), strict=True):
        torch.testing.assert_close(one.detach(), other, atol=1e-9, rtol=0)


@pytest.mark.parametrize("budget", BUDGETS)
def test_scores_are_the_known_numbers_whatever_the_micro_batches_and_the_order(scorer: Scorer, budget: int) -> None:
    for sequences in (BATCH.sequences, BATCH.sequences[::-1], BATCH.sequences[3:4]):
        for one, other in zip(scorer.score(sequences, budget), known(sequences), strict=True):
            torch.testing.assert_close(one, other.float(), atol=1e-5, rtol=0)


def test_the_batch_gives_each_row_its_own_response_place_and_token(scorer: Scorer) -> None:
    signals = signals_of(scorer)
    logprob, entropy = known(BATCH.sequences)
    torch.testing.assert_close(signals.old_logprob, logprob.float(), atol=1e-5, rtol=0)
    torch.testing.assert_close(signals.entropy, entropy.float(), atol=1e-5, rtol=0)
    assert len(signals.response) == sum(len(sequence.response) for sequence in BATCH.sequences)
    for row, (response, place) in enumerate(zip(signals.response.tolist(), signals.position.tolist(), strict=True)):
        sequence = BATCH.sequences[response]
        assert BATCH.token_id[row] == sequence.response[place]
        previous = sequence.prompt[-1] if place == 0 else sequence.response[place - 1]
        after = torch.log_softmax(LOGITS[previous], -1)
        assert float(signals.old_logprob[row]) == pytest.approx(float(after[sequence.response[place]]), abs=1e-5)


def moved_by_eapo(signals: TokenSignals) -> torch.Tensor:
    return assign("eapo", signals).advantage.abs() > signals.token_advantage.abs()


def kept_by_forking(signals: TokenSignals) -> torch.Tensor:
    share = float(at_forks(BATCH.sequences).double().mean())
    return assign("forking", signals, rho=share).keep


def moved_by_entroadv(signals: TokenSignals) -> torch.Tensor:
    """Tokens that get more than the bonus of any token that follows an ordinary one."""
    advantage = assign("entroadv", signals, alpha=0.05, kappa=1.0).advantage
    _, entropy = known(BATCH.sequences)
    return advantage - signals.token_advantage > 0.05 * entropy[~at_forks(BATCH.sequences)].max() + 1e-6


@pytest.mark.parametrize("credited", [moved_by_eapo, kept_by_forking, moved_by_entroadv])
def test_exactly_the_tokens_at_forks_get_the_credit(scorer: Scorer, credited) -> None:
    forks = at_forks(BATCH.sequences)
    assert 0 < forks.sum() < len(forks)
    assert torch.equal(credited(signals_of(scorer)), forks)
    for late in (-1, 1):
        assert not torch.equal(credited(shifted_signals(late)), forks)


def test_entroadv_adds_each_tokens_own_entropy(scorer: Scorer) -> None:
    signals = signals_of(scorer)
    bonus = assign("entroadv", signals, alpha=0.05, kappa=1.0).advantage - signals.token_advantage
    torch.testing.assert_close(bonus, 0.05 * known(BATCH.sequences)[1].float(), atol=1e-5, rtol=0)


def test_the_loss_moves_the_head_after_forks_only(scorer: Scorer) -> None:
    """The gradient of the head's column i comes from the tokens that follow token i, so credit at forks moves the columns of forks."""
    signals = signals_of(scorer)
    credit = assign("forking", signals, rho=float(at_forks(BATCH.sequences).double().mean()))
    scorer.zero_grad()
    logprob, _ = scorer(BATCH.sequences)
    policy_loss(logprob, signals, credit)[0].backward()
    moved = scorer.model.lm_head.weight.grad.abs().sum(0) > 1e-12
    assert moved.nonzero().squeeze(1).tolist() == list(FORKS)


def test_the_table_of_tokens_keeps_token_entropy_and_credit_together(scorer: Scorer) -> None:
    signals = signals_of(scorer)
    tokens = [f"<{token}>" for token in BATCH.token_id.tolist()]
    table = token_table(1, BATCH, signals, assign("eapo", signals, alpha=0.2, phi=2.0), tokens, groups=2)
    assert len(table) == len(signals.response)
    logprobs = torch.log_softmax(LOGITS, -1)
    entropies = -(logprobs.exp() * logprobs).sum(-1)
    for name, rows in table.groupby("problem_id"):
        before = {}
        for row in rows.itertuples():
            prompt, response = PROMPTS[name], RESPONSES[name][row.sample]
            before[row.Index] = (prompt + response)[len(prompt) + row.position - 1]
            assert row.token_id == response[row.position]
            assert row.token == f"<{row.token_id}>"
            assert row.old_logprob == pytest.approx(float(logprobs[before[row.Index], row.token_id]), abs=1e-5)
        known_entropies = {index: float(entropies[token]) for index, token in before.items()}
        mean, deviation = statistics.fmean(known_entropies.values()), statistics.pstdev(known_entropies.values())
        for row in rows.itertuples():
            assert row.entropy == pytest.approx(known_entropies[row.Index], abs=1e-5)
            own = 1.0 if row.sample < 2 else -1.0
            size = abs(row.group_advantage)
            z = (known_entropies[row.Index] - mean) / deviation
            expected = own * size + 0.2 * own * max(-size / 2, min(size / 2, z))
            assert row.advantage == pytest.approx(expected, abs=1e-5)


def test_a_restored_checkpoint_gives_the_same_numbers(scorer: Scorer, tmp_path: Path) -> None:
    optimizer = torch.optim.AdamW(scorer.parameters())
    checkpoint.save(tmp_path, Progress(step=3, drawn=8), "digest", scorer.model, optimizer)
    other = Scorer(known_model(LOGITS.flip(0)))
    assert not torch.allclose(other.score(BATCH.sequences, 13)[1], known(BATCH.sequences)[1].float(), atol=1e-2)
    optimizer = torch.optim.AdamW(other.parameters())
    restored = checkpoint.restore(tmp_path, "digest", other.model, optimizer, torch.device("cpu"))
    assert restored == Progress(step=3, drawn=8)
    signals = signals_of(other)
    assert torch.equal(signals.entropy, signals_of(scorer).entropy)
    assert torch.equal(moved_by_eapo(signals), at_forks(BATCH.sequences))
