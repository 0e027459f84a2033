"""What a study asked and what it found, in sentences that are made from its records."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import pandas as pd

from tokencredit.analysis.layout import number, signed
from tokencredit.analysis.page.comparison import Chart, Difference, chart_of_differences, differences, points
from tokencredit.analysis.page.judged import Judged
from tokencredit.analysis.store import Store
from tokencredit.config import Study
from tokencredit.config.claim_keys import BASE
from tokencredit.study.selection import base_row, heat_map_method, plain_method, quadrant_runs

LEVEL = 0.05
NO_CHART = Chart("difference", "", (), ())


@dataclass(frozen=True)
class Story:
    """``asked``: a question; ``answer``: one sentence; ``further``: sentences on what else the records say; ``chart``: what shows it."""

    asked: str
    answer: str
    further: tuple[str, ...]
    chart: Chart


def tell(store: Store, claims: list[Judged], experiments: list[Judged], oracle: pd.DataFrame | None) -> Story:
    """The story of a study. ``claims`` and ``experiments``: those that it judges; ``oracle``: its table of measured credit.

    The question is whether the method that the study is about, EAPO where it is trained, ends higher than the method that differs from it
    in credit alone. A study without such a pair is asked whether a method ends higher than its reference. A study with experiments asks
    theirs first.
    """
    study = store.study
    own, other = _sides(study)
    found = differences(store, study.methods, other)
    asked = _asked(study)
    answer = _about_one(store, found, own, other) if own != other else _about_all(store, found, other)
    further = [*_over_base(store), *_credit(oracle), *_claims(store, claims)]
    if experiments:
        further.insert(0, answer)
        asked, answer = _decided(experiments)
    return Story(asked, answer, tuple(further), chart_of_differences(store, found, other, own))


def tell_so_far(study: Study, store: Store | None, experiments: list[Judged], oracle: pd.DataFrame | None) -> Story:
    """The story of a study that runs. ``store``: of its rows that are scored; None where there are none, or no table can be made of them.

    The question is that of the whole study. It is answered when all runs that it is about are scored; the chart shows those that are.
    """
    own, other = _sides(study)
    needed = {own, other} if own != other else {*study.methods}
    titles = " and ".join(study.methods[name].title for name in (own, other)) if own != other else "all methods"
    asked, answer = _asked(study), f"Not answered yet: it takes every training seed of {titles}, trained and scored."
    if study.experiments:
        asked = " ".join(experiment.statement for experiment in study.experiments.values())
        answer = "Not answered yet: experiments are decided when all of their runs are there."
    told = tell(store, [], [], oracle) if store else Story(asked, answer, (), NO_CHART)
    there = store and needed <= store.study.methods.keys() and store.study.training.seeds == study.training.seeds
    if experiments:
        asked, answer = _decided(experiments)
    elif there and not study.experiments:
        answer = told.answer
    return replace(told, asked=asked, answer=answer)


def _sides(study: Study) -> tuple[str, str]:
    """The method that a study is about, and the one that it is compared with; twice its reference where there is no such pair."""
    own = heat_map_method(study)
    return own, plain_method(study, own) if own != study.reference else own


def _asked(study: Study) -> str:
    """The question of a study without experiments."""
    own, other = _sides(study)
    title, against = (study.methods[name].title for name in (own, other))
    if own == other:
        return f"Does a method end higher than {against}?"
    if study.methods[own].recipe != study.methods[other].recipe:
        return f"Does {title} end higher than {against}?"
    return f"Does {title} end higher than {against}, which differs from it in the credit of tokens alone?"


def _decided(experiments: list[Judged]) -> tuple[str, str]:
    """The questions of experiments, and how each was decided."""
    return (
        " ".join(each.statement for each in experiments),
        " ".join(f"{each.name}: {_counted(each)}." for each in experiments),
    )


def _about_one(store: Store, found: list[Difference], own: str, other: str) -> str:
    study = store.study
    title, against = (study.methods[name].title for name in (own, other))
    if unsound := "; ".join(
        f"{study.methods[name].title} ({reason})" for name in (own, other) if (reason := store.invalid(name))
    ):
        return f"Not answered: a run is invalid: {unsound}."
    tested = next(each.tested for each in found if each.row.name == own)
    where = f"{abs(100 * tested.mean):.1f} points {'above' if tested.mean > 0 else 'below'} {against}"
    interval = f"95\u00a0% interval {signed(100 * tested.low, 1)} to {signed(100 * tested.high, 1)}"
    if tested.seeds is None:
        apart = "do differ" if tested.p < LEVEL else "are not told apart either"
        return (
            f"One training seed cannot tell: this {title} model ends {where} ({interval} over {_questions(store)} questions; the two "
            f"models {apart}), and how far two seeds of one method lie apart was not measured."
        )
    over = f"over {_questions(store)} questions and {_seeds(store)}"
    if tested.p >= LEVEL:
        return (
            f"Not resolved: {title} ends {where}, {interval} {over}; a true difference of "
            f"{100 * tested.detectable():.1f} points would be found four times in five."
        )
    return f"{'Yes' if tested.mean > 0 else 'No'}: {title} ends {where}, {interval} {over}."


def _about_all(store: Store, found: list[Difference], other: str) -> str:
    against = store.study.methods[other].title
    if not found:
        return f"No other method was trained: {against} stands alone."
    best = max(found, key=lambda each: each.tested.mean)
    ahead = [each for each in found if each.resolved and each.tested.mean > 0]
    highest = f"{best.row.title}, {points(best.tested)} from it"
    if len(store.study.training.seeds) == 1:
        return (
            f"One training seed cannot tell: of the models trained here the highest beside {against} is {highest} over "
            f"{_questions(store)} questions, and how far two seeds of one method lie apart was not measured."
        )
    if not ahead:
        return f"Not resolved for any of {len(found)}: the highest is {highest} over {_seeds(store)}."
    return f"{len(ahead)} of {len(found)} do; the highest is {highest} over {_seeds(store)}."


def _over_base(store: Store) -> list[str]:
    """How methods stand to the model that training starts from, and the quadrant runs among them."""
    study, base = store.study, base_row(store.study)
    if base is None:
        return []
    found = differences(store, study.methods, base.name)
    if not found:
        return []
    over = "questions" if len(study.training.seeds) == 1 else "questions and training seeds"
    ahead, behind = (sum(each.resolved and each.tested.mean * sign > 0 for each in found) for sign in (1, -1))
    said = f"{ahead} of {len(found)} methods end above the base model"
    said += f", {behind} below it" if behind else ""
    best = max(found, key=lambda each: each.tested.mean)
    sentences = [f"{said} (over {over}, after Holm's adjustment); highest is {best.row.title}, {points(best.tested)}."]
    quadrants = [each for name in quadrant_runs(study) for each in found if each.row.name == name]
    if quadrants:
        each_one = ", ".join(f"{each.row.title} {points(each.tested)}" for each in quadrants)
        sentences.append(f"Trained on the tokens of one quadrant alone, and compared with the base model: {each_one}.")
    return sentences


def _credit(oracle: pd.DataFrame | None) -> list[str]:
    """How tight entropy bounds measured credit, and how much of it is at the tokens of high entropy, under the base model."""
    if oracle is None:
        return []
    of_base = oracle[oracle["policy"] == BASE].set_index(["part", "group"])
    if of_base.empty:
        return []
    ratio = _share(of_base.loc["all", "all"], "ratio")
    sentence = f"Measured in the base model, a token holds {ratio} of its entropy as information about the reward"
    high = ("entropy", "above the group's mean")
    if high in of_base.index:
        row = of_base.loc[high]
        states, held = 100 * row["share_states"], _share(row, "share_information")
        sentence += f"; the {states:.0f}\u00a0% of tokens above their group's mean entropy hold {held} of it"
    return [f"{sentence}."]


def _claims(store: Store, claims: list[Judged]) -> list[str]:
    if not claims:
        return []
    if len(store.study.training.seeds) == 1:
        with_claim, against, count = (sum(part) for part in zip(*(each.tally for each in claims), strict=True))
        return [
            f"The paper's claims are about methods, and one training seed decides none of them. Of {count} contrasts measured {with_claim} "
            f"come out as claimed for the models trained here, {against} the other way, the rest within their intervals."
        ]
    found = Counter(each.outcome for each in claims)
    counts = ", ".join(f"{count} {word}" for word, count in found.most_common())
    return [f"Of {len(claims)} claims of the paper: {counts}."]


def _counted(each: Judged) -> str:
    counts = Counter(contrast.outcome for contrast in each.contrasts)
    return ", ".join(f"{count} of {len(each.contrasts)} {word}" for word, count in counts.most_common())


def _share(row: pd.Series, name: str) -> str:
    value, low, high = (100 * row[f"{name}{end}"] for end in ("", "_low", "_high"))
    return f"{number(value, 1)}\u00a0% [{number(low, 1)}, {number(high, 1)}]"


def _questions(store: Store) -> int:
    return sum(benchmark.problems for benchmark in store.study.averaged.values())


def _seeds(store: Store) -> str:
    return f"{len(store.study.training.seeds)} training seeds"
