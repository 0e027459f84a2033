"""What is the same answer, by kind of answer: each pair stands for a rule of docs/grading.md."""

from __future__ import annotations

import time

import pytest

from tokencredit.grading.judge import Verdict, fast
from tokencredit.grading.reading.answers import read


def outcome(gold: str, answer: str) -> str | None:
    """The outcome without SymPy, None where that is needed."""
    verdict = fast(gold, answer)
    return None if verdict is None else verdict.outcome


SAME = {
    "numbers": [
        ("0.35", r"\frac{7}{20}"),
        ("-2.5", r"-2\frac12"),
        ("9 5/6", r"\frac{59}{6}"),
        (r"3(4)(5)", "60"),
        (r"\frac{6(5)(4)}{3(2)}", "20"),
        ("1{,}234{,}567", "1 234 567"),
        (r"\$12,500", "12500"),
        ("3E-4", r"3\times10^{-4}"),
        (r"0.1\overline{6}", r"\frac16"),
        (r"2.\dot{7}", r"\frac{25}{9}"),
        ("½", "0.5"),
        ("−7", "-7"),
        ("2²·3", "12"),
        (r"\underline{41}", r"\mathbf{41}"),
        ("21st", "21"),
        ("5!", "120"),
        (r"\binom63", r"{6 \choose 3}"),
        ("10^{10^{10}}", "10^{10^{10}}"),
    ],
    "roots, pi and functions at special values": [
        (r"\sqrt{12}", r"2\sqrt3"),
        (r"\frac{1}{\sqrt5-2}", r"\sqrt5+2"),
        (r"\sqrt{11+6\sqrt2}", r"3+\sqrt2"),
        (r"\sqrt[3]{-27}", "-3"),
        (r"\cos 75^\circ", r"\frac{\sqrt6-\sqrt2}{4}"),
        (r"\ln 12", r"2\ln 2+\ln 3"),
        (r"\log_9 27", r"\frac32"),
        (r"\arctan\frac{1}{\sqrt3}", r"\frac\pi6"),
        ("e^{i\\pi}", "-1"),
    ],
    "complex numbers": [
        ("4-3i", "-3i+4"),
        (r"\frac{5}{2-i}", "2+i"),
        (r"\sqrt{-9}", "3i"),
        ("(1+i)^4", "-4"),
        (r"\frac{e^{3 i t}}{(1+ i)}", r"\frac{e^{3it}}{1+i}"),
    ],
    "expressions": [
        ("x^2-y^2", "(x+y)(x-y)"),
        (r"\frac{x^2-4}{x-2}", "x+2"),
        ("7s-4t", "-4t+7s"),
        ("ma", r"a\cdot m"),
        ("2^{n+3}", r"8\cdot2^n"),
        (r"\frac{(n+2)!}{n!}", "(n+1)(n+2)"),
        (r"\sqrt{7/k}", r"\frac{\sqrt7}{\sqrt k}"),
        (r"\sqrt{u^4}", "u^2"),
        (r"\ln(x^3)", r"3\ln x"),
        (r"x^{\prime\prime}+x", "x+x''"),
        (r"\frac{d^2 y}{dt^2}", r"\frac{d^{2} y}{d t^{2}}"),
        (r"\lambda_{\text{max}}", r"\lambda_{max}"),
        ("x^3/3+C", "c+x^3/3"),
        ("f(x)=x^2+1", "f(t)=t^2+1"),
    ],
    "equations": [
        ("3x-2y+5=0", "2y=3x+5"),
        ("3x-2y+5=0", "-6x+4y=10"),
        (r"\sqrt3x+y=2", r"3x+\sqrt3y=2\sqrt3"),
        ("x=4", "3x=12"),
        ("7", "7=x"),
        ("7", "3+4=7"),
        ("12", "m+n=5+7=12"),
        (r"\frac79", r"\frac79\approx0.78"),
        ("M=m", "m=M"),
        ("y'=3y", "y'-3y=0"),
    ],
    "lists, sets and pairs": [
        ("2,5", r"5 \text{ and } 2"),
        (r"\pm4", r"\{-4,4\}"),
        (r"1\pm\sqrt2", r"1-\sqrt2,1+\sqrt2"),
        (r"\{1,3,5\}", r"\{5,3,1\}"),
        ("(1,2),(3,4)", "(3,4), (1,2)"),
        ("70,110", "70, 110"),
        ("70,110", "70110"),
        ("(1,2)", "x=1, y=2"),
        ("p=2,q=3;p=5,q=7", "(5,7),(2,3)"),
        (r"0.25 \text{ or } \frac14", "0.25"),
        (r"\emptyset", r"\varnothing"),
    ],
    "intervals and inequalities": [
        ("(-1,6]", r"-1<x\le 6"),
        ("[3,\\infty)", r"x\geqslant 3"),
        ("(-\\infty,-2)\\cup(2,\\infty)", r"x<-2 \text{ or } x>2"),
        ("(-4,4)", "|x|<4"),
        ("[0,2]\\cup[1,5]", "[0,5]"),
        ("2x<6", "x<3"),
        ("a+b>c", "c<a+b"),
        (r"\mathbb{R}", r"(-\infty,\infty)"),
        (r"\{x \mid x>1\}", "(1,\\infty)"),
        (r"\left [2,5\right )", "[2,5)"),
    ],
    "units, percents, angles": [
        (r"14\text{ cm}^2", "14"),
        (r"2\text{ m}", r"200\text{ cm}"),
        (r"1.5\,\mathrm{h}", r"90\text{ minutes}"),
        ("18.00 dollars", "18"),
        (r"5\text{ hours }20\text{ minutes}", r"320\text{ minutes}"),
        (r"4\text{ million}", "4000000"),
        (r"3\text{ dozen}", "36"),
        (r"45\%", "0.45"),
        ("45", r"45\%"),
        (r"33\frac13\%", r"\frac13"),
        (r"60^\circ", "60"),
        (r"60^\circ", r"\frac{\pi}{3}"),
    ],
    "ratios, times, bases, matrices, words": [
        ("2:3:4", "4:6:8"),
        ("2:5", "0.4"),
        ("5:45 p.m.", r"5:45\text{ PM}"),
        ("(132)_{5}", "132_5"),
        ("132_5", "132"),
        (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\begin{bmatrix}1&2\\3&\frac82\end{bmatrix}"),
        (r"\text{(D)}", "D"),
        (r"\textbf{(D)}\ 12", "D"),
        (r"\text{Paris}", "paris"),
        (r"1,2,\ldots", r"1, 2, \ldots"),
    ],
    "decimals that stand for a number": [
        (r"\frac23", "0.666667"),
        (r"\frac23", "0.666666"),
        (r"\sqrt3", "1.7320508"),
    ],
}
NOT_THE_SAME = {
    "numbers": [
        ("17", "8 9"),
        ("7", "3(4)"),
        ("12", "4 12/3"),
        ("3", "3²"),
        ("3", "√3"),
        ("5", "5‰"),
        ("1", r"1-\frac{1}{90!}"),
        ("10^{25}", "10^{25}+1"),
        (r"8.\overline{3}", r"8.0\overline{3}"),
        ("5", r"5+\frac{0}{0}"),
        ("10^{10^{10}}", "10"),
        (r"\frac23", "0.666668"),
        (r"\frac23", "0.67"),
        (r"\pi", "3.14"),
        ("7.5e7", "7.51e7"),
        ("3,045,120", "3,45,120"),
        ("20,000", "20,00"),
        ("20,000", "20,000^{2}"),
    ],
    "letters": [
        ("2ab", "2"),
        ("5", "5bc"),
        ("6m", "6"),
        (r"\pi(R^2-r^2)", "0"),
        (r"\frac{GMm}{r}", r"\frac{Gm^2}{r}"),
        ("x'", "x"),
        (r"\bar z", "z"),
        (r"3\mathbf{i}-2\mathbf{j}", r"3\mathbf{i}+7\mathbf{j}"),
        (r"\frac{dy}{dx}", r"\frac yx"),
        (r"m\frac{dv}{dt}+bv=f", "bv=f"),
        ("|u|", "u"),
        (r"\sqrt{(u-3)^2}", "u-3"),
        (r"\gamma", r"\Gamma"),
        ("2RC+R+C", "2RC+R+c"),
    ],
    "equations": [
        ("x^2-8x+50=0", "x^2+1=0"),
        ("8", "2x=8"),
        ("8", "x^2=8"),
        ("8", "8=9"),
        ("x+y=4", "4"),
        ("x=8", "y=8"),
        ("x^2+y^2=13", "x^2+y^2=-13"),
    ],
    "more than one answer": [
        ("8", r"8\text{ or maybe }\frac92"),
        ("8", r"8\text{ cm},9\text{ cm}"),
        ("8", r"8 \lor 9"),
        ("8", r"8\pm1"),
        ("8", r"8\text{ if } n \text{ is even}"),
        ("1,2", "1,2,3"),
        ("(2,\\infty)", "(2,\\infty), 17"),
        (r"\{2,4\}", "(2,4)"),
        ("(4,2)", "2,4"),
        ("5,5,7", "5,7,7"),
        ("1,2,\\ldots,9", "1,2,9"),
    ],
    "intervals": [
        ("(1,2)", "[1,2]"),
        ("(1,3)", r"1\le x<3"),
        (r"(-\infty,-1]\cup[3,\infty)", r"x\le-1"),
        (r"1<x<2 \cup x>3", r"1<x<2 \cup w>3"),
        (r"1<x<2 \cup x>3", r"1<x'<2 \cup x>3"),
        ("(-\\infty,0]", "[-\\infty,0]"),
        ("x>3", "3"),
    ],
    "units": [
        ("6", r"6\text{ million}"),
        (r"6\text{ cm}", r"6\text{ m}"),
        (r"6\text{ red}", r"6\text{ blue}"),
        (r"3:30", "1:10"),
        ("4:40 a.m.", "4:40 p.m."),
        ("1:2:3", "1:3:2"),
        ("1011_2", "1011_3"),
        (r"45\%", "4500"),
        ("0.45", "45"),
    ],
    "words": [
        ("5", "5 less"),
        (r"\text{east}", r"\text{west}"),
        ("12", r"\text{a dozen}"),
        (r"\text{no solution}", "0"),
        ("B", r"\text{B or C}"),
        (r"\text{(A) } 4", r"\text{(A) } 9"),
        (r"\text{Mon}", r"\text{nom}"),
    ],
}


@pytest.mark.parametrize("kind", SAME)
def test_the_same(kind: str) -> None:
    assert [pair for pair in SAME[kind] if outcome(*pair) != "right"] == []


@pytest.mark.parametrize("kind", NOT_THE_SAME)
def test_not_the_same(kind: str) -> None:
    assert [pair for pair in NOT_THE_SAME[kind] if outcome(*pair) not in ("wrong", "ungraded")] == []


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        (r"\frac{x}{2}", "1/2x"),
        (r"\ln 5", r"\log 5"),
        ("5x", "x(5)"),
        (r"\sqrt{15}", r"\sqrt15"),
        ("72", "8 9"),
        ("48", r"4\frac{24}{2}"),
    ],
)
def test_what_can_be_read_in_two_ways_is_ungraded(gold: str, answer: str) -> None:
    verdict = fast(gold, answer)
    assert verdict.outcome == "ungraded"
    assert verdict.reason.startswith("it can be read in two ways")


@pytest.mark.parametrize(("gold", "answer"), [("245 yd.", "245yd"), (r"5\text{ m}", "5m"), ("3mi", "3 mi")])
def test_letters_that_may_be_a_unit_or_a_product_are_ungraded(gold: str, answer: str) -> None:
    verdict = fast(gold, answer)
    assert verdict.outcome == "ungraded"
    assert "a unit or a product" in verdict.reason


def test_a_doubt_that_changes_nothing_is_none() -> None:
    assert fast(r"I(0) e^{-t}", r"I(0)e^{-t}") == Verdict("right", None)
    assert fast("7", "1/2x") == Verdict("wrong", None)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("5", "expression"),
        (r"5\text{ cm}", "quantity"),
        ("x+y=1", "equation"),
        ("x<1", "relation"),
        ("(1,2]", "interval"),
        (r"\{1,2\}", "set"),
        ("1,2", "list"),
        ("(1,2)", "tuple"),
        (r"\begin{pmatrix}1\\2\end{pmatrix}", "matrix"),
        ("1:2", "ratio"),
        ("1:25", "time"),
        ("101_2", "based"),
        (r"\text{(A)}", "choice"),
        (r"\text{the end}", "text"),
        (r"\sum_k k", "text"),
    ],
)
def test_types(text: str, kind: str) -> None:
    assert read(text).value.type == kind


@pytest.mark.parametrize(
    "answer",
    [
        "8" + " " * 1900 + "x",
        "(x+y+z+w)^{30}+x",
        "2^{2^{2^{2^{65}}}}",
        r"\sin(e^{e^{e^{e^3}}})",
        "(10^8)!",
        r"\frac{1}{" * 300,
        "^(" * 600,
        "{" * 900 + "}" * 900,
        "+".join(f"(x+{number})^{{90}}" for number in range(150)),
        r"\sqrt{" * 200 + "2" + "}" * 200,
        "9" * 1999,
    ],
)
def test_nothing_takes_long(answer: str) -> None:
    started = time.process_time()
    verdict = fast("8", answer)
    assert time.process_time() - started < 5  # a grader that expands does not come back at all
    assert verdict is None or verdict.outcome != "right"


def test_a_wrong_sign_in_a_differential_equation_takes_no_algebra_system() -> None:
    gold = r"m l \ddot{\theta}(t)-m g \sin \theta(t)=f(t) \cos \theta(t)"
    assert fast(gold, gold).outcome == "right"
    assert fast(gold, gold.replace("-m g", "+m g")).outcome == "wrong"
