"""What the figures of attribution say of shifts, gradients and credit that were planted."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import yaml
from synthetic_study import make_study
from test_look import looks_as_all

from tokencredit import files
from tokencredit.analysis.credit import gradients, hindsight, ranking
from tokencredit.analysis.credit.beyond_null import ALTERNATIVES
from tokencredit.analysis.figures import gradients as gradients_figure
from tokencredit.analysis.figures import hindsight as hindsight_figure
from tokencredit.analysis.figures import ranking as ranking_figure
from tokencredit.analysis.store import Store
from tokencredit.config import load_study
from tokencredit.errors import UserError
from tokencredit.study.exhibits import planned
from tokencredit.study.paths import RunFolder

pytestmark = pytest.mark.slow  # figures over whole synthetic studies

TRIALS = 400
# At an even position two tokens are equally likely: the one taken is right as often as a place in the list says, the other one half
# the time. At an odd position there is one token.
OTHER, RIGHT = 0.5, (0.1, 0.3, 0.5, 0.7, 0.9)
KEY = ["problem_id", "cell", "sample", "position"]
METHODS = ["grpo", "eapo"]


def taken(states: pd.DataFrame) -> np.ndarray:
    """Q of the token taken, where there is another one."""
    return np.array(RIGHT)[(states["sample"] + states["position"] // 2) % len(RIGHT)]


@pytest.fixture(scope="module")
def attributed(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A study whose told policy is the posterior, at the responses that the first method stored."""
    folder = tmp_path_factory.mktemp("attributed")
    make_study(folder, METHODS, (0, 1))
    path = folder / "config/studies/synthetic.yaml"
    keys = {"oracle": {"policies": ["base"], "seed": 0, "continuations": 2 * TRIALS}, "attribution": True}
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | keys))
    models = folder / "config/models.yaml"
    content = yaml.safe_load(models.read_text())
    for model in content["models"].values():
        model["privileged_prompt"] = model["prompt"].replace("{problem}", "{problem} {answer}")
    models.write_text(yaml.safe_dump(content))
    store = Store(load_study(folder / "config", "synthetic"), folder / "results")
    columns = ["step", *KEY[:1], *KEY[2:], "token_id", "token", "entropy", "old_logprob", "reward", "quadrant"]
    for seed in (0, 1):
        tokens = store.tokens(RunFolder.rollouts, METHODS[0], columns)
        tokens = tokens[(tokens["seed"] == seed) & (tokens["step"] == 1)].reset_index(drop=True)
        states = tokens.assign(cell=METHODS[0], tried=1.0).rename(columns={"old_logprob": "logprob"})
        states = states.drop(columns=["step", "seed"])
        own = store.paths.own
        for name, table in (("states", states), ("branches", branches(states))):
            files.write_parquet(own / f"oracle/base/seed{seed}/{name}.parquet", table)
        for name, table in (("hindsight", told(states)), *of_methods(tokens).items()):
            files.write_parquet(own / f"attribution/seed{seed}/{name}.parquet", table)
    return store


def branches(states: pd.DataFrame) -> pd.DataFrame:
    several = (states["position"] % 2 == 0).to_numpy()
    right = np.where(several, (TRIALS * taken(states)).round(), 0).astype(int)
    own = states[[*KEY, "token_id"]].assign(probability=np.where(several, 0.5, 1.0), right=right)
    own["wrong"] = np.where(several, TRIALS - right, 0)
    half = round(TRIALS * OTHER)
    other = own[several].assign(token_id=10**6, right=half, wrong=TRIALS - half)
    return pd.concat([own, other], ignore_index=True).assign(ungraded=0)


def told(states: pd.DataFrame) -> pd.DataFrame:
    after = taken(states)
    shift = np.where(states["position"] % 2 == 0, np.log(after / ((after + OTHER) / 2)), 0.0)
    return states[[*KEY, "token_id", "logprob"]].assign(told_logprob=states["logprob"] + shift, told_kl=0.01)


def of_methods(tokens: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Gradients that lie on the tokens alike under the first method, on the first of each response under the second."""
    parts = []
    for method in METHODS:
        weight = np.ones(len(tokens)) if method == METHODS[0] else (tokens["position"] == 0).to_numpy(float)
        own = tokens[["problem_id", "sample", "position", "entropy"]].assign(attention_entropy=-tokens["entropy"])
        parts.append(own.assign(method=method, share=weight / weight.sum()))
    problems = sorted(set(tokens["problem_id"]))
    groups = [
        {
            "method": method,
            "problem_id": name,
            "responses": 4,
            "rank": 1.0 + index,
            "cosine": 1.0 if index == 0 else cosine,
        }
        for index, method in enumerate(METHODS)
        for name, cosine in zip(problems, [0.5, np.nan, *[0.7] * len(problems)], strict=False)
    ]
    return {"gradients": pd.concat(parts, ignore_index=True), "groups": pd.DataFrame(groups)}


def test_only_a_study_with_attribution_has_its_figures(attributed: Store, store: Store) -> None:
    own = {"ranking", "hindsight", "gradients"}
    assert own <= set(planned(attributed.study)["figures"])
    assert not own & set(planned(store.study)["figures"])


# ---------------------------------------------------------------- hindsight


@pytest.fixture(scope="module")
def said(attributed: Store) -> pd.DataFrame:
    return hindsight.records(attributed)


def test_a_posterior_is_found_to_be_one(said: pd.DataFrame) -> None:
    bins = said[said["part"] == hindsight.SHIFT]
    assert len(bins) == hindsight.BINS
    assert np.ptp(bins["expected"]) > 1
    np.testing.assert_allclose(bins["measured"], bins["expected"], atol=1e-6)
    assert bins["states"].sum() == said.loc[said["part"] == hindsight.ALL, "states"].item()
    agreed = said[said["part"] == hindsight.AGREEMENT].set_index("group")["value"]
    assert agreed["direction"] == 1
    assert agreed["signed"] > 0.9


def test_what_tells_nothing_is_found_to_tell_nothing(attributed: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shifts dealt anew at random."""
    real = Store.attribution

    def dealt(store: Store, *given: object) -> pd.DataFrame:
        table = real(store, *given)
        return table.assign(told_logprob=table["logprob"] + np.random.default_rng(0).normal(0, 0.3, len(table)))

    monkeypatch.setattr(Store, "attribution", dealt)
    table = hindsight.records(attributed)
    bins = table[table["part"] == hindsight.SHIFT]
    assert np.ptp(bins["expected"]) > 0.8
    assert np.ptp(bins["measured"]) < 0.4
    agreed = table[table["part"] == hindsight.AGREEMENT].set_index("group")["value"]
    assert agreed["direction"] == pytest.approx(0.5, abs=0.1)
    assert agreed["signed"] == pytest.approx(0, abs=0.1)


def test_what_entropy_bounds_is_counted_by_hand(said: pd.DataFrame, attributed: Store) -> None:
    found = hindsight.shifted(attributed)
    for line in said[said["part"] == hindsight.DECILE].itertuples():
        own = found[found["decile"] == int(line.group)]
        assert line.states == len(own)
        assert line.size == pytest.approx(sum(abs(shift) for shift in own["shift"]) / len(own))
        assert line.beyond == pytest.approx(
            sum(abs(x) > h for x, h in zip(own["shift"], own["entropy"], strict=True)) / len(own)
        )
        assert line.entropy == pytest.approx(own["entropy"].mean())
    assert said["measured_beyond"].max() > 0
    assert (said["measured_beyond"].dropna() <= said["beyond"].dropna()).all(), "here the two are one quantity"


def test_tokens_without_a_shift_are_an_error(attributed: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Store.attribution
    monkeypatch.setattr(Store, "attribution", lambda store, *given: real(store, *given).iloc[1:])
    with pytest.raises(
        UserError, match=r"1 of the .* measured tokens are missing. Make it again: snakemake --forcerun attribute"
    ):
        hindsight.records(attributed)


# ---------------------------------------------------------------- gradients


def test_gradients_are_told_by_entropy_within_the_response(attributed: Store) -> None:
    table = gradients.records(attributed)
    by_decile = table[table["part"] == gradients.DECILE]
    for name in METHODS:
        own = by_decile[by_decile["method"] == name]
        assert own["share"].sum() == pytest.approx(1)
        assert own["tokens"].sum() == pytest.approx(1)
    plain = by_decile[by_decile["method"] == METHODS[0]]
    np.testing.assert_allclose(plain["share"], plain["tokens"], rtol=0.01)  # seeds differ in length
    methods = table[table["part"] == gradients.METHOD].set_index("method")
    assert methods["rank"].tolist() == pytest.approx([1, 2])
    count = methods.loc[METHODS[1], "problems"]
    assert methods.loc[METHODS[1], "cosine"] == pytest.approx((0.5 + 0.7 * (count - 2)) / (count - 1)), (
        "a missing one is left out"
    )


def test_deciles_are_of_each_response() -> None:
    entropy = [0.5, 0.1, 0.4, 0.2, 0.3, *np.arange(20) / 20, 7.0]
    sample = [0] * 5 + [1] * 20 + [2]
    tokens = pd.DataFrame({"method": "m", "seed": 0, "problem_id": "p", "sample": sample, "entropy": entropy})
    expected = [10, 2, 8, 4, 6, *(1 + np.arange(20) // 2), 10]
    assert gradients.deciles(tokens, "entropy").tolist() == expected


# ---------------------------------------------------------------- ranking


def test_what_knows_the_credit_finds_it_and_position_does_not(attributed: Store) -> None:
    table = ranking.records(attributed)
    auc = table[table["metric"] == "auc"].set_index("method")["value"]
    assert auc[ranking.HINDSIGHT] > 0.8
    assert auc["grpo"] == pytest.approx(0.5, abs=0.02)
    assert auc[ranking.POSITION] < auc[ranking.HINDSIGHT] - 0.2
    assert set(table.loc[table["part"] == ranking.METHOD, "method"]) == set(METHODS)
    assert ALTERNATIVES in set(table["metric"])


@pytest.mark.parametrize(
    "module", [ranking_figure, hindsight_figure, gradients_figure], ids=lambda module: module.__name__
)
def test_the_figures_read_what_they_declare(attributed: Store, module: object) -> None:
    drawn = module.draw(attributed.of("figure", module.__name__.rpartition(".")[2]))
    assert len(drawn.table)
    assert "2 training seed(s)" in drawn.note
    assert "nan" not in drawn.note
    looks_as_all(drawn.figure)
