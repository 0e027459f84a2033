"""Junk is certainly different from its gold."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokencredit.grading.audit.junk import _differ, _plain, perturbed

NUMERALS = st.one_of(
    st.integers(-(10**12), 10**12).map(str),
    st.integers(0, 10**9).map(lambda number: f"{number:,}"),
    st.decimals(-(10**6), 10**6, places=4).map(str),
    st.builds(lambda a, b: rf"-\frac{{{a}}}{{{b}}}", st.integers(0, 999), st.integers(1, 999)),
    st.builds(lambda a, b: f"{a}/{b}", st.integers(-999, 999), st.integers(1, 999)),
    st.builds(lambda a, b: f"{a / 100}e{b}", st.integers(1, 999), st.integers(-40, 40)),
)


@given(NUMERALS)
def test_a_perturbed_number_is_another_number(gold: str) -> None:
    before, after = _plain(gold), _plain(perturbed(gold))
    assert before is not None
    assert after is not None
    change = abs(after.value - before.value)
    assert change == 1 or change >= abs(before.value) / 10 > 0 or change == Fraction(1, 10)


@pytest.mark.parametrize(
    ("gold", "value"),
    [
        ("1,234", 1234),
        ("3e6", 3000000),
        ("-.5", Fraction(-1, 2)),
        (r"-\dfrac{1}{2}", Fraction(-1, 2)),
        (r"\$10", 10),
        ("41.8^{\\circ}", Fraction(209, 5)),
    ],
)
def test_plain_numbers(gold: str, value: Fraction) -> None:
    assert _plain(gold).value == value


@pytest.mark.parametrize("text", ["x", r"\sqrt{4}", "1,2", "1/0", "2^3", "12:00", ""])
def test_what_is_no_plain_number(text: str) -> None:
    assert _plain(text) is None


@pytest.mark.parametrize(
    ("gold", "other", "different"),
    [
        ("5", "6", True),
        ("5", "5.0", False),
        ("0.5", r"\frac{1}{2}", False),
        ("50", "0.5", False),
        ("100", "100.5", False),
        (r"\sqrt{9}", "3", False),
        ("x+1", r"\sqrt{3}", True),
        ("x+1", "x+2", False),
        ("x=1", "y", False),
        (r"\pi x", r"\text{apple}", True),
    ],
)
def test_certainly_different(gold: str, other: str, different: bool) -> None:
    assert _differ(gold, other) is different
