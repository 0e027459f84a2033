"""Which methods and rows of a study a table or figure is about."""

from __future__ import annotations

from tokencredit.config import Row, Study
from tokencredit.credit import METHODS, QUADRANTS

PLAIN = ("grpo", "dapo")  # credit functions that give every token the advantage of its response


def quadrant_runs(study: Study) -> list[str]:
    return [name for name in QUADRANTS if name in study.methods]


def ablations(study: Study) -> list[str]:
    return [name for name in study.methods if name.startswith("eapo-without-")]


def base_row(study: Study) -> Row | None:
    """The evaluation-only row of the model that training starts from; None if the study does not evaluate it."""
    return next((row for row in study.rows if row.method is None and row.model == study.model_name), None)


def paired(study: Study, own: str | None, other: str | None) -> bool:
    """Whether two trained methods share the luck of a training seed: they draw the same problems with the same random numbers.

    Both derive from the seed and from how many groups were drawn before. A method that drops groups draws others in their place and is
    soon at other problems than one that keeps them all; its runs are paired with those of methods that drop groups too.
    """
    if own is None or other is None:
        return False
    return study.recipe_of(own).dynamic_sampling == study.recipe_of(other).dynamic_sampling


def figure2_methods(study: Study) -> list[str]:
    return [study.reference, *(name for name in quadrant_runs(study) if name != study.reference)]


def heat_map_method(study: Study) -> str:
    """EAPO where it is trained, for its credit differs from token to token; else the reference."""
    return "eapo" if "eapo" in study.methods else study.reference


def table3_rows(study: Study) -> list[Row]:
    names = {study.reference, "eapo", *ablations(study), *quadrant_runs(study)}
    return [row for row in study.rows if row.method in names or row == base_row(study)]


def figure5_rows(study: Study) -> list[Row]:
    names = {study.reference, *quadrant_runs(study)}
    return [row for row in study.rows if row.method in names or row == base_row(study)]


def alpha_sweep(study: Study) -> dict[str, float]:
    """The methods that are EAPO with one alpha or another and nothing else different, each with its alpha, in its order.

    Empty where the study trains fewer than two; of several such families the largest.
    """
    families: dict[tuple, dict[str, float]] = {}
    for name, method in study.methods.items():
        if method.credit == "eapo" and method.control is None:
            rest = dict(METHODS["eapo"].resolved(method.params))
            alpha = rest.pop("alpha")
            families.setdefault((method.recipe, *sorted(rest.items())), {})[name] = alpha
    largest = max(families.values(), key=len, default={})
    return dict(sorted(largest.items(), key=lambda entry: entry[1])) if len(set(largest.values())) > 1 else {}


def without_entropy_term(study: Study) -> str | None:
    """What EAPO is at alpha = 0: the plain group advantage, with the sweep's recipe if a method trains with that, else with another."""
    recipe = study.methods[next(iter(alpha_sweep(study)))].recipe
    plain = [name for name, method in study.methods.items() if method.credit in PLAIN and method.control is None]
    return min(plain, key=lambda name: study.methods[name].recipe != recipe, default=None)


def figure7_rows(study: Study) -> list[Row]:
    if not (sweep := alpha_sweep(study)):
        return []
    shown = {*sweep, without_entropy_term(study)}
    return [row for row in study.rows if row.method in shown]


def plain_method(study: Study, name: str) -> str:
    """The trained method that gives every token the advantage of its response and else does as ``name``; else the reference."""
    recipe = study.methods[name].recipe
    plain = (each for each, method in study.methods.items() if method.credit in PLAIN and method.control is None)
    same = (each for each in plain if each != name and study.methods[each].recipe == recipe)
    return next(same, study.reference)
