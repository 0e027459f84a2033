"""What is equal to what: each rule of rewriting, each guard, and properties over numbers."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.grading.conftest import Outcome
from tokencredit.grading import GradingPool


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("5", "5.0"),
        ("1/2", "0.5"),
        (r"\frac{1}{3}", "0.333333"),
        (r"\frac12", r"\dfrac{1}{2}"),
        ("x^2+2x+1", "(x+1)^2"),
        (r"\tan^2(y)+1", r"\sec^2(y)"),
        (r"\frac{n!}{k!(n-k)!}", r"\frac{(n-1)!}{k!} \frac{n}{(n-k)!}"),
        ("x=3", "3"),
        ("3", "x=3"),
        ("3e6", r"3 \times 10^6"),
        (r"3 \times 10^{6}", "3e6"),
        ("3e6", "3000000"),
        ("5.89e-7", r"5.89 \times 10^{-7}"),
        ("2E+3", "2000"),
        ("336", r"336^\circ"),
        (r"336^{\circ}", "336"),
        ("30", "30°"),
        ("7425000", "7,425,000"),
        ("7425000", r"7{,}425{,}000"),
        ("7425000", r"7\,425\,000"),
        ("7425000", "7 425 000"),
        ("11111111100", r"11,\! 111,\! 111,\! 100"),
        ("10", r"\$10"),
        ("15", r"15 \text{ cm}^2"),
        (r"5.4 \text{ cents}", "5.4"),
        ("50\\%", "50"),
        ("-1./3", r"-\frac{1}{3}"),
        ("np.arcsin(10/13)", r"\arcsin{10/13}"),
        (r"1-\frac{1}{\mathrm{e}}", r"1-\frac{1}{e}"),
        (r"\frac{1}{m} t", r"\frac{t}{m}"),
        (r"2\gamma+1", r"1+2\gamma"),
        ("E_{0}^{2}", "E_0^2"),
        (r"I_{\max }=\frac{q}{2}", r"\frac{q}{2}"),
        ("-12;-11", r"\{-12, -11\}"),
        (r"M_{\odot}/2", r"\frac{M_\odot}{2}"),
        (r"\text{Evelyn}", "Evelyn"),
        ("0", r"\sin(\pi)"),
        ("1,2", r"\{2, 1\}"),
        ("033", "33"),
        (r"\boxed{5}", "5"),
        ("t(0,4]", "t (0, 4]"),
    ],
)
def test_equal(outcome: Outcome, gold: str, answer: str) -> None:
    assert outcome(gold, answer) == "right"


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("5", "6"),
        ("5", "5.001"),
        ("3e6", "3"),
        ("3", "3e6"),
        ("2.88e-19", "1e-27"),
        ("0.0000001", "0.0000002"),
        (r"\frac{1}{2004!}", r"\frac{1}{2006!}"),
        ("0", "1e-9"),
        ("0", "1 000"),
        ("1-1/e", "1+1/e"),
        (r"1-\frac{1}{\mathrm{e}}", r"1+\frac{1}{\mathrm{e}}"),
        ("6m", "6"),
        (r"\frac{1}{m} t", r"\frac{1}{m}"),
        (r"2\gamma+1", "3"),
        (r"\gamma-1", r"\gamma^2-1"),
        (r"\text{east}", r"\text{west}"),
        ("1", "1, 2"),
        (r"\pm 2021", "2021"),
        (r"\gcd(p,q)", r"\gcd(p,t)"),
        (r"\operatorname{lcm}(p,q)", "pq"),
        ("(1,2)", "[1,2]"),
        ("5", r"\frac{1}{0}"),
        (r"x<1", "x>-1"),
        ("5", "I do not know"),
    ],
)
def test_not_equal(outcome: Outcome, gold: str, answer: str) -> None:
    assert outcome(gold, answer) != "right"


@pytest.mark.parametrize(
    ("gold", "response", "outcome", "reason"),
    [
        ("5", "5", "wrong", "no boxed answer"),
        ("5", r"\boxed{}", "wrong", "the box is empty"),
        ("5", r"<think> \boxed{5}", "wrong", "the reasoning (<think>) does not end"),
        ("5", r"\boxed{5 + \frac}", "ungraded", "the boxed answer cannot be read as mathematics: it ends too early"),
        ("5", rf"\boxed{{{'5' * 3000}}}", "ungraded", "the boxed answer has 3000 characters; at most 2000 are read"),
        ("", r"\boxed{5}", "ungraded", "the gold answer is empty"),
        ("12:00", r"\boxed{1:00}", "wrong", None),
        ("12:00", r"\boxed{12:00}", "right", None),
        (r"1, 2, \ldots", r"\boxed{1,2,\ldots}", "right", "compared as text: the gold cannot be read as mathematics"),
        ("5", r"\boxed{6}", "wrong", None),
        ("5", r"\boxed{5}", "right", None),
    ],
)
def test_policy(pool: GradingPool, gold: str, response: str, outcome: str, reason: str | None) -> None:
    grade = pool.grade(gold, response)
    assert (grade.outcome, grade.reason) == (outcome, reason)


NUMBERS = st.one_of(
    st.integers(-(10**9), 10**9).map(Fraction),
    st.builds(Fraction, st.integers(-9999, 9999), st.integers(1, 9999)),
)


def _spellings(number: Fraction) -> list[str]:
    sign, top, bottom = "-" if number < 0 else "", abs(number.numerator), number.denominator
    if bottom == 1:
        return [f"{sign}{top}", f"{sign}{top:,}", rf"{sign}{top}^\circ", f"{sign}{top}.0", f"{sign}0{top}"]
    return [rf"{sign}\frac{{{top}}}{{{bottom}}}", rf"\frac{{{sign}{top}}}{{{bottom}}}", f"{sign}{top}/{bottom}"]


@settings(max_examples=40, deadline=None)
@given(a=NUMBERS, b=NUMBERS, data=st.data())
def test_rational_numbers_are_equal_as_they_are_in_exact_arithmetic(
    pool: GradingPool, a: Fraction, b: Fraction, data: st.DataObject
) -> None:
    gold = data.draw(st.sampled_from(_spellings(a)))
    same, other = (data.draw(st.sampled_from(_spellings(number))) for number in (a, b))
    graded = pool.grade_many([(gold, rf"\boxed{{{same}}}"), (gold, rf"\boxed{{{other}}}")])
    assert graded[0].outcome == "right"
    if a != b:
        assert graded[1].outcome == "wrong"


@settings(max_examples=40, deadline=None)
@given(mantissa=st.integers(100, 999), exponent=st.integers(-30, 30), factor=st.sampled_from([2.0, 1.02, 0.5, 10.0]))
def test_e_notation_at_every_size(pool: GradingPool, mantissa: int, exponent: int, factor: float) -> None:
    gold = f"{mantissa / 100}e{exponent}"
    right = rf"\boxed{{{mantissa / 100} \times 10^{{{exponent}}}}}"
    wrong = rf"\boxed{{{mantissa / 100 * factor:.4f} \times 10^{{{exponent}}}}}"
    assert [grade.outcome for grade in pool.grade_many([(gold, right), (gold, wrong)])] == ["right", "wrong"]
    assert math.isfinite(float(gold))
