"""The printed numbers of arXiv 2604.11056: GRPO's advantages of Fig. 8, and Eq. 6-7."""

from __future__ import annotations

import pytest
import torch

from tokencredit.credit import METHODS, QUADRANTS, TokenSignals, assign, group_advantage, quadrant_of
from tokencredit.errors import UserError

FIGURE_8 = {
    1: (2.475, -0.354),
    2: (1.620, -0.540),
    3: (1.208, -0.725),
    4: (0.935, -0.935),
    5: (0.725, -1.208),
    6: (0.540, -1.620),
    7: (0.354, -2.475),
}


@pytest.mark.parametrize(("right", "printed"), FIGURE_8.items())
def test_the_fourteen_group_advantages_of_figure_8(right: int, printed: tuple[float, float]) -> None:
    reward = torch.tensor([1.0] * right + [-1.0] * (8 - right), dtype=torch.float64)
    advantage = group_advantage(reward, torch.zeros(8, dtype=torch.long))
    p = right / 8
    exact = torch.tensor([2 * (1 - p), -2 * p], dtype=torch.float64) / (8 / 7 * 4 * p * (1 - p)) ** 0.5
    torch.testing.assert_close(advantage[[0, -1]], exact, atol=1e-12, rtol=0)
    assert [round(value, 3) for value in advantage[[0, -1]].tolist()] == pytest.approx(printed, abs=1e-3)


def test_a_group_of_equal_rewards_has_no_advantage() -> None:
    reward = torch.tensor([1.0, 1.0, -1.0, -1.0, 1.0, -1.0])
    advantage = group_advantage(reward, torch.tensor([7, 7, 3, 3, 5, 5]))
    assert advantage[:4].tolist() == [0.0] * 4
    assert advantage[4:].tolist() == pytest.approx([2**-0.5, -(2**-0.5)])


def with_z(advantage: float, z: float) -> TokenSignals:
    """A group whose first token has the entropy z-score ``z`` and belongs to a response of advantage ``advantage``.

    Three values (z, b, c) of mean 0 and variance 1: b + c = -z and b^2 + c^2 = 3 - z^2 where that is real, else more tokens share b.
    """
    others = 40
    # others tokens at -z / others +- s keep the mean at 0; s makes the variance 1.
    mean = -z / others
    spread = ((others + 1 - z**2 - others * mean**2) / others) ** 0.5
    half = torch.full((others // 2,), spread, dtype=torch.float64)
    entropy = 1.0 + 0.1 * torch.cat([torch.tensor([z], dtype=torch.float64), mean + half, mean - half])
    response = torch.tensor([0] + [1] * others)
    return TokenSignals(
        response=response,
        position=torch.arange(others + 1),
        entropy=entropy,
        old_logprob=torch.zeros(others + 1, dtype=torch.float64),
        reward=torch.tensor([1.0 if advantage > 0 else -1.0, 1.0], dtype=torch.float64),
        advantage=torch.tensor([advantage, 0.0], dtype=torch.float64),
        group=torch.zeros(2, dtype=torch.long),
    )


@pytest.mark.parametrize(
    ("advantage", "z", "expected"),
    [
        (0.9354, 1.5, 1.0289),
        (0.9354, -0.3, 0.8754),
        (-0.9354, 1.5, -1.0289),
        (0.3536, 3.0, 0.3890),
        (2.4749, 1.0, 2.6749),
        (2.4749, 3.0, 2.7224),
        (0.0, 1.5, 0.0),
    ],
)
def test_eapo_equals_its_printed_values(advantage: float, z: float, expected: float) -> None:
    signals = with_z(advantage, z)
    assert float(signals.group_zscore(signals.entropy)[0]) == pytest.approx(z, abs=1e-9)
    assert float(assign("eapo", signals, alpha=0.2, phi=2.0).advantage[0]) == pytest.approx(expected, abs=1e-4)


def test_eapo_equals_equations_6_and_7_written_out(signals: TokenSignals) -> None:
    credit = assign("eapo", signals, alpha=0.3, phi=1.5)
    for token in range(len(signals.response)):
        group = signals.group[signals.response] == signals.group[signals.response[token]]
        entropy = signals.entropy[group]
        z = (signals.entropy[token] - entropy.mean()) / entropy.std(correction=0)
        a = signals.advantage[signals.response[token]]
        shaped = max(-abs(a) / 1.5, min(abs(a) / 1.5, z))
        assert float(credit.advantage[token]) == pytest.approx(float(a + 0.3 * torch.sign(a) * shaped), abs=1e-12)


def test_hapo_equals_its_definition_written_out(signals: TokenSignals) -> None:
    credit = assign("hapo", signals, alpha=0.2, phi=2.0)
    z = signals.group_zscore(signals.entropy)
    for response in range(len(signals.reward)):
        tokens = signals.response == response
        a = signals.advantage[response]
        weight = 1 + 0.2 * (z[tokens] / a.abs()).clamp(-0.5, 0.5)
        torch.testing.assert_close(credit.advantage[tokens], a * weight / weight.mean(), atol=1e-12, rtol=0)


def test_quadrants_follow_polarity_and_the_group_mean() -> None:
    signals = TokenSignals(
        response=torch.tensor([0, 0, 1, 1, 2, 2]),
        position=torch.tensor([0, 1, 0, 1, 0, 1]),
        entropy=torch.tensor([3.0, 1.0, 2.0, 0.0, 0.7, 0.7]),
        old_logprob=torch.zeros(6),
        reward=torch.tensor([1.0, -1.0, -1.0]),
        advantage=torch.tensor([1.0, -1.0, 0.0]),
        group=torch.tensor([0, 0, 1]),
    )
    # Group 0's mean is 1.5. Group 1's tokens all lie at their mean, which counts as high.
    assert [QUADRANTS[index] for index in quadrant_of(signals)] == ["phr", "plr", "nhr", "nlr", "nhr", "nhr"]


@pytest.mark.parametrize("quadrant", QUADRANTS)
def test_without_a_quadrant_eapo_is_plain_there_and_unchanged_elsewhere(signals: TokenSignals, quadrant: str) -> None:
    inside = quadrant_of(signals) == QUADRANTS.index(quadrant)
    ablated = assign(f"eapo-without-{quadrant}", signals).advantage
    assert torch.equal(ablated[inside], signals.token_advantage[inside])
    assert torch.equal(ablated[~inside], assign("eapo", signals).advantage[~inside])
    assert not torch.equal(ablated, assign("eapo", signals).advantage)


def test_unknown_methods_and_parameters_are_refused(signals: TokenSignals) -> None:
    with pytest.raises(UserError, match=r"'eapoo' is not known; allowed: .*eapo"):
        assign("eapoo", signals)
    with pytest.raises(UserError, match=r"'eapo' has no parameter 'alfa'; allowed: alpha, phi"):
        assign("eapo", signals, alfa=0.1)


def test_every_method_says_where_it_comes_from() -> None:
    for name, method in METHODS.items():
        assert method.source.startswith("arXiv") or name == "tis", name
        assert method.function.__doc__, name
