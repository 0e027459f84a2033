"""The question and the answer at the head of a study's page: made from the records, with their uncertainty, whatever came out."""

from __future__ import annotations

import re
from pathlib import Path
from unittest.mock import patch

import pandas as pd
import pytest
import synthetic_study
from claimed import OWN, at_any_length, plant, score, store_of
from test_experiments import declared

from tokencredit import files
from tokencredit.analysis import scores, tables
from tokencredit.analysis.page import exhibits
from tokencredit.analysis.page.comparison import Difference, chart_of_differences, differences
from tokencredit.analysis.page.story import Story, tell
from tokencredit.analysis.store import Store
from tokencredit.config import Row, load_study
from tokencredit.statistics import TwoLevel

ROOT = Path(__file__).parents[2]
MANY = 60  # responses to a question: what is planted is then found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("gain", "seeds", "begins"),
    [
        (4.0, (0, 1, 2), "Yes: EAPO ends "),
        (0.2, (0, 1, 2), "No: EAPO ends "),
        (1.7, (0, 1, 2), "Not resolved: EAPO ends "),
        (4.0, (0,), "One training seed cannot tell: this EAPO model ends "),
    ],
)
def test_the_answer_is_what_the_records_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gain: float, seeds: tuple[int, ...], begins: str
) -> None:
    monkeypatch.setitem(synthetic_study.GAIN, "eapo", gain)
    store = _store(tmp_path, ["grpo", "dapo", "eapo"], seeds)
    story = _told(store)
    assert "Does EAPO end higher than DAPO" in story.asked
    assert story.answer.startswith(begins)
    of = scores.table1(store).query("benchmark == 'mean'").set_index("method")["avg"]
    difference = of["eapo"] - of["dapo"]
    assert f"{abs(difference):.1f} points {'above' if difference > 0 else 'below'} DAPO" in story.answer
    low, high = map(_number, re.search(r"interval (\S+) to (\S+) ", story.answer).groups())
    assert low < difference < high
    assert (low < 0 < high) == story.answer.startswith("Not resolved")
    assert ("3 training seeds" in story.answer) == (len(seeds) == 3)
    if len(seeds) == 1:
        assert "the two models do differ" in story.answer
    assert "2 of 3 methods" in story.further[0] or "3 of 3 methods end above the base model" in story.further[0]


def test_an_invalid_run_is_no_answer(tmp_path: Path) -> None:
    store = _store(tmp_path, ["grpo", "dapo", "eapo"], (0, 1))
    record = store.paths.run(store.study.row("eapo", 1)).record
    files.write_json(record, files.read_json(record) | {"invalid": "the loss was not finite"})
    story = _told(store)
    assert story.answer == "Not answered: a run is invalid: EAPO (seed 1: the loss was not finite)."
    assert [mark.title for mark in story.chart.marks] == ["GRPO"]


def test_a_study_without_eapo_asks_whether_a_method_beats_its_reference(tmp_path: Path) -> None:
    story = _told(_store(tmp_path, ["grpo", "phr", "plr"], (0, 1)))
    assert story.asked == "Does a method end higher than GRPO?"
    assert story.answer.startswith("Not resolved for any of 2: the highest is PHR, ")
    assert any(sentence.startswith("Trained on the tokens of one quadrant alone") for sentence in story.further)


def test_a_method_alone_is_no_comparison(tmp_path: Path) -> None:
    story = _told(_store(tmp_path, ["grpo"], (0, 1)))
    assert story.answer == "No other method was trained: GRPO stands alone."
    assert story.chart.marks == ()


def test_one_seed_says_what_it_can_instead_of_not_resolved(tmp_path: Path) -> None:
    """EAPO is planted far above GRPO and DAPO, NHR far below PHR: as claimed and the other way, for these models."""
    chosen = {name: at_any_length(OWN[name]) for name in ("c5", "c6")}
    with (
        patch.dict(synthetic_study.GAIN, {"eapo": 4.0, "phr": 3.0, "nhr": 0.2}),
        patch.object(synthetic_study, "SAMPLES", MANY),
    ):
        store = store_of(tmp_path, ["grpo", "dapo", "eapo", "phr", "nhr"], (0,), chosen)
        tables.make(store, "claims", store.paths.own / "tables")
        listed = exhibits.judged(store, "claims").entries
        story = _told(store, claims=listed)
    quadrants, beaten = listed
    assert (quadrants.tally, beaten.tally) == ((0, 1, 1), (2, 0, 2))
    assert {contrast.sign for contrast in beaten.contrasts if contrast.effect} == {1}
    assert (
        "Of 3 contrasts measured 2 come out as claimed for the models trained here, 1 the other way"
        in story.further[-1]
    )


def test_experiments_are_asked_first_and_listed_like_claims(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, {"grpo": 0.5, "eapo": 2.5, "hapo": 2.5}, {})
    expected = [score("eapo", "grpo"), score("eapo", "grpo", direction="lower"), score("eapo", "hapo")]
    store = declared(tmp_path, *expected)
    tables.make(store, "experiments", store.paths.own / "tables")
    shown = exhibits.judged(store, "experiments")
    (entry,) = shown.entries
    assert (entry.name, entry.statement) == ("E1", "Is it so?")
    assert [each.outcome for each in entry.contrasts] == ["supported", "contradicted", "not resolved"]
    assert {word: count for word, count in shown.counts.items() if count} == {
        "supported": 1,
        "contradicted": 1,
        "not resolved": 1,
    }
    story = _told(store, experiments=shown.entries)
    assert story.asked == "Is it so?"
    assert story.answer == "E1: 1 of 3 supported, 1 of 3 contradicted, 1 of 3 not resolved."
    assert story.further[0] == _told(store).answer


@pytest.mark.slow
def test_measured_credit_is_told_with_its_interval(store: Store) -> None:
    rows = [
        {"policy": "base", "part": "all", "group": "all", "ratio": 0.043, "ratio_low": 0.037, "ratio_high": 0.049},
        {"policy": "base", "part": "entropy", "group": "above the group's mean", "share_states": 0.3}
        | {"share_information": 0.82, "share_information_low": 0.79, "share_information_high": 0.85},
    ]
    told = _told(store, oracle=pd.DataFrame(rows)).further
    sentence = next(each for each in told if each.startswith("Measured in the base model")).replace("\u00a0", " ")
    assert "4.3 % [3.7, 4.9] of its entropy" in sentence
    assert "the 30 % of tokens above their group's mean entropy hold 82.0 % [79.0, 85.0] of it" in sentence


def test_the_chart_of_the_answer_goes_from_the_highest_to_the_lowest(store: Store) -> None:
    found = differences(store, store.study.methods, "dapo")
    assert {each.row.name for each in found} == {*store.study.methods} - {"dapo", "nlr"}  # a run of NLR is invalid
    chart = chart_of_differences(store, found, "dapo", "eapo")
    places = [mark.value for mark in chart.marks]
    assert places == sorted(places, reverse=True)
    assert [mark.title for mark in chart.marks if mark.chosen] == ["EAPO"]
    for each in found:
        mark = next(mark for mark in chart.marks if mark.title == each.row.title)
        assert (mark.value > chart.zero) == (each.tested.mean > 0)
        assert len(mark.dots) == (2 if each.tested.paired else 0) or mark.beyond


def test_a_method_that_collapsed_does_not_press_the_others_together(tmp_path: Path) -> None:
    study = load_study(ROOT / "config", "toy-core")
    ends = dict.fromkeys(study.methods, 0.0) | {"eapo": 2.0, "phr": -1.5, "nhr": 1.0, "plr": -1.0, "nlr": -60.0}
    found = [_difference(study.row(name, 0), value) for name, value in ends.items() if name != "dapo"]
    *others, last = chart_of_differences(Store(study, tmp_path), found, "dapo", "eapo").marks
    assert (last.title, last.beyond, last.value, last.dots, last.text) == ("NLR", -1, 0, (), "−60.0")
    assert not any(mark.beyond for mark in others)
    assert others[0].value - others[-1].value > 50
    chosen = chart_of_differences(Store(study, tmp_path), found, "dapo", "nlr").marks
    assert not any(mark.beyond for mark in chosen)
    assert chosen[0].value - chosen[-2].value < 10


def _difference(row: Row, points: float) -> Difference:
    """A difference that was found to be so large, one point to either side."""
    middle, around = points / 100, 1 / 100
    tested = TwoLevel(middle, middle - around, middle + around, 0.5, [(1e-5, 30.0)], [0.0], None)
    return Difference(row, tested, 1.0, (points - 0.5, points + 0.5))


def _store(folder: Path, methods: list[str], seeds: tuple[int, ...]) -> Store:
    with (
        patch.object(synthetic_study, "_rollouts", return_value=pd.DataFrame({"step": [0]})),
        patch.object(synthetic_study, "SAMPLES", MANY),
    ):
        return Store(synthetic_study.make_study(folder, methods, seeds), folder / "results")


def _told(store: Store, claims: list = (), experiments: list = (), oracle: pd.DataFrame | None = None) -> Story:
    return tell(store, list(claims), list(experiments), oracle)


def _number(text: str) -> float:
    return float(text.replace("−", "-"))
