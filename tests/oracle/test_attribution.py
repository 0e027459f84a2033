"""What the weights of a policy say of responses: hindsight where it is known exactly, and gradients by one backward pass for each token."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from tests.models import known_model, tiny_qwen3
from tests.oracle.small_world import LOGITS, SETTINGS, oracle, policy, responses, right_after
from tokencredit.config import Recipe
from tokencredit.oracle import attribution
from tokencredit.oracle.attribution import GRADIENTS, GROUPS, HINDSIGHT, Learned, coefficients, hindsight, of_methods
from tokencredit.policy import Sequence
from tokencredit.policy.gradients import Distributions

ASKED, TOLD = 0, 5  # the last tokens of the two prompts; no response has the second


def posterior() -> np.ndarray:
    """[5]: the first token of a response to ``ASKED``, given that the response is right."""
    right = np.array([right_after((ASKED, token)) for token in range(5)])
    joint = policy(ASKED) * right
    return joint / joint.sum()


def test_of_a_policy_that_is_the_posterior_the_shift_is_the_log_of_q_over_v() -> None:
    """A token of the model's own stands for the answer, and after it comes the posterior of the first token; later ones see no prompt."""
    logits = torch.full((6, 6), -1e4, dtype=torch.float64)
    logits[:5, :5] = LOGITS
    logits[TOLD, :5] = SETTINGS.temperature * torch.tensor(posterior()).clamp(min=1e-30).log()
    taken = responses(oracle(), problems=1, samples=12)
    table = hindsight(Distributions(known_model(logits), SETTINGS.temperature), taken, {"problem-0": (TOLD,)})
    assert list(table) == HINDSIGHT
    shift, first = table["told_logprob"] - table["logprob"], table["position"] == 0
    value = policy(ASKED) @ [right_after((ASKED, token)) for token in range(5)]
    firsts = table.loc[first, "token_id"]
    assert firsts.nunique() > 1
    for place, token in firsts.items():
        after = right_after((ASKED, token))
        assert shift[place] == pytest.approx(math.log(after / value)) if after else shift[place] < -20
    kl = sum(p * math.log(p / q) for p, q in zip(posterior(), policy(ASKED), strict=True) if p)
    np.testing.assert_allclose(table.loc[first, "told_kl"], kl, rtol=1e-6)
    np.testing.assert_allclose(table.loc[~first, ["told_kl"]].join(shift[~first].rename("shift")), 0, atol=1e-9)
    np.testing.assert_allclose(table["logprob"], pd.concat([each.record["old_logprob"] for each in taken]), atol=1e-6)


# ---------------------------------------------------------------- gradients

PROMPTS = {"one": (1, 2), "two": (3, 4)}
TEXTS = {"one": [(5, 6, 7), (8, 9)], "two": [(2, 2, 2, 2), (1, 7)]}


def learned(credit: dict[str, list[list[float]]]) -> list[Learned]:
    found = []
    for name, rows in credit.items():
        for sample, (text, row) in enumerate(zip(TEXTS[name], rows, strict=True)):
            record = pd.DataFrame({"problem_id": name, "sample": sample, "position": range(len(text)), "entropy": 0.5})
            record["attention_entropy"] = 0.2
            found.append(Learned(name, Sequence(PROMPTS[name], text), torch.tensor(row).double(), record))
    return found


PLAIN = {"one": [[1, 1, 1], [-1, -1]], "two": [[0.5, 0.5, 0.5, 0.5], [-2, -2]]}
MASKED = {"two": [[0, 0, 1, 0], [0, -1]]}


def token_gradient(prompt: tuple[int, ...], text: tuple[int, ...], place: int) -> Tensor:
    model = tiny_qwen3()
    ids = torch.tensor([[*prompt, *text]])
    logprob = model(ids).logits[0].log_softmax(1)[len(prompt) + place - 1, text[place]]
    logprob.backward()
    return torch.cat([weight.grad.flatten() for weight in model.parameters()])


def slowly(credit: dict[str, list[list[float]]]) -> tuple[dict[str, list[Tensor]], list[float]]:
    """The gradient of each response, by problem, and the share of each token, by one backward pass for each token."""
    tokens = {
        (name, sample, place): factor * token_gradient(PROMPTS[name], TEXTS[name][sample], place)
        for name, rows in credit.items()
        for sample, row in enumerate(rows)
        for place, factor in enumerate(row)
    }
    whole = sum(tokens.values())
    rows = {
        name: [sum(tokens[name, sample, place] for place in range(len(row))) for sample, row in enumerate(own)]
        for name, own in credit.items()
    }
    return rows, [float(each @ whole / (whole @ whole)) for each in tokens.values()]


def test_gradients_are_those_of_all_tokens_one_by_one() -> None:
    methods = {"plain": learned(PLAIN), "masked": learned(MASKED), "nothing": []}
    gradients, groups = of_methods(Distributions(tiny_qwen3()), methods)
    assert (list(gradients), list(groups)) == (GRADIENTS, GROUPS)
    known = {name: slowly(credit) for name, credit in (("plain", PLAIN), ("masked", MASKED))}
    for name, (rows, shares) in known.items():
        own = gradients.loc[gradients["method"] == name, "share"]
        np.testing.assert_allclose(own, shares, rtol=1e-5, atol=1e-8)
        assert own.sum() == pytest.approx(1)
        for problem, each in rows.items():
            line = groups[(groups["method"] == name) & (groups["problem_id"] == problem)].iloc[0]
            singular = torch.linalg.svdvals(torch.stack(each))
            assert line["rank"] == pytest.approx(float(singular.sum() ** 2 / (singular**2).sum()))
            one, other = sum(each), sum(known["plain"][0][problem])
            assert line["cosine"] == pytest.approx(float(one @ other / (one.norm() * other.norm())))
            assert line["responses"] == 2
    assert len(groups) == 3, "a method that learns nothing has no rows"
    assert (gradients.loc[gradients["method"] == "masked", "share"] == 0).sum() == 4


def test_there_is_no_cosine_where_the_reference_learns_nothing() -> None:
    _, groups = of_methods(Distributions(tiny_qwen3()), {"masked": learned(MASKED), "plain": learned(PLAIN)})
    cosine = groups[groups["method"] == "plain"].set_index("problem_id")["cosine"]
    assert math.isnan(cosine["one"])
    assert -1 <= cosine["two"] <= 1


def test_two_ways_of_differentiating_that_disagree_are_a_defect(monkeypatch: pytest.MonkeyPatch) -> None:
    real = attribution.along
    monkeypatch.setattr(attribution, "along", lambda *given: 1.1 * real(*given))
    with pytest.raises(ValueError, match=r"add up to 1\.1, and should to 1"):
        of_methods(Distributions(tiny_qwen3()), {"plain": learned(PLAIN)})


# ---------------------------------------------------------------- coefficients


@pytest.mark.parametrize("aggregation", ["token-mean", "sequence-mean", "constant"])
def test_coefficients_are_what_the_loss_weighs_each_token_with(aggregation: str) -> None:
    longest, lengths = 8, {"one": [3, 2], "two": [4, 1]}
    lines, expected = [], []
    for problem, own in lengths.items():
        for sample, length in enumerate(own):
            for place in range(length):
                keep, advantage = place != 1, (1 + place) * (1 if sample else -0.5)
                line = {"problem_id": problem, "sample": sample, "position": place, "entropy": 0.3, "keep": keep}
                lines.append(
                    line | {"old_logprob": -0.7, "reward": 1.0, "group_advantage": 1.0, "advantage": advantage}
                )
                over = {"token-mean": 10, "sequence-mean": 4 * length, "constant": 4 * longest}[aggregation]
                expected.append(keep * advantage / over)
    recipe = Recipe.model_construct(aggregation=aggregation)
    np.testing.assert_allclose(coefficients(pd.DataFrame(lines), recipe, longest), expected, rtol=1e-12)
