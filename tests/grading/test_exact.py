"""Exact arithmetic against SymPy, on random expressions: what it calls equal is, and what it calls different is not."""

from __future__ import annotations

import pytest
import sympy
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tokencredit.grading.mathematics import algebra, equality
from tokencredit.grading.mathematics.enclosures import enclosure
from tokencredit.grading.mathematics.normal_form import form
from tokencredit.grading.mathematics.polynomials import MOST_WORK, Quotient, TooLargeError, begin, spend
from tokencredit.grading.reading.answers import Expression, read
from tokencredit.grading.reading.tokens import UnreadableError

X, Y = sympy.symbols("x y", positive=True)
ATOMS = st.one_of(
    st.integers(0, 12).map(lambda number: (str(number), sympy.Integer(number))),
    st.sampled_from(
        [("x", X), ("y", Y), (r"\pi", sympy.pi), (r"\sqrt{2}", sympy.sqrt(2)), (r"\sqrt{6}", sympy.sqrt(6))]
    ),
)


def _combined(parts: st.SearchStrategy) -> st.SearchStrategy:
    two = st.tuples(parts, parts)
    return st.one_of(
        two.map(lambda pair: (f"({pair[0][0]}+{pair[1][0]})", pair[0][1] + pair[1][1])),
        two.map(lambda pair: (f"({pair[0][0]}-{pair[1][0]})", pair[0][1] - pair[1][1])),
        two.map(lambda pair: (rf"({pair[0][0]}\cdot {pair[1][0]})", pair[0][1] * pair[1][1])),
        two.map(lambda pair: (rf"\frac{{{pair[0][0]}}}{{{pair[1][0]}}}", pair[0][1] / pair[1][1])),
        st.tuples(parts, st.integers(0, 3)).map(
            lambda pair: (f"{{({pair[0][0]})}}^{{{pair[1]}}}", pair[0][1] ** pair[1])
        ),
    )


EXPRESSIONS = st.recursive(ATOMS, _combined, max_leaves=8)


def _form(text: str) -> Quotient:
    value = read(text).value
    assert isinstance(value, Expression), value
    begin()
    try:
        return form(value.node)
    except (UnreadableError, TooLargeError):
        assume(False)
        raise


def _number(expression: sympy.Expr) -> complex:
    return complex(expression.subs({X: sympy.Rational(17, 13), Y: sympy.Rational(5, 19)}).evalf(30))


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(one=EXPRESSIONS, two=EXPRESSIONS)
def test_equality_is_that_of_sympy(one: tuple[str, sympy.Expr], two: tuple[str, sympy.Expr]) -> None:
    forms = [_form(text) for text, _ in (one, two)]
    assume(not any(expression.has(sympy.zoo, sympy.nan) for _, expression in (one, two)))
    same = equality.same(*forms)
    assert same is not None, "these generators are independent"
    a, b = (_number(expression) for _, expression in (one, two))
    assert same == (abs(a - b) <= 1e-12 * max(abs(a), abs(b), 1e-12))


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(drawn=EXPRESSIONS)
def test_what_is_read_is_what_is_written(drawn: tuple[str, sympy.Expr]) -> None:
    text, expression = drawn
    value = _form(text)
    assume(not expression.has(sympy.zoo, sympy.nan))
    given_, expected = _number(_named(algebra.expression(value))), _number(expression)
    assert abs(given_ - expected) <= 1e-12 * max(abs(expected), 1e-12)
    expanded = sympy.latex(sympy.expand(expression))
    if read(expanded).value.type == "expression":
        assert equality.same(value, _form(expanded)) is True


def _named(expression: sympy.Expr) -> sympy.Expr:
    return expression.subs({symbol: {"@x": X, "@y": Y}[symbol.name] for symbol in expression.free_symbols})


FUNCTIONS = ["sin", "cos", "tan", "ln", "arctan"]


@pytest.mark.slow
@settings(max_examples=80, deadline=None)
@given(
    functions=st.lists(
        st.tuples(st.sampled_from(FUNCTIONS), st.integers(1, 4), st.integers(-3, 3)), min_size=1, max_size=3
    )
)
def test_enclosures_hold_the_value(functions: list[tuple[str, int, int]]) -> None:
    text = "+".join(rf"({factor})\{name}\frac{{{argument}}}{{5}}" for name, argument, factor in functions)
    names = {"ln": sympy.log, "arctan": sympy.atan} | {name: getattr(sympy, name) for name in ("sin", "cos", "tan")}
    exact = sum(factor * names[name](sympy.Rational(argument, 5)) for name, argument, factor in functions)
    value, error = enclosure(_form(text), 0)
    assert error < 1e-9
    assert abs(float(exact.evalf(30)) - value) <= error


@pytest.mark.slow
@pytest.mark.parametrize(
    ("one", "two"),
    [
        (r"\sin 2x", r"2\sin x\cos x"),
        (r"\cos 3t", r"4\cos^3t-3\cos t"),
        (r"\sin(x+y)", r"\sin x\cos y+\cos x\sin y"),
        (r"\sqrt{x^2+2x+1}", "|x+1|"),
        (r"\ln(x^2-1)", r"\ln(x-1)+\ln(x+1)"),
        (r"\sqrt[3]{2+\sqrt5}+\sqrt[3]{2-\sqrt5}", "1"),
    ],
)
def test_sympy_proves_what_is_left(one: str, two: str) -> None:
    forms = [_form(text) for text in (one, two)]
    assert equality.same(*forms) is None
    assert algebra.proven_equal(*forms)


@pytest.mark.parametrize(
    ("one", "two"),
    [("|x|", "x"), (r"\sin 2x", r"2\sin x"), (r"\sqrt{10^{40}+1}", "10^{20}"), (r"\ln(x+1)", r"\ln x+1")],
)
def test_sympy_does_not_prove_what_is_not_so(one: str, two: str) -> None:
    forms = [_form(text) for text in (one, two)]
    assert equality.same(*forms) is not True
    assert not algebra.proven_equal(*forms)


def test_work_does_not_depend_on_what_is_remembered() -> None:
    node = read("(a+b+c)^7(a-b)^5").value.node
    begin()
    first = form(node)
    begin()
    assert form(node) == first
    begin()
    spend(MOST_WORK)
    with pytest.raises(TooLargeError):
        form(node)
