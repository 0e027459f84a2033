"""SymPy's proof that two pieces of mathematics are equal. Imported by workers only: SymPy costs a second, and a call may never return."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import sympy

from tokencredit.grading.mathematics.enclosures import enclosure
from tokencredit.grading.mathematics.generators import ARGUMENTS, unknowns
from tokencredit.grading.mathematics.polynomials import Polynomial, Quotient, generators
from tokencredit.grading.regions import UndecidedError

DIGITS = 60  # with which values are compared
POINTS = 3
LARGEST = 1e6
_FUNCTIONS = {
    **{
        "sin": sympy.sin,
        "cos": sympy.cos,
        "log": sympy.log,
        "abs": sympy.Abs,
        "floor": sympy.floor,
        "ceil": sympy.ceiling,
    },
    **{
        "max": sympy.Max,
        "min": sympy.Min,
        "arcsin": sympy.asin,
        "arctan": sympy.atan,
        "factorial": sympy.factorial,
        "gcd": lambda *arguments: _of_integers(sympy.gcd, arguments),
    },
    **{"pow": sympy.Pow, "power": sympy.Pow, "lcm": lambda *arguments: _of_integers(sympy.lcm, arguments)},
}
_POINTS = [
    sympy.Rational(7, 5),
    sympy.Rational(-13, 9),
    sympy.Rational(23, 7),
    sympy.Rational(3, 11),
    sympy.Rational(-29, 8),
]


def proven_equal(a: Quotient, b: Quotient) -> bool:
    """Whether a and b are equal for certain. Raises ``UndecidedError`` where SymPy cannot tell."""
    if not all(_is_moderate(value) for value in (a, b)):
        raise UndecidedError("a number in it is too large to be worked out")
    difference = expression(a) - expression(b)
    if _differs(difference):
        return False
    if _vanishes(difference):
        return _everywhere(a, b)
    if not difference.free_symbols and difference.equals(0):
        return True
    raise UndecidedError(f"the two agree in {DIGITS} digits, and SymPy does not prove that they are equal")


def warm_up() -> None:
    """Prove something, so that what SymPy imports and builds for its first proof is not in the time of an answer."""
    x = sympy.Symbol("x", positive=True)
    _vanishes(sympy.sin(2 * x) - 2 * sympy.sin(x) * sympy.cos(x))


def _vanishes(difference: Any) -> bool:
    """Whether one of SymPy's simplifications gives zero."""
    for simplified in (
        sympy.expand,
        sympy.radsimp,
        _with_factored_roots,
        lambda value: sympy.expand_trig(value).rewrite(sympy.cos).expand(),
        sympy.simplify,
        _in_exponentials,
    ):
        result = simplified(difference)
        if result == 0 or (result.is_number and not result.free_symbols and result.is_zero):
            return True
    return False


def _is_moderate(value: Quotient) -> bool:
    """Whether no power, sine or cosine is taken of a number beyond ``LARGEST``, and nothing of a number without a value."""
    for name in generators(*value):
        kind = ARGUMENTS[name][0] if name in ARGUMENTS else ""
        for argument in ARGUMENTS[name][1] if name in ARGUMENTS else ():
            if not unknowns(argument):
                found = enclosure(argument, 0)
                if found is None and "i" not in generators(*argument):
                    return False
                if found is not None and abs(found[0]) > LARGEST and not kind.startswith(("root", "log", "abs")):
                    return False
            if not _is_moderate(argument):
                return False
    return True


def _of_integers(function: Any, arguments: tuple[Any, ...]) -> Any:
    """SymPy's gcd and lcm are of polynomials where a name is among the arguments: gcd(p, q) is 1 there."""
    if not all(argument.is_Integer for argument in arguments):
        raise UndecidedError("a common divisor or multiple of names is not worked out")
    return function(*arguments)


def _with_factored_roots(value: Any) -> Any:
    roots = [power for power in value.atoms(sympy.Pow) if power.exp.is_Rational and not power.exp.is_Integer]
    return sympy.expand(value.xreplace({power: sympy.factor(power.base) ** power.exp for power in roots}))


def _in_exponentials(value: Any) -> Any:
    factored = value.replace(sympy.log, lambda argument: sympy.log(sympy.factor(argument)))
    return sympy.simplify(sympy.expand_log(factored.rewrite(sympy.exp), force=True))


def expression(value: Quotient, positive: bool = True) -> Any:
    """The SymPy expression of a normal form, with every name a positive number or a real one."""
    return _polynomial(value.above, positive) / _polynomial(value.below, positive)


def _polynomial(polynomial: Polynomial, positive: bool) -> Any:
    return sympy.Add(
        *(
            sympy.Mul(
                _rational(coefficient),
                *(sympy.Pow(_generator(name, positive), _rational(exponent)) for name, exponent in monomial),
            )
            for monomial, coefficient in polynomial.items()
        )
    )


def _rational(value: Fraction | int) -> Any:
    return sympy.Rational(value.numerator, value.denominator)


def _generator(name: str, positive: bool) -> Any:
    if name[0] == "#":
        return sympy.Integer(int(name[1:]))
    if name in ("pi", "e", "i"):
        return {"pi": sympy.pi, "e": sympy.E, "i": sympy.I}[name]
    if name[0] == "@" or ARGUMENTS[name][0].startswith("of "):
        return sympy.Symbol(name, positive=True) if positive else sympy.Symbol(name, real=True)
    kind, arguments = ARGUMENTS[name]
    inner = [expression(argument, positive) for argument in arguments]
    if kind.startswith("root "):
        return sympy.root(inner[0], int(kind.split()[1]))
    return _FUNCTIONS[kind](*inner)


def _differs(difference: Any) -> bool:
    """Whether the difference is not zero for certain, at some point of positive numbers."""
    symbols = sorted(difference.free_symbols, key=str)
    for trial in range(POINTS if symbols else 1):
        point = {symbol: abs(_POINTS[(index + trial) % len(_POINTS)]) + index for index, symbol in enumerate(symbols)}
        value = difference.subs(point)
        if _is_not_zero(value):
            return True
    return False


def _is_not_zero(value: Any) -> bool:
    if not value.is_finite:
        return False
    number = value.evalf(DIGITS, maxn=400)
    if not (number.is_Number or number.as_real_imag()[1].is_Number):
        return False
    return bool(any(part.is_Float and part._prec > 1 and part != 0 for part in number.as_real_imag()))


def _everywhere(a: Quotient, b: Quotient) -> bool:
    """True, unless the two differ at numbers of mixed signs at which both are real."""
    one, two = (expression(value, positive=False) for value in (a, b))
    symbols = sorted(one.free_symbols | two.free_symbols, key=str)
    for trial in range(len(_POINTS) if symbols else 0):
        point = {symbol: _POINTS[(index + trial) % len(_POINTS)] for index, symbol in enumerate(symbols)}
        if all(_is_real_throughout(value, point) for value in (one, two)) and _is_not_zero((one - two).subs(point)):
            return False
    return True


def _is_real_throughout(value: Any, point: dict[Any, Any]) -> bool:
    """Whether no root or logarithm of a negative number is in it."""
    parts = (part.subs(point) for part in sympy.preorder_traversal(value))
    return all(part.is_real is not False and part.is_finite is not False for part in parts)
